"""What may be said of an error that ended a run: databases quote the values they stumble over, and those are people's."""

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

#: SQLSTATEs of this class tell of the statement's grammar and of tables and columns, and never of a row.
NAMES_AND_GRAMMAR = "42"
#: Modules of drivers of MySQL and MariaDB. They call most errors an OperationalError, those that quote values too.
MYSQL_DRIVERS = frozenset({"MySQLdb", "pymysql", "mysql"})
#: Their errors about names: no such database, column, table; one that is ambiguous, or not grouped by; no right to it.
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
#: Their error about grammar, which quotes the statement as it was sent: with the values that were bound to it.
MYSQL_GRAMMAR = 1064
#: Their errors about the connection or the server: too many connections, access denied, a lock, a time-out, a kill.
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
#: Those of their client library: it found no server, or lost it. The server's stand on both sides.
MYSQL_CLIENT = range(2000, 3000)
SQLSTATE_CHARACTERS = 5
#: SQLite's result code of all that is wrong with a statement, or with a value while it runs.
SQLITE_ERROR = 1
#: Columns that an error names at most.
MAX_NAMED_COLUMNS = 20


def describe(cause: Exception) -> str:
    """Return the sentence that the task's error says of what ended the run, in one line."""
    if isinstance(cause, MoEngageError):
        return str(cause)
    if _may_quote_rows(cause):
        return describe_database_error(cause)
    # SQLAlchemy adds the statement and a link to the driver's own words.
    error = _of_driver(cause)
    return f"{type(error).__name__}: {_one_line(error)}"


def describe_database_error(cause: Exception, *, as_written: bool = False) -> str:
    """
    Return what a database's error says, without what it may quote of a row.

    :param as_written: whether the statement was sent as it is written: nothing was bound to it.
    """
    error = _of_driver(cause)
    state, number = _state_of(error), _mysql_number(error)
    name = f"{type(error).__module__}.{type(error).__name__}"
    name += f", error {number}" if number else ""
    name += f", SQLSTATE {state}" if state else ""
    if number in MYSQL_NAMES or (number == MYSQL_GRAMMAR and as_written):
        return f"{name}: {getattr(error, 'msg', None) or error.args[-1]}"
    if number is None and str(state).startswith(NAMES_AND_GRAMMAR):
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        return f"{name}: {_one_line(primary or error)}"
    if _is_sqlite_module_error(error):
        return f"{name}: {_one_line(error)}"
    return f"{name}; the database's own words may quote a row, so they stand in the log at DEBUG alone"


def safe_cause(cause: Exception) -> Exception | None:
    """
    Return what is raised as the cause of the task's error, and shown in its traceback.

    :return: None where its words must not be shown. What an error of this package was raised from is left out, since its
        own words hold it; of one of the network the client library's error stays, which knows more.
    """
    if _may_quote_rows(cause):
        log.debug("The run was ended by", exc_info=cause)
        return None
    shown = _of_driver(cause)
    if isinstance(shown, MoEngageError):
        last = shown.__cause__ if isinstance(shown, MoEngageNetworkError) and shown.__cause__ else shown
        if last.__cause__ is not None or last.__context__ is not None:
            log.debug("The run was ended by", exc_info=shown)
            # Which leaves out its context, too.
            last.__cause__ = None
    return shown


def is_programming_error(error: Exception) -> bool:
    """Whether a database found fault with the statement or with what is bound to it."""
    driver = _of_driver(error)
    return (
        "ProgrammingError" in _names_of(error)
        or _mysql_number(driver) in MYSQL_NAMES
        or str(_state_of(driver)).startswith(NAMES_AND_GRAMMAR)
        or _is_sqlite_module_error(driver)
    )


def is_sqlite_error(error: Exception) -> bool:
    """Whether SQLite found fault with a statement, or with a value while it ran; Python tells since 3.11."""
    code = getattr(_of_driver(error), "sqlite_errorcode", None)
    # The bits above are the extended code.
    return code is not None and code & 0xFF == SQLITE_ERROR


def is_unreadable_value(error: Exception) -> bool:
    """Whether a driver that read a row has no place in Python for a value of it."""
    if isinstance(error, (ValueError, ArithmeticError)):
        return not isinstance(error, MoEngageError)
    driver = _of_driver(error)
    if "DataError" not in _names_of(driver):
        return False
    # One that has a number or a state is none of the driver's own: the server found fault with the statement.
    first = driver.args[0] if driver.args else None
    coded = isinstance(first, int) or (isinstance(first, str) and len(first) == SQLSTATE_CHARACTERS)
    return _state_of(driver) is None and not coded


def unreadable_value(
    cause: Exception, driver: str, description: Sequence[Sequence[Any]]
) -> MoEngageUnreadableValue:
    """
    Return what ends a run whose driver cannot hand over a value.

    :param driver: the driver's module.
    :param description: the cursor's.
    """
    log.debug("The value could not be read", exc_info=cause)
    columns = [column[0] for column in description]
    likely = _columns_of_dates(driver, description)
    return MoEngageUnreadableValue(
        f"The database's driver {driver} cannot hand over a value ({type(cause).__name__}) of "
        + (f"column {columns[0]!r}" if len(columns) == 1 else f"one of the columns {_listed(columns)}")
        + (f" (most likely {_listed(likely)})" if likely else "")
        + ": Python has none for it, such as for an infinite date or a year after 9999. Cast the column to text in sql; "
        "types={attribute: 'datetime'} then converts it, and rejects the rows alone that hold such a value"
    )


def _listed(columns: Sequence[str]) -> str:
    named = ", ".join(repr(column) for column in columns[:MAX_NAMED_COLUMNS])
    return named + (" and more" if len(columns) > MAX_NAMED_COLUMNS else "")


def _columns_of_dates(driver: str, description: Sequence[Sequence[Any]]) -> list[str]:
    """Return the columns of which the driver says that they hold dates or times, where it says so."""
    # PEP 249: it equals the type codes of all such columns.
    dates = getattr(sys.modules.get(driver), "DATETIME", None)
    return [] if dates is None else [column[0] for column in description if column[1] == dates]


def _may_quote_rows(error: Exception) -> bool:
    """
    Whether this is a database's error about a statement or about values.

    PEP 249 gives drivers the names of their classes, but no class they share. Its OperationalError tells of the
    connection or of the database as a whole, and has to be read to be mended.
    """
    names = _names_of(error)
    if "OperationalError" not in names:
        return "DatabaseError" in names
    if is_sqlite_error(error):
        return True
    number = _mysql_number(_of_driver(error))
    return number is not None and number not in MYSQL_CLIENT and number not in MYSQL_SERVER


def _of_driver(error: Exception) -> Exception:
    """Return the driver's own error: SQLAlchemy has it inside."""
    return getattr(error, "orig", None) or error


def _is_sqlite_module_error(error: Exception) -> bool:
    """Whether Python's own module found fault with a statement or its parameters; it names types and no values."""
    return type(error).__module__ == "sqlite3" and type(error).__name__ in ("ProgrammingError", "Warning")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _names_of(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _state_of(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _mysql_number(error: Exception) -> int | None:
    if type(error).__module__.partition(".")[0] not in MYSQL_DRIVERS:
        return None
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return number if isinstance(number, int) and number > 0 else None
