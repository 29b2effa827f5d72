"""
Rows as lines of JSON that give back what a database handed over.

A line is ``{"row": [value, …]}``. Values that JSON has no place for are written as :mod:`~.row_codec` has them, and
``"typed"`` names their columns by number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_moengage.delivery.shape.row_codec import decoded, encoded

_PLAIN = (str, int, bool, type(None), float)


def line_of_row(row: Sequence[object]) -> bytes:
    """Write one row."""
    values = list(row)
    typed = [column for column, value in enumerate(values) if type(value) not in _PLAIN]
    for column in typed:
        values[column] = encoded(values[column])
    return _line({"row": values, "typed": typed} if typed else {"row": values})


def _line(fields: dict[str, Any]) -> bytes:
    try:
        written = json.dumps(fields, separators=(",", ":"))
    except ValueError:
        # Python writes no integers of thousands of digits.
        row = [encoded(value) if type(value) is int else value for value in fields["row"]]
        typed = {
            *fields.get("typed", ()),
            *(n for n, value in enumerate(fields["row"]) if type(value) is int),
        }
        written = json.dumps({"row": row, "typed": sorted(typed)}, separators=(",", ":"))
    return written.encode("ascii") + b"\n"


def row_of_line(line: bytes) -> list[Any]:
    """
    Read one row.

    :raises ValueError: the line is none that :func:`line_of_row` wrote.
    """
    fields = json.loads(line)
    values: list[Any] = fields["row"]
    for column in fields.get("typed", ()):
        values[column] = decoded(values[column])
    return values
