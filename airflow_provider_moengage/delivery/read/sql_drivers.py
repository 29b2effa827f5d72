"""Adaptations to individual database drivers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_moengage.delivery.safe_messages import is_sqlite_error
from airflow_provider_moengage.delivery.shape.convert import OutOfRange

log = logging.getLogger(__name__)

#: Seconds for which MariaDB waits for a client that reads no rows, as it does while it waits for a rate window. After its
#: default of a minute it would close the connection.
SLOW_READER_SECONDS = 30 * 24 * 60 * 60
#: PostgreSQL's types with values that Python cannot represent: (oid, oid of its array).
POSTGRES_TYPES = MappingProxyType(
    {
        "date": (1082, 1182),
        "time": (1083, 1183),
        "timestamp": (1114, 1115),
        "timestamptz": (1184, 1185),
        "interval": (1186, 1187),
        "timetz": (1266, 1270),
        "json": (114, 199),
        "jsonb": (3802, 3807),
    }
)


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
    driver = driver_of(connection)
    if driver == "MySQLdb":
        from MySQLdb.cursors import SSCursor

        return connection.cursor(SSCursor)
    if driver == "pymysql":
        from pymysql.cursors import SSCursor

        return connection.cursor(SSCursor)
    # SQLAlchemy's cursor of this driver buffers all rows.
    return connection.cursor(buffered=False) if driver == "mysql" else None


def driver_of(connection: Any) -> str:
    """Return the top-level module of the driver if it is one of those known here, otherwise ""."""
    modules = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next((module for module in modules if module in _PREPARE), "")


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


def _prepare_psycopg2(connection: Any) -> None:
    from psycopg2.extensions import new_array_type, new_type, register_type, string_types

    connection.cursor_factory = None
    for kind, (oid, array_oid) in POSTGRES_TYPES.items():
        plain = connection.string_types.get(oid) or string_types.get(oid)
        if plain is not None:
            careful = new_type((oid,), kind, _careful_cast(kind, plain))
            register_type(careful, connection)
            register_type(new_array_type((array_oid,), f"{kind}[]", careful), connection)


def _careful_cast(kind: str, plain: Callable[[str | None, Any], Any]) -> Callable[[str | None, Any], Any]:
    from psycopg2 import DataError

    is_changed = _CHANGED_BY_PSYCOPG2.get(kind)

    def cast(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        try:
            return (
                OutOfRange(kind, text) if is_changed is not None and is_changed(text) else plain(text, cursor)
            )
        except (DataError, ValueError, ArithmeticError):
            return OutOfRange(kind, text)

    return cast


def _is_infinite(text: str) -> bool:
    return text.endswith("infinity")


def _is_24_hours(text: str) -> bool:
    return text.startswith("24:")


#: Values that psycopg2 silently changes: infinities to the years 9999 or 1, 24:00 to 00:00.
_CHANGED_BY_PSYCOPG2 = MappingProxyType(
    {
        "date": _is_infinite,
        "timestamp": _is_infinite,
        "timestamptz": _is_infinite,
        "time": _is_24_hours,
        "timetz": _is_24_hours,
    }
)


def _prepare_psycopg(connection: Any) -> None:
    from psycopg.pq import Format
    from psycopg.rows import tuple_row

    connection.row_factory = tuple_row
    adapters = connection.adapters
    for kind, (oid, _) in POSTGRES_TYPES.items():
        plain = adapters.get_loader(oid, Format.TEXT)
        if plain is not None:
            # Arrays and ranges use it for their elements, too.
            adapters.register_loader(oid, _careful_loader(kind, plain))


def _careful_loader(kind: str, plain: Any) -> Any:
    from psycopg import DataError
    from psycopg.adapt import Loader

    class CarefulLoader(Loader):  # type: ignore[misc]
        # Not a subclass of the plain loader: one written in C would bypass an overridden method.
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = plain(oid, context).load

        def load(self, data: Any) -> Any:
            try:
                return self._load(data)
            except (DataError, ValueError, ArithmeticError):
                return OutOfRange(kind, str(bytes(data), "utf-8", "replace"))

    return CarefulLoader


def _prepare_mysqlclient(connection: Any) -> None:
    from MySQLdb.constants import FIELD_TYPE
    from MySQLdb.cursors import Cursor

    connection.cursorclass = Cursor
    for kind in ("DATE", "DATETIME", "TIMESTAMP"):
        number = getattr(FIELD_TYPE, kind)
        connection.converter[number] = _careful_conversion(kind.lower(), connection.converter[number])
    _allow_slow_reader(connection)


def _careful_conversion(kind: str, plain: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        # Drivers convert 0000-00-00, 2026-00-15 and 2026-02-31 to NULL; an actual NULL is not converted.
        value = plain(text)
        return OutOfRange(kind, text) if value is None else value

    return convert


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
        "psycopg2": _prepare_psycopg2,
        "psycopg": _prepare_psycopg,
        "MySQLdb": _prepare_mysqlclient,
        "pymysql": _prepare_pymysql,
        "mysql": _prepare_mysql_connector,
        "sqlite3": _prepare_sqlite,
    }
)
