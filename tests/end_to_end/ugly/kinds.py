"""What a kind of ugliness is: its name, the column it stands in, how it looks in each medium, and what is to be stored."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Says(enum.Enum):
    """What a kind may say in place of a value: the attribute is NULL and left out; the value must not be sent."""

    NULL = enum.auto()
    REJECTED = enum.auto()


NULL, REJECTED = Says.NULL, Says.REJECTED

#: In place of a column: the look is a function that breaks the row's good line; more attributes than the columns.
LINE, MANY = "a line", "many attributes"
ID = "customer_id"


class Raw(str):
    """A cell of a CSV that is written as it stands: neither quoted nor escaped."""


class Json:
    """A look as JSON: an object in lists and NDJSON, a text in databases and CSV."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def text(self) -> str:
        return json.dumps(self.value)


@dataclass(frozen=True)
class Kind:
    """
    One kind of ugliness.

    What ``says`` holds was written from MoEngage's documentation and the issue, not from the package, none of which is
    imported here. All naive datetimes are Kolkata's (UTC+5:30).

    :param column: where it stands, or :data:`LINE` or :data:`MANY`.
    :param says: what is to be stored; :data:`NULL`: nothing; an empty array: the attribute is unset; :data:`REJECTED`. A
        function is called with the row's number.
    :param looks: medium, or a part of one, → values as they stand there; ``json`` and ``everywhere`` stand for the media
        that are not named. A function is called with the row's number; of :data:`LINE`, with the good line, in CSV with
        its cells.
    :param key: how the column's name is spelled in rows that carry their own names.
    :param share: how often it occurs, against the others.
    """

    name: str
    column: str
    says: Any
    looks: Mapping[str, Sequence[Any]]
    key: str
    share: float


def kind(
    name: str, column: str, says: Any, key: str | None = None, share: float = 1, **looks: Sequence[Any]
) -> Kind:
    if "json" in looks:
        looks["json"] = [Json(value) for value in looks["json"]]
    return Kind(name, column, says, looks, key or column, share)
