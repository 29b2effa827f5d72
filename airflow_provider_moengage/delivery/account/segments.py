"""Rows that stand together in the source and are settled together: what a checkpoint advances by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_provider_moengage.delivery.report import Dropped

#: Rows from which a segment ends with the next request: a crash costs about so many rows sent again.
SEGMENT_ROWS = 500


@dataclass
class Tally:
    """
    What became of rows.

    :param accepted: rows that MoEngage took.
    :param rejected: rows refused, by us or by MoEngage.
    :param missing: accepted rows that MoEngage had nothing to do for.
    :param unknown: rows, of events: events, of which at least one request got no answer.
    :param reasons: reason → rows refused for it.
    :param dropped: attribute and reason → rows sent without that attribute.
    """

    accepted: int = 0
    rejected: int = 0
    missing: int = 0
    unknown: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Dropped] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """Rows of which the fate is known."""
        return self.accepted + self.rejected

    def add(self, other: Tally) -> None:
        """Count other rows too."""
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.missing += other.missing
        self.unknown += other.unknown
        self.reasons.update(other.reasons)
        self.dropped.update(other.dropped)


class Segment:
    """
    The rows from one position of the source to another, and what became of each.

    Every row's fate is entered in one step, so that a time-out between two steps leaves no count behind another.

    :param start: the position of its first row.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        #: The position behind its last row; None as long as it grows.
        self.end: int | None = None
        self.accepted: set[int] = set()
        self.missing: set[int] = set()
        #: Position → why, and the row as it is written, where it is.
        self.rejected: dict[int, tuple[str, bytes | None]] = {}
        #: Position → events in the row, or 1: rows of which a request got no answer.
        self.unconfirmed: dict[int, int] = {}
        #: Position → the attributes that its row is sent without.
        self.dropped: dict[int, Sequence[Dropped]] = {}
        #: Rows that need nothing: settled by an earlier try, or the repetition of another row.
        self.skipped: set[int] = set()

    @property
    def lines(self) -> list[bytes]:
        """Its refused rows as they are written, in the order they came."""
        return [line for _, line in self.rejected.values() if line is not None]

    @property
    def settled(self) -> int:
        """Rows of which the fate is known."""
        return len(self.accepted) + len(self.rejected) + len(self.skipped)

    @property
    def complete(self) -> bool:
        """Whether it grows no more and every row of it is settled."""
        return self.end is not None and self.settled >= self.end - self.start

    def holds(self, position: int) -> bool:
        """Whether the row at this position is one of its own."""
        return self.start <= position and (self.end is None or position < self.end)

    def is_settled(self, position: int) -> bool:
        """Whether the fate of the row at this position is known."""
        return position in self.accepted or position in self.rejected or position in self.skipped

    def tally(self, *, settled_only: bool = False) -> Tally:
        """
        Count what became of its rows.

        :param settled_only: leave out rows that got no answer and are not settled.
        """
        unconfirmed = self.unconfirmed.items()
        return Tally(
            accepted=len(self.accepted),
            rejected=len(self.rejected),
            missing=len(self.missing),
            unknown=sum(
                events for position, events in unconfirmed if not settled_only or self.is_settled(position)
            ),
            reasons=Counter(reason for reason, _ in self.rejected.values()),
            dropped=Counter(
                one
                for position, dropped in self.dropped.items()
                if position in self.accepted or position in self.skipped
                for one in dropped
            ),
        )
