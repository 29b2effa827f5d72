"""Records that share a request body, each with the row that it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


class Entry(NamedTuple):
    """
    A row on its way.

    :param position: the row's place in its source, from 0.
    :param row: the row as the source gave it.
    """

    position: int
    row: object


@dataclass(frozen=True, eq=False)
class Form:
    """
    What rows have in common that may share a body.

    :param units: what each costs, by quota.
    :param opening: what stands before the elements of the body; only rows with the same opening share one.
    :param closing: what stands behind them.
    """

    units: Mapping[str, int]
    opening: bytes = b""
    closing: bytes = b""

    @property
    def events(self) -> int:
        """How many events each holds: 0 where it is something else."""
        return self.units.get("events", 0) or self.units.get("bulk_events", 0)


def in_bulk(units: Mapping[str, int]) -> Form:
    """Give the form of an element of Bulk Import that costs so much."""
    return Form(units, b'{"type":"transition","elements":[', b"]}")


#: What one row becomes, a whole body or one element of a body that rows share: its content, serialised once, or nothing
#: where an earlier row asks for the same; the user whose order is kept, or nothing; and its form. A plain tuple, for
#: there is one a row.
Item = tuple[bytes, str, Form]


@dataclass(frozen=True)
class Batch:
    """
    One request and the rows in it, as columns of the same length: a million rows cost no object each.

    :param contents: the elements of the body, in the order of the rows.
    :param users: whose each is; empty where nobody's order is kept.
    :param forms: what each costs and what stands around it.
    :param positions: each row's place in its source.
    :param rows: the rows as the source gave them.
    """

    contents: list[bytes] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rows: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.contents)

    def add(self, content: bytes, user: str, form: Form, position: int, row: object) -> None:
        """Take one row more."""
        self.contents.append(content)
        self.users.append(user)
        self.forms.append(form)
        self.positions.append(position)
        self.rows.append(row)

    @property
    def body(self) -> bytes:
        """The request's body."""
        form = self.forms[0]
        return form.opening + b",".join(self.contents) + form.closing

    @cached_property
    def units(self) -> Mapping[str, int]:
        """What it costs, by quota."""
        units: dict[str, int] = {}
        for form, count in Counter(self.forms).items():
            for quota, each in form.units.items():
                units[quota] = units.get(quota, 0) + each * count
        return units

    @property
    def minimum_units(self) -> Mapping[str, int]:
        """What the smallest part of it costs that can be sent: its first row, and something of every quota."""
        return {**dict.fromkeys(self.units, 1), **self.forms[0].units}

    @cached_property
    def ids(self) -> frozenset[str]:
        """The users in it: while it is on its way, no other batch with one of them may leave."""
        ids = frozenset(self.users)
        return ids - {""} if "" in ids else ids

    @property
    def end(self) -> int:
        """The position behind its last row."""
        return self.positions[-1] + 1

    @property
    def has_events(self) -> bool:
        """Whether one of them is an event, which is there twice if it is sent twice."""
        return any(form.events for form in set(self.forms))

    @property
    def entries(self) -> Iterator[Entry]:
        """The rows and their places."""
        return map(Entry, self.positions, self.rows)

    def rows_within(self, units: Mapping[str, int]) -> int:
        """Count the rows, from the first on, that so many units are enough for."""
        left = dict(units)
        for place, form in enumerate(self.forms):
            for quota, each in form.units.items():
                left[quota] -= each
                if left[quota] < 0:
                    return place
        return len(self)

    def split(self, place: int) -> tuple[Batch, Batch]:
        """
        Cut it in two.

        :param place: how many rows the first part has.
        """

        def part(of: slice) -> Batch:
            columns = (self.contents[of], self.users[of], self.forms[of], self.positions[of], self.rows[of])
            return Batch(*columns)

        return part(slice(place)), part(slice(place, None))
