"""
Rows as lines of JSON that give back what a database handed over: a Decimal stays one, a datetime keeps its offset.

A line is ``{"row": [value, …]}``. Values that JSON has no place for are written with their type, ``["Decimal", "1.50"]``,
and ``"typed"`` names their columns by number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any
from uuid import UUID

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.conversion import is_null, without_numpy

_PLAIN = (str, int, bool, type(None), float)


def line_of_row(row: Sequence[object]) -> bytes:
    """Write one row."""
    values = list(row)
    typed = [column for column, value in enumerate(values) if type(value) not in _PLAIN]
    for column in typed:
        try:
            values[column] = _typed(values[column])
        except RecursionError:
            values[column] = _unnamed(values[column])
    line: dict[str, Any] = {"row": values, "typed": typed} if typed else {"row": values}
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def row_of_line(line: bytes) -> list[Any]:
    """
    Read one row.

    :raises ValueError: the line is none that :func:`line_of_row` wrote.
    """
    fields = json.loads(line)
    values: list[Any] = fields["row"]
    for column in fields.get("typed", ()):
        values[column] = _value(*values[column])
    return values


def _typed(value: object) -> list[Any]:
    if type(value) in _PLAIN:
        return ["plain", value]
    if is_null(value):
        return ["plain", None]
    if isinstance(value, Decimal):
        return ["Decimal", str(value)]
    if isinstance(value, datetime):
        # Not value.isoformat(): pandas would add nanoseconds.
        return ["datetime", datetime.isoformat(value)]
    if isinstance(value, date):
        return ["date", value.isoformat()]
    if isinstance(value, UUID):
        return ["UUID", str(value)]
    if isinstance(value, Mapping):
        return ["dict", [[_typed(key), _typed(inner)] for key, inner in value.items()]]
    if isinstance(value, (list, tuple)):
        return ["list", [_typed(element) for element in value]]
    if isinstance(value, str):
        return ["plain", str.__str__(value)]
    if isinstance(value, Integral):
        return ["plain", int(value)]
    if isinstance(value, Real):
        return ["plain", float(value)]
    if type(value).__module__ == "numpy":
        try:
            return _typed(without_numpy("", value))
        except MoEngageRecordInvalid:
            return _unnamed(value)
    return _unnamed(value)


def _unnamed(value: object) -> list[Any]:
    # It will be refused, by the name of its type; what it held is nobody's business.
    return ["other", type(value).__name__]


def _value(kind: str, written: Any) -> Any:
    return _READERS[kind](written)


def _dict(written: list[Any]) -> dict[Any, Any]:
    return {_value(*key): _value(*value) for key, value in written}


def _list(written: list[Any]) -> list[Any]:
    return [_value(*element) for element in written]


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "plain": lambda written: written,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "UUID": UUID,
    "dict": _dict,
    "list": _list,
    "other": lambda name: type(name, (), {})(),
}
