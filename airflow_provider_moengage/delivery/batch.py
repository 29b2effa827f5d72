"""Batches: records that share a request body, each with the row it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import NamedTuple

from airflow_provider_moengage.api.endpoint import Quota, Units


class Entry(NamedTuple):
    """
    A row and its position.

    :param position: the row's index in its source, from 0.
    :param row: the row as the source returned it.
    """

    position: int
    row: object


@dataclass(frozen=True, eq=False)
class Envelope:
    """
    What surrounds the content of a row in a request body, and what the row costs.

    :param units: the units of each row, by quota; a quota that counts requests has one.
    :param opening: bytes before the elements of the body; only rows with the same opening share a body.
    :param closing: bytes after the elements.
    :param idempotent: whether MoEngage may receive the row twice with the effect of one.
    """

    units: Units
    opening: bytes = b""
    closing: bytes = b""
    idempotent: bool = True

    @property
    def records(self) -> int:
        """The number of records that a row holds: a row of events may hold several."""
        return sum(self.units.values()) or 1


#: A row as it is sent: its serialised content (a whole body or one element of a body; empty for a duplicate of an
#: earlier row), the user whose order is kept (or empty), and its envelope. A plain tuple for speed: there is one per row.
Item = tuple[bytes, str, Envelope]


@dataclass(frozen=True)
class Batch:
    """
    The rows of one request, as columns of the same length, which saves an object per row.

    :param contents: the elements of the body, in the order of the rows.
    :param users: the user of each row; empty if no order is kept.
    :param envelopes: the cost and the envelope of each row.
    :param positions: each row's index in its source.
    :param rows: the rows as the source returned them.
    """

    contents: list[bytes] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rows: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.contents)

    @property
    def body(self) -> bytes:
        """The request's body."""
        envelope = self.envelopes[0]
        return envelope.opening + b",".join(self.contents) + envelope.closing

    @property
    def size(self) -> int:
        """The maximum bytes of the request's body."""
        if not self.envelopes:
            return 0
        envelope = self.envelopes[0]
        return len(envelope.opening) + sum(map(len, self.contents)) + len(self) + len(envelope.closing)

    @cached_property
    def units(self) -> Units:
        """The units it costs, by quota."""
        units: dict[Quota, int] = {}
        for envelope, rows in Counter(self.envelopes).items():
            for quota, each in envelope.units.items():
                units[quota] = 1 if quota.counts == "requests" else units.get(quota, 0) + each * rows
        return units

    @property
    def minimum_units(self) -> Units:
        """The minimum to send part of it, by quota: the units of its first row, and at least one of every quota."""
        return {**dict.fromkeys(self.units, 1), **self.envelopes[0].units}

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
    def idempotent(self) -> bool:
        """Whether it may be sent twice with the effect of one."""
        return all(envelope.idempotent for envelope in set(self.envelopes))

    @property
    def entries(self) -> Iterator[Entry]:
        """The rows and their positions."""
        return map(Entry, self.positions, self.rows)

    def rows_within(self, units: Units) -> int:
        """Return how many rows, from the first on, the units suffice for."""
        left = dict(units)
        for place, envelope in enumerate(self.envelopes):
            for quota, each in envelope.units.items():
                if quota.counts == "requests":
                    continue
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
            columns = (
                self.contents[of],
                self.users[of],
                self.envelopes[of],
                self.positions[of],
                self.rows[of],
            )
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
                list(compress(self.envelopes, of)),
                list(compress(self.positions, of)),
                list(compress(self.rows, of)),
            )

        return piece(chosen), piece([not one for one in chosen])

    def joined(self, other: Batch) -> Batch:
        """Return its rows and those of a later batch as one batch."""
        return Batch(
            self.contents + other.contents,
            self.users + other.users,
            self.envelopes + other.envelopes,
            self.positions + other.positions,
            self.rows + other.rows,
        )
