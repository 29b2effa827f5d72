"""
Serializes the rows of a query as lines of JSON without loss.

A line is ``{"row": [value, …]}``. Values without a JSON type are written as in :mod:`~.row_codec`, and ``"typed"`` lists
the numbers of their columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_moengage.delivery.shape.row_codec import decoded, encoded

_PLAIN = (str, int, bool, type(None), float)


def line_of_row(row: Sequence[object]) -> bytes:
    """Serialize one row."""
    values = list(row)
    typed = [column for column, value in enumerate(values) if type(value) not in _PLAIN]
    for column in typed:
        values[column] = encoded(values[column])
    return _line({"row": values, "typed": typed} if typed else {"row": values})


def _line(fields: dict[str, Any]) -> bytes:
    try:
        written = json.dumps(fields, separators=(",", ":"))
    except ValueError:
        # Python refuses to write integers with thousands of digits.
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

    :raises ValueError: the line was not written by :func:`line_of_row`.
    """
    fields = json.loads(line)
    values: list[Any] = fields["row"]
    for column in fields.get("typed", ()):
        values[column] = decoded(values[column])
    return values
