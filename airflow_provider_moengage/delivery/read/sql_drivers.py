"""Adaptations to individual database drivers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_moengage.delivery.read.bigquery_cursor import BigQueryConnection
from airflow_provider_moengage.delivery.read.clickhouse_cursor import ClickHouseConnection
from airflow_provider_moengage.delivery.read.duckdb_cursor import DuckDBCursor
from airflow_provider_moengage.delivery.read.postgres_values import prepare_psycopg, prepare_psycopg2
from airflow_provider_moengage.delivery.safe_messages import is_sqlite_error
from airflow_provider_moengage.delivery.shape.convert import OutOfRange

log = logging.getLogger(__name__)

#: Seconds for which MariaDB waits for a client that reads no rows, as it does while it waits for a rate window. After its
#: default of a minute it would close the connection.
SLOW_READER_SECONDS = 30 * 24 * 60 * 60
#: Modules of the drivers that are adapted here, or that need another way to be interrupted.
DRIVERS = frozenset({"psycopg2", "psycopg", "MySQLdb", "pymysql", "mysql", "sqlite3", "duckdb", "snowflake"})
#: Connections of Airflow's hooks whose cursors hold all rows or change their types, by their modules.
ADAPTED: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "airflow.providers.clickhousedb.": ClickHouseConnection,
        "airflow.providers.google.": BigQueryConnection,
    }
)


def adapted(connection: Any) -> Any:
    """Return a connection whose cursor streams rows and keeps their types, where that of the hook's does not."""
    module = type(connection).__module__
    return next((adapt(connection) for name, adapt in ADAPTED.items() if module.startswith(name)), connection)


def prepare(connection: Any) -> None:
    """
    Set up a connection to return rows as tuples, and :class:`OutOfRange` for a value that Python cannot represent.

    Only this connection is changed, not what other code of the process has registered.
    """
    change = _PREPARE.get(driver_of(connection))
    if change is None:
        return
    try:
        change(connection)
    except (ImportError, AttributeError, KeyError):
        log.debug("The driver of %s is of an unknown version", type(connection).__name__, exc_info=True)


def streaming_cursor(connection: Any) -> Any | None:
    """Return a cursor that does not buffer all rows; None where SQLAlchemy's is better."""
    if isinstance(connection, (ClickHouseConnection, BigQueryConnection)):
        return connection.cursor()
    driver = driver_of(connection)
    if driver == "MySQLdb":
        from MySQLdb.cursors import SSCursor

        return connection.cursor(SSCursor)
    if driver == "pymysql":
        from pymysql.cursors import SSCursor

        return connection.cursor(SSCursor)
    if driver == "mysql":
        # SQLAlchemy's cursor of this driver buffers all rows.
        return connection.cursor(buffered=False)
    if driver == "snowflake":
        return connection.cursor()
    return DuckDBCursor(connection) if driver == "duckdb" else None


def driver_of(connection: Any) -> str:
    """Return the top-level module of the driver if it is one of those known here, otherwise ""."""
    modules = (kind.__module__.partition(".")[0].lstrip("_") for kind in type(connection).__mro__)
    return next((module for module in modules if module in DRIVERS), "")


def kill_statement(connection: Any) -> str | None:
    """
    Return the statement by which another connection ends what this one is running; None where there is none.

    Of MySQL and MariaDB it ends the connection and not just its statement, whose remaining rows the client would read to
    the end.
    """
    driver = driver_of(connection)
    if driver in ("MySQLdb", "pymysql"):
        return f"kill {int(connection.thread_id()):d}"
    if driver == "mysql":
        return f"kill {int(connection.connection_id):d}"
    if driver == "snowflake":
        return f"select system$cancel_all_queries({int(connection.session_id):d})"
    return getattr(connection, "kill_statement", None)


def sqlite_fault(compiler: Any, sql: str, parameters: object) -> str | None:
    """
    Return what SQLite finds wrong with the syntax, tables and columns of a statement that failed.

    :param compiler: a connection or a cursor of the ``sqlite3`` module.
    :return: None where nothing is wrong: then a value was. SQLite has one error for both, and about a value its text may
        quote a row.
    """
    from sqlite3 import OperationalError

    try:
        # EXPLAIN compiles the statement without running it.
        compiler.execute(f"explain {sql}", parameters)
    except OperationalError as fault:
        if is_sqlite_error(fault):
            return f"sqlite3.OperationalError: {fault}"
    return None


def _prepare_mysqlclient(connection: Any) -> None:
    from MySQLdb.constants import FIELD_TYPE
    from MySQLdb.cursors import Cursor

    connection.cursorclass = Cursor
    for kind in ("DATE", "DATETIME", "TIMESTAMP"):
        number = getattr(FIELD_TYPE, kind)
        connection.converter[number] = _careful_conversion(kind.lower(), connection.converter[number])
    # As the other client does.
    connection.converter[FIELD_TYPE.BIT] = _number_of_bits
    _allow_slow_reader(connection)


def _careful_conversion(kind: str, plain: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        # Drivers convert 0000-00-00, 2026-00-15 and 2026-02-31 to NULL; an actual NULL is not converted.
        value = plain(text)
        return OutOfRange(kind, text) if value is None else value

    return convert


def _number_of_bits(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _prepare_pymysql(connection: Any) -> None:
    from pymysql.cursors import Cursor

    connection.cursorclass = Cursor
    _allow_slow_reader(connection)


def _prepare_mysql_connector(connection: Any) -> None:
    _allow_slow_reader(connection)
    # None: the C extension converts the values, and could only leave all of them to Python.
    if connection.converter is not None:
        connection.converter_class = _careful_converter(type(connection.converter))


def _careful_converter(plain: Any) -> Any:
    def conversion(kind: str) -> Any:
        convert = getattr(plain, f"_{kind}_to_python")

        def careful(value: bytes, description: Any = None) -> Any:
            converted = convert(value, description)
            return OutOfRange(kind, str(value, "ascii", "replace")) if converted is None else converted

        return staticmethod(careful)

    kinds = ("date", "datetime", "timestamp")
    return type("CarefulConverter", (plain,), {f"_{kind}_to_python": conversion(kind) for kind in kinds})


def _allow_slow_reader(connection: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(f"set session net_write_timeout = {SLOW_READER_SECONDS:d}")
    finally:
        cursor.close()


def _prepare_sqlite(connection: Any) -> None:
    connection.row_factory = None
    connection.text_factory = _text_or_bytes


def _text_or_bytes(value: bytes) -> str | bytes:
    # SQLite accepts any bytes as text.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


_PREPARE: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "psycopg2": prepare_psycopg2,
        "psycopg": prepare_psycopg,
        "MySQLdb": _prepare_mysqlclient,
        "pymysql": _prepare_pymysql,
        "mysql": _prepare_mysql_connector,
        "sqlite3": _prepare_sqlite,
    }
)
