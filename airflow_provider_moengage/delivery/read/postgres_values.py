"""Has PostgreSQL's drivers return every value as it is, or :class:`OutOfRange`; arrays of all types as lists."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_moengage.delivery.shape.foreign import OutOfRange

log = logging.getLogger(__name__)

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
#: The arrays of a database, by the type of their elements; of the composite types those that are no table's rows.
ARRAYS = """
select element.typname, element.oid, element.typarray, element.typbasetype
from pg_catalog.pg_type element left join pg_catalog.pg_class relation on relation.oid = element.typrelid
where element.typarray <> 0 and element.typdelim = ',' and coalesce(relation.relkind, 'c') = 'c'
"""


class _Array(NamedTuple):
    name: str
    oid: int
    #: The oid of what its elements are, domains resolved.
    element: int


def prepare_psycopg2(connection: Any) -> None:
    """Set up a connection of psycopg2."""
    from psycopg2 import STRING
    from psycopg2.extensions import new_array_type, new_type, register_type, string_types

    connection.cursor_factory = None
    for kind, (oid, array_oid) in POSTGRES_TYPES.items():
        plain = connection.string_types.get(oid) or string_types.get(oid)
        if plain is not None:
            careful = new_type((oid,), kind, _careful_cast(kind, plain))
            register_type(careful, connection)
            register_type(new_array_type((array_oid,), f"{kind}[]", careful), connection)
    for array in _arrays(connection):
        if not (array.oid in connection.string_types or array.oid in string_types):
            element = connection.string_types.get(array.element) or string_types.get(array.element, STRING)
            register_type(new_array_type((array.oid,), array.name, element), connection)


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


def prepare_psycopg(connection: Any) -> None:
    """Set up a connection of psycopg."""
    from psycopg.pq import Format
    from psycopg.rows import tuple_row
    from psycopg.types import TypeInfo
    from psycopg.types.array import register_array

    connection.row_factory = tuple_row
    adapters = connection.adapters
    for kind, (oid, _) in POSTGRES_TYPES.items():
        plain = adapters.get_loader(oid, Format.TEXT)
        if plain is not None:
            # Arrays and ranges use it for their elements, too.
            adapters.register_loader(oid, _careful_loader(kind, plain))
    for array in _arrays(connection):
        if adapters.get_loader(array.oid, Format.TEXT) is None:
            register_array(TypeInfo(array.name, array.element, array.oid), connection)


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


def _arrays(connection: Any) -> Iterator[_Array]:
    """Return the arrays of a database. A driver returns one of a type that it does not know as a text in braces."""
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute(ARRAYS)
            found = cursor.fetchall()
    except Exception:
        # Not PostgreSQL itself, but a server that is compatible with it.
        log.debug("The server does not list its types", exc_info=True)
        connection.rollback()
        return
    bases = {oid: base for _, oid, _, base in found if base}
    for name, oid, array, _ in found:
        element = oid
        while element in bases:
            element = bases[element]
        yield _Array(f"{name}[]", array, element)
