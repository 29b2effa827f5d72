"""Contiguous segments of rows; the checkpoint advances one completed segment at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_provider_moengage.delivery.report import Dropped

#: Rows after which the next request ends a segment: after a crash about this many rows are sent again.
SEGMENT_ROWS = 500


@dataclass
class Tally:
    """
    Counts of rows by outcome.

    :param accepted: rows that MoEngage accepted.
    :param rejected: rows rejected, by MoEngage or by a check before it.
    :param unchanged: rows not sent, because MoEngage accepted the same record before.
    :param missing: accepted rows of users that MoEngage does not know.
    :param unknown: rows (for events: events) in at least one request that got no response.
    :param reasons: reason → rows rejected for it.
    :param dropped: (attribute, reason) → rows sent without that attribute.
    """

    accepted: int = 0
    rejected: int = 0
    missing: int = 0
    unknown: int = 0
    unchanged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Dropped] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """Rows with a known outcome."""
        return self.accepted + self.rejected + self.unchanged

    def add(self, other: Tally) -> None:
        """Add the counts of other rows."""
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.missing += other.missing
        self.unknown += other.unknown
        self.unchanged += other.unchanged
        self.reasons.update(other.reasons)
        self.dropped.update(other.dropped)


class Segment:
    """
    A contiguous segment of the source's rows, with the outcome of each.

    Each outcome is recorded in a single step, so that a time-out in between cannot leave the counts inconsistent.

    :param start: the position of its first row.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        #: The position after its last row; None while rows are still added.
        self.end: int | None = None
        self.accepted: set[int] = set()
        self.missing: set[int] = set()
        #: Position → the reason, and the row as a line for its file; None: rejected rows are not kept.
        self.rejected: dict[int, tuple[str, bytes | None]] = {}
        #: Position → events in the row (1 if it is no event), for rows in a request that got no response.
        self.unconfirmed: dict[int, int] = {}
        #: Position → the attributes that its row is sent without.
        self.dropped: dict[int, Sequence[Dropped]] = {}
        #: Rows with nothing to send: settled by an earlier attempt, or duplicates of another row.
        self.skipped: set[int] = set()
        #: Ranges of unchanged rows: most rows may be, and they come one after another.
        self.unchanged: list[tuple[int, int]] = []
        self.unchanged_rows = 0

    @property
    def lines(self) -> list[bytes]:
        """Its rejected rows as lines for their file, in the order of rejection."""
        return [line for _, line in self.rejected.values() if line is not None]

    @property
    def settled(self) -> int:
        """Rows with a known outcome."""
        return len(self.accepted) + len(self.rejected) + len(self.skipped) + self.unchanged_rows

    @property
    def complete(self) -> bool:
        """Whether no row is added any more and all of them are settled."""
        return self.end is not None and self.settled >= self.end - self.start

    def add_unchanged(self, position: int) -> None:
        """Record an unchanged row; rows come in the order of their positions."""
        start, end = self.unchanged[-1] if self.unchanged else (position, -1)
        if end == position:
            self.unchanged[-1] = (start, position + 1)
        else:
            self.unchanged.append((position, position + 1))
        self.unchanged_rows += 1

    def holds(self, position: int) -> bool:
        """Whether the row at this position belongs to it."""
        return self.start <= position and (self.end is None or position < self.end)

    def is_settled(self, position: int) -> bool:
        """Whether the outcome of the row at this position is known."""
        return position in self.accepted or position in self.rejected or position in self.skipped

    def tally(self, *, settled_only: bool = False) -> Tally:
        """
        Return the counts of its rows.

        :param settled_only: leave out unconfirmed rows that are not settled.
        """
        unconfirmed = self.unconfirmed.items()
        return Tally(
            accepted=len(self.accepted),
            rejected=len(self.rejected),
            missing=len(self.missing),
            unchanged=self.unchanged_rows,
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
