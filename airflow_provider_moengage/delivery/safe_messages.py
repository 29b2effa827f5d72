"""Error texts that are safe to log: database errors may quote row values, which are personal data."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageNetworkError,
    MoEngageUnreadableValue,
)

log = logging.getLogger(__name__)

#: The SQLSTATE class of errors about syntax, tables and columns; they never quote a row.
SYNTAX_CLASS = "42"
#: Driver modules of MySQL and MariaDB. Most of their errors are OperationalErrors, also those that quote values.
MYSQL_DRIVERS = frozenset({"MySQLdb", "pymysql", "mysql"})
#: Their errors about names: unknown database, table or column; ambiguous, not grouped by, or not permitted.
MYSQL_NAMES = frozenset(
    {
        1044,
        1046,
        1049,
        1051,
        1052,
        1054,
        1055,
        1056,
        1109,
        1111,
        1140,
        1142,
        1143,
        1146,
        1222,
        1248,
        1305,
        1370,
    }
)
#: Their syntax error, which quotes the statement as it was sent, with the bound values.
MYSQL_SYNTAX = 1064
#: Their errors about the connection or the server: too many connections, access denied, locks, timeouts, kills.
MYSQL_SERVER = frozenset(
    {
        1040,
        1041,
        1042,
        1043,
        1045,
        1047,
        1053,
        1129,
        1130,
        1152,
        1158,
        1159,
        1160,
        1161,
        1203,
        1205,
        1213,
        1226,
        1251,
    }
    | {1290, 1317, 1698, 1820, 1927, 1969, 3024}
)
#: Errors of their client library: no server found, or connection lost. Numbers below and above are the server's.
MYSQL_CLIENT = range(2000, 3000)
SQLSTATE_CHARACTERS = 5
#: ClickHouse's errors about syntax, names and access, such as SYNTAX_ERROR (62) and UNKNOWN_TABLE (60). They quote the
#: statement, with the bound values.
CLICKHOUSE_STATEMENT = frozenset({16, 36, 42, 43, 46, 47, 60, 62, 81, 115, 179, 207, 215, 352, 386, 497})
#: How BigQuery's messages about syntax and names begin; any other message of a statement may quote a row.
BIGQUERY_STATEMENT = (
    "Syntax error", "Unrecognized name", "Not found", "No matching signature", "Function not found",
)  # fmt: skip
#: HTTP status codes with which BigQuery rejects a statement.
BIGQUERY_REJECTED = frozenset({400, 404})
#: SQLite's generic result code: a wrong statement, or a wrong value while it runs.
SQLITE_ERROR = 1
#: Maximum number of columns that an error names.
MAX_NAMED_COLUMNS = 20


def describe(cause: Exception) -> str:
    """Return a safe one-line description of the error that ended a run."""
    if isinstance(cause, MoEngageError):
        return str(cause)
    if _may_quote_rows(cause):
        return describe_database_error(cause)
    # The driver's error: SQLAlchemy's text adds the statement and a link.
    error = _driver_error(cause)
    return f"{type(error).__name__}: {_one_line(error)}"


def describe_database_error(cause: Exception, *, as_written: bool = False) -> str:
    """
    Return a description of a database's error that quotes no row.

    :param as_written: whether the statement was sent as written, without bound values.
    """
    error = _driver_error(cause)
    state, number = _sqlstate(error), _mysql_number(error)
    name = f"{type(error).__module__}.{type(error).__name__}"
    name += f", error {number}" if number else ""
    name += f", SQLSTATE {state}" if state else ""
    if number in MYSQL_NAMES or (number == MYSQL_SYNTAX and as_written):
        return f"{name}: {getattr(error, 'msg', None) or error.args[-1]}"
    if number is None and str(state).startswith(SYNTAX_CLASS):
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        return f"{name}: {_one_line(primary or error)}"
    if _is_sqlite_module_error(error):
        return f"{name}: {_one_line(error)}"
    if as_written and _is_about_statement(error):
        return f"{name}: {_one_line(_text(error))}"
    return f"{name}; the database's text may quote a row, so it is only in the log at DEBUG"


def safe_cause(cause: Exception) -> Exception | None:
    """
    Return the cause to raise the task's error from, which is shown in its traceback.

    :return: None where its text must not be shown. The cause of an error of this package is removed, as its text is
        included already; a network error keeps the client library's error, which has more details.
    """
    if _may_quote_rows(cause):
        log.debug("The run was ended by", exc_info=cause)
        return None
    shown = _driver_error(cause)
    if isinstance(shown, MoEngageError):
        last = shown.__cause__ if isinstance(shown, MoEngageNetworkError) and shown.__cause__ else shown
        if last.__cause__ is not None or last.__context__ is not None:
            log.debug("The run was ended by", exc_info=shown)
            # Setting the cause also suppresses the context.
            last.__cause__ = None
    return shown


def is_programming_error(error: Exception) -> bool:
    """Whether a database rejected the statement or its bound values."""
    driver = _driver_error(error)
    return (
        "ProgrammingError" in _class_names(error)
        or _mysql_number(driver) in MYSQL_NAMES
        or str(_sqlstate(driver)).startswith(SYNTAX_CLASS)
        or _is_sqlite_module_error(driver)
        or _clickhouse_code(driver) in CLICKHOUSE_STATEMENT
        or _bigquery_status(driver) in BIGQUERY_REJECTED
    )


def is_sqlite_error(error: Exception) -> bool:
    """Whether SQLite rejected a statement, or a value while it ran; known since Python 3.11."""
    code = getattr(_driver_error(error), "sqlite_errorcode", None)
    # The higher bits are the extended code.
    return code is not None and code & 0xFF == SQLITE_ERROR


def is_unreadable_value(error: Exception) -> bool:
    """Whether a driver could not represent a value of a row in Python."""
    if isinstance(error, (ValueError, ArithmeticError)):
        return not isinstance(error, MoEngageError)
    driver = _driver_error(error)
    if "DataError" not in _class_names(driver):
        return False
    # An error with a number or a state is the server's, about the statement, and not the driver's.
    first = driver.args[0] if driver.args else None
    coded = isinstance(first, int) or (isinstance(first, str) and len(first) == SQLSTATE_CHARACTERS)
    return _sqlstate(driver) is None and not coded


def unreadable_value(
    cause: Exception, driver: str, description: Sequence[Sequence[Any]]
) -> MoEngageUnreadableValue:
    """
    Return the error of a run whose driver cannot represent a value.

    :param driver: the driver's module.
    :param description: the cursor's description.
    """
    log.debug("The value could not be read", exc_info=cause)
    columns = [column[0] for column in description]
    likely = _date_columns(driver, description)
    return MoEngageUnreadableValue(
        f"The database's driver {driver} cannot represent a value ({type(cause).__name__}) of "
        + (f"column {columns[0]!r}" if len(columns) == 1 else f"one of the columns {_column_list(columns)}")
        + (f" (most likely {_column_list(likely)})" if likely else "")
        + ": Python has no such value, for example an infinite date or a year after 9999. Cast the column to text in sql; "
        "types={attribute: 'datetime'} then converts it, and rejects only the rows that hold such a value"
    )


def _column_list(columns: Sequence[str]) -> str:
    named = ", ".join(repr(column) for column in columns[:MAX_NAMED_COLUMNS])
    return named + (" and more" if len(columns) > MAX_NAMED_COLUMNS else "")


def _date_columns(driver: str, description: Sequence[Sequence[Any]]) -> list[str]:
    """Return the columns that hold dates or times, according to the driver; empty if it does not tell."""
    # PEP 249: DATETIME equals the type codes of all such columns.
    dates = getattr(sys.modules.get(driver), "DATETIME", None)
    return [] if dates is None else [column[0] for column in description if column[1] == dates]


def _may_quote_rows(error: Exception) -> bool:
    """
    Whether an error is a database's, about a statement or about values.

    PEP 249 defines the names of the drivers' exception classes, but no common base class. Its OperationalError is about the
    connection or the database as a whole, and users need its text to solve the problem.
    """
    if _clickhouse_code(error) is not None or _bigquery_status(error) in BIGQUERY_REJECTED:
        return True
    names = _class_names(error)
    if "OperationalError" not in names:
        return "DatabaseError" in names
    if is_sqlite_error(error):
        return True
    number = _mysql_number(_driver_error(error))
    return number is not None and number not in MYSQL_CLIENT and number not in MYSQL_SERVER


def _driver_error(error: Exception) -> Exception:
    """Return the driver's own error, which SQLAlchemy wraps."""
    return getattr(error, "orig", None) or error


def _is_sqlite_module_error(error: Exception) -> bool:
    """Whether an error is of Python's sqlite3 module itself; those name types and no values."""
    return type(error).__module__ == "sqlite3" and type(error).__name__ in ("ProgrammingError", "Warning")


def _is_about_statement(error: Exception) -> bool:
    """Whether an error of ClickHouse or BigQuery is about syntax, names or access, and so quotes the statement alone."""
    if _bigquery_status(error) is not None:
        return _text(error).startswith(BIGQUERY_STATEMENT)
    return _clickhouse_code(error) in CLICKHOUSE_STATEMENT


def _clickhouse_code(error: Exception) -> int | None:
    """Return ClickHouse's code of an error; None where it is another database's, or is not the server's."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and _driver(error) == "clickhouse_connect" else None


def _bigquery_status(error: Exception) -> int | None:
    """Return the HTTP status code of an error of Google's client."""
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) and _driver(error) == "google" else None


def _text(error: Exception) -> str:
    return str(getattr(error, "message", None) or error)


def _driver(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _class_names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _sqlstate(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _mysql_number(error: Exception) -> int | None:
    if _driver(error) not in MYSQL_DRIVERS:
        return None
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return number if isinstance(number, int) and number > 0 else None
