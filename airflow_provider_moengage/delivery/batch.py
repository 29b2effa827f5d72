"""Batches: records that share a request body, each with the row it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import NamedTuple


class Entry(NamedTuple):
    """
    A row and its position.

    :param position: the row's index in its source, from 0.
    :param row: the row as the source returned it.
    """

    position: int
    row: object


@dataclass(frozen=True, eq=False)
class Form:
    """
    The cost of a record and the envelope of its request body.

    :param units: units that each record costs, by quota.
    :param opening: bytes before the elements of the body; only records with the same opening share a body.
    :param closing: bytes after the elements.
    """

    units: Mapping[str, int]
    opening: bytes = b""
    closing: bytes = b""

    @property
    def events(self) -> int:
        """The number of events in each record; 0: it is no event."""
        return self.units.get("events", 0) or self.units.get("bulk_events", 0)


def in_bulk(units: Mapping[str, int]) -> Form:
    """Return the form of a Bulk Import element that costs ``units``."""
    return Form(units, b'{"type":"transition","elements":[', b"]}")


#: A row as a record: its serialised content (a whole body or one element of a body; empty for a duplicate of an earlier
#: row), the user whose order is kept (or empty), and its form. A plain tuple for speed: there is one per row.
Item = tuple[bytes, str, Form]


@dataclass(frozen=True)
class Batch:
    """
    The rows of one request, as columns of the same length, which saves an object per row.

    :param contents: the elements of the body, in the order of the rows.
    :param users: the user of each row; empty if no order is kept.
    :param forms: the cost and the envelope of each row.
    :param positions: each row's index in its source.
    :param rows: the rows as the source returned them.
    """

    contents: list[bytes] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rows: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.contents)

    def add(self, content: bytes, user: str, form: Form, position: int, row: object) -> None:
        """Add one row."""
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

    @property
    def size(self) -> int:
        """The maximum bytes of the request's body."""
        if not self.forms:
            return 0
        form = self.forms[0]
        return len(form.opening) + sum(map(len, self.contents)) + len(self) + len(form.closing)

    @cached_property
    def units(self) -> Mapping[str, int]:
        """The units it costs, by quota."""
        units: dict[str, int] = {}
        for form, count in Counter(self.forms).items():
            for quota, each in form.units.items():
                units[quota] = units.get(quota, 0) + each * count
        return units

    @property
    def minimum_units(self) -> Mapping[str, int]:
        """The minimum to send part of it, by quota: the units of its first row, and at least one of every quota."""
        return {**dict.fromkeys(self.units, 1), **self.forms[0].units}

    @cached_property
    def ids(self) -> frozenset[str]:
        """The users in it; while it is in flight, no other batch with one of them may be sent."""
        ids = frozenset(self.users)
        return ids - {""} if "" in ids else ids

    @property
    def end(self) -> int:
        """The position after its last row."""
        return self.positions[-1] + 1

    @property
    def has_events(self) -> bool:
        """Whether the batch contains an event; events are not idempotent."""
        return any(form.events for form in set(self.forms))

    @property
    def entries(self) -> Iterator[Entry]:
        """The rows and their positions."""
        return map(Entry, self.positions, self.rows)

    def rows_within(self, units: Mapping[str, int]) -> int:
        """Return how many rows, from the first on, the units suffice for."""
        left = dict(units)
        for place, form in enumerate(self.forms):
            for quota, each in form.units.items():
                left[quota] -= each
                if left[quota] < 0:
                    return place
        return len(self)

    def split(self, place: int) -> tuple[Batch, Batch]:
        """
        Split it in two.

        :param place: the number of rows in the first piece.
        """

        def piece(of: slice) -> Batch:
            columns = (self.contents[of], self.users[of], self.forms[of], self.positions[of], self.rows[of])
            return Batch(*columns)

        return piece(slice(place)), piece(slice(place, None))

    def select(self, chosen: Sequence[bool]) -> tuple[Batch, Batch]:
        """
        Return the chosen rows, and the others, as a batch each.

        :param chosen: whether each row is chosen.
        """

        def piece(of: Sequence[bool]) -> Batch:
            return Batch(
                list(compress(self.contents, of)),
                list(compress(self.users, of)),
                list(compress(self.forms, of)),
                list(compress(self.positions, of)),
                list(compress(self.rows, of)),
            )

        return piece(chosen), piece([not one for one in chosen])

    def joined(self, other: Batch) -> Batch:
        """Return its rows and those of a later batch as one batch."""
        return Batch(
            self.contents + other.contents,
            self.users + other.users,
            self.forms + other.forms,
            self.positions + other.positions,
            self.rows + other.rows,
        )
