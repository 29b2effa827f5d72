"""Reads DuckDB so that a statement can be interrupted and no value is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_moengage.delivery.shape.foreign import OutOfRange

Change = Callable[[Any], Any]

WITH_TIME_ZONE = frozenset({"timestamp with time zone", "timestamptz_ns"})
#: Types of which the driver returns a text where Python has no such value.
TEMPORAL = WITH_TIME_ZONE | {
    "date",
    "time",
    "time_ns",
    "time with time zone",
    "timestamp",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_ns",
}


class DuckDBCursor:
    """
    Runs a statement on the connection itself.

    A cursor of DuckDB is another connection, which ``interrupt()`` of the first one does not reach.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._changes: list[tuple[int, Change]] = []

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """Return the columns of the result."""
        columns: Sequence[Sequence[Any]] | None = self._connection.description
        return columns

    def execute(self, sql: str, parameters: object = None) -> None:
        """Run a statement in a transaction that is never committed."""
        self._connection.begin()
        self._connection.execute(sql, *([] if parameters is None else [parameters]))
        changes = ((place, _change(column[1])) for place, column in enumerate(self.description or ()))
        self._changes = [(place, change) for place, change in changes if change is not None]

    def fetchmany(self, size: int) -> list[Sequence[Any]]:
        """Return the next rows."""
        rows: list[Sequence[Any]] = self._connection.fetchmany(size)
        return [self._changed(row) for row in rows] if self._changes else rows

    def _changed(self, row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        for place, change in self._changes:
            if values[place] is not None:
                values[place] = change(values[place])
        return values

    def close(self) -> None:
        """Do nothing: the connection is closed by whoever opened it."""


def _change(kind: Any) -> Change | None:
    """
    Return what has to be done to the values of a type; None: nothing.

    :param kind: a ``DuckDBPyType``.
    """
    name = kind.id
    if name == "bignum":
        # The driver returns its digits.
        return int
    if name in TEMPORAL:
        return _careful(name)
    if name in ("list", "array"):
        return _each(_change(dict(kind.children)["child"]))
    if name == "struct":
        members = {member: _change(inner) for member, inner in kind.children}
        return _members({member: change for member, change in members.items() if change is not None})
    if name == "map":
        return _values(_change(dict(kind.children)["value"]))
    return None


def _careful(name: str) -> Change:
    def change(value: Any) -> Any:
        if isinstance(value, str):
            return OutOfRange(name, value)
        # The driver returns an infinity as the last or the first datetime, and without a time zone.
        infinite = name in WITH_TIME_ZONE and isinstance(value, datetime) and value.tzinfo is None
        return OutOfRange(name, "infinity") if infinite else value

    return change


def _each(change: Change | None) -> Change | None:
    if change is None:
        return None
    return lambda elements: [None if element is None else change(element) for element in elements]


def _members(changes: dict[str, Change]) -> Change | None:
    if not changes:
        return None

    def change(members: dict[str, Any]) -> dict[str, Any]:
        return {
            name: changes[name](value) if value is not None and name in changes else value
            for name, value in members.items()
        }

    return change


def _values(change: Change | None) -> Change | None:
    if change is None:
        return None

    def of_map(members: dict[Any, Any]) -> dict[Any, Any]:
        return {key: None if value is None else change(value) for key, value in members.items()}

    return of_map
