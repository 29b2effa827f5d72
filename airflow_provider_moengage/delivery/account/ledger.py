"""Records the outcome of every row and sums them up in the report."""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from airflow_provider_moengage.api.client import Exchange
from airflow_provider_moengage.api.errors import MoEngageError, MoEngageRecordInvalid
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.position_ranges import PositionRanges
from airflow_provider_moengage.delivery.account.rejected_rows import line_of
from airflow_provider_moengage.delivery.account.segments import Segment, Tally
from airflow_provider_moengage.delivery.batch import Batch, Entry
from airflow_provider_moengage.delivery.report import Dropped, RunReport
from airflow_provider_moengage.delivery.shape.row_codec import readable

log = logging.getLogger(__name__)

Reason = TypeVar("Reason", str, Dropped)

#: Maximum reasons named in a report; the rest is counted together.
MAX_REASONS = 20
MAX_REASONS_COUNTED = 1_000
OTHER_REASONS = "other reasons"
OTHER_DROPPED: Dropped = ("other attributes", OTHER_REASONS)
#: Maximum rejected rows that are logged one by one.
LOGGED_REJECTIONS = 10
#: Rejections of one type, without one success, after which the cause is not the rows.
HOPELESS_REJECTIONS = 50


#: Codes of rows rejected for the type of their id: written as text, the id could look valid.
ID_TYPE_CODES = frozenset({"customer_id_type", "identifier_type"})


def _readable_row(row: object, code: str) -> Any:
    return readable(row, exact=code in ID_TYPE_CODES)


class Ledger:
    """
    Records the outcome of each row, from any thread; at all times read = accepted + valid + rejected + unsent + unchanged.

    :param resumed: the checkpoint of an earlier attempt; None: start over.
    :param keep_rejected: whether rejected rows are kept for :meth:`take_lines`.
    """

    def __init__(self, resumed: Checkpoint | None = None, *, keep_rejected: bool = False) -> None:
        before = resumed or Checkpoint()
        self.read = before.read
        self.valid = 0
        self.requests = before.requests
        self.retried = before.retried
        self.deferrals = before.deferrals
        self.fruitless = before.fruitless
        self.settled_before = before.settled_before
        self.source_exhausted = False
        #: Rows before it are settled, and so are those in ``done``; those in ``unconfirmed`` may have been sent.
        self.low_water_mark = before.low_water_mark
        self.done = before.done
        self.unconfirmed = before.unconfirmed
        self.earlier = before.tally
        self._finished = Tally()
        self._finished.add(before.tally)
        self._segments = [Segment(before.low_water_mark)]
        #: Start → end, counts and lines of segments that completed before an earlier one did.
        self._completed_ahead: dict[int, tuple[int, Tally, list[bytes]]] = {}
        self._lines: list[bytes] = []
        self._in_flight: dict[int, Batch] = {}
        self._rejected_types: Counter[str] = Counter()
        self._rejections = before.tally.rejected
        self._keep_rejected = keep_rejected
        self._lock = threading.Lock()
        self._seconds_before = before.duration_seconds
        self._began = time.monotonic()

    @property
    def hopeless(self) -> str | None:
        """The error type with which MoEngage rejected fifty rows or more while it accepted none; None: no such type."""
        with self._lock:
            if not self._rejected_types or self._any_accepted():
                return None
            kind, count = self._rejected_types.most_common(1)[0]
            return kind if count >= HOPELESS_REJECTIONS else None

    @property
    def duration_seconds(self) -> float:
        """Seconds since this attempt started, deferrals included."""
        return self._seconds_before + time.monotonic() - self._began

    def total(self) -> Tally:
        """Return the counts of all rows."""
        with self._lock:
            return self._total()

    def count_source(self, source: Sized) -> None:
        """
        Record how many rows a source has, if that is known before it is read.

        :raises MoEngageParameterError: it holds no rows.
        """
        with suppress(TypeError):
            self.read = len(source)
            self.source_exhausted = True

    def found_valid(self) -> None:
        """Record a row that passed every check and is not to be sent."""
        self.valid += 1

    def leave_unchanged(self, position: int) -> None:
        """Record a row that is not sent, because MoEngage accepted the same record before."""
        with self._lock:
            self._segments[-1].add_unchanged(position)

    def skip(self, position: int) -> None:
        """Record a row with nothing to send: settled by an earlier attempt, or a duplicate of another row."""
        with self._lock:
            self._segment(position).skipped.add(position)

    def accept_duplicates(self, rows: int) -> None:
        """Record duplicates as accepted, if every other row is settled."""
        with self._lock:
            if self._unsent(self._total()) == rows:
                self._finished.accepted += rows

    def mark_unconfirmed(self, position: int, records: int) -> None:
        """Record a row of which an earlier attempt may have sent ``records`` records."""
        with self._lock:
            self._segment(position).unconfirmed[position] = records

    def drop(self, position: int, dropped: Sequence[Dropped]) -> None:
        """Record the attributes that a row is sent without."""
        with self._lock:
            self._segment(position).dropped[position] = dropped

    def begin(self, batch: Batch) -> None:
        """Record that a batch is in flight, until :meth:`settle`."""
        self._in_flight[id(batch)] = batch

    def settle(self, batch: Batch, exchange: Exchange) -> None:
        """Record a request; its rows are accepted, or stay unsent until they are rejected or sent again."""
        with self._lock:
            self.requests += exchange.requests
            self.retried += max(0, exchange.requests - 1)
            if exchange.unconfirmed:
                self._mark_batch_unconfirmed(batch)
            if isinstance(exchange.outcome, Response):
                for segment, positions in self._by_segment(batch):
                    segment.accepted.update(positions)
                    self._retire_if_complete(segment)
            self._in_flight.pop(id(batch), None)

    def forgive(self, batch: Batch) -> None:
        """Record the rows of users that MoEngage does not know, which count as accepted."""
        with self._lock:
            for segment, positions in self._by_segment(batch):
                segment.missing.update(positions)
                segment.accepted.update(positions)
                self._retire_if_complete(segment)

    def reject(self, entry: Entry, error: MoEngageError) -> None:
        """Record a row that was rejected, by MoEngage or by a check before it."""
        if isinstance(error, MoEngageRecordInvalid):
            code, detail = error.code, None
        else:
            code, detail = error.type or f"http_{error.status}", error.message
        reason = str(error)
        line = self._line(entry, reason, code, detail, error) if self._keep_rejected else None
        with self._lock:
            segment = self._segment(entry.position)
            if error.status is not None:
                self._rejected_types[code] += 1
            segment.rejected[entry.position] = (reason, line)
            self._rejections += 1
            logged = self._rejections <= LOGGED_REJECTIONS
            self._retire_if_complete(segment)
        if logged:
            # Without MoEngage's message, which may quote the row.
            log.warning("Row %d rejected: %s", entry.position, reason)

    @property
    def open_segment(self) -> Segment:
        """The segment to which rows are still added."""
        return self._segments[-1]

    @property
    def in_flight(self) -> list[Batch]:
        """The batches that were begun and not settled."""
        return list(self._in_flight.values())

    def end_segment(self, position: int) -> None:
        """Start a new segment at a position: all rows before it have been read, and none from it on."""
        with self._lock:
            segment = self._segments[-1]
            if position > segment.start:
                segment.end = position
                self._segments.append(Segment(position))
                self._retire_if_complete(segment)

    @property
    def fruitless_deferrals(self) -> int:
        """Consecutive deferrals without one row settled, including one that would happen now."""
        return self.fruitless + 1 if self.total().settled == self.earlier.settled else 0

    def defer(self) -> None:
        """Count a deferral."""
        self.deferrals += 1
        self.fruitless = self.fruitless_deferrals

    def undo_deferral(self) -> None:
        """Take back the deferral that :meth:`defer` counted, since it does not happen."""
        self.deferrals -= 1

    def take_lines(self) -> list[bytes]:
        """Return, and clear, the rejected rows of the segments completed since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
            return lines

    def state(self) -> tuple[Checkpoint, list[bytes]]:
        """Return the checkpoint of the low-water mark, and the rejected rows that it newly counts."""
        with self._lock:
            lines, self._lines = self._lines, []
            done = self.done.starting_at(self.low_water_mark)
            tally = Tally()
            tally.add(self._finished)
            unconfirmed = self.unconfirmed.starting_at(self.low_water_mark)
            return self._checkpoint(max(self.low_water_mark, done.end), tally, done, unconfirmed), lines

    def final_state(self) -> tuple[Checkpoint, list[bytes]]:
        """Return the checkpoint of every single row, once no batch is in flight, and the remaining rejected rows."""
        with self._lock:
            for batch in self._in_flight.values():
                self._mark_batch_unconfirmed(batch)
            self._in_flight.clear()
            tally, lines = Tally(), self._lines
            tally.add(self._finished)
            done = list(self.done.starting_at(self.low_water_mark))
            unconfirmed = list(self.unconfirmed.starting_at(self.low_water_mark))
            for start, (end, finished, held) in self._completed_ahead.items():
                tally.add(finished)
                lines += held
                done.append((start, end))
            for segment in self._segments:
                tally.add(segment.tally(settled_only=True))
                lines += segment.lines
                for settled in (segment.accepted, segment.rejected, segment.skipped):
                    done += ((position, position + 1) for position in settled)
                done += segment.unchanged
                unconfirmed += ((position, position + 1) for position in segment.unconfirmed)
            self._lines = []
            return self._checkpoint(
                self.read, tally, PositionRanges(done), PositionRanges(unconfirmed)
            ), lines

    def report(
        self,
        throttled_seconds: float = 0.0,
        rejected_path: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> RunReport:
        """
        Return the report: rows over all attempts, requests and times of this one.

        :param throttled_seconds: spent waiting for rate windows.
        :param rejected_path: the folder with rejected rows, if there are any.
        :param more: the counts that not every run has.
        """
        total = self.total()
        dropped: dict[str, dict[str, int]] = {}
        for (name, reason), count in _most_common(total.dropped, OTHER_DROPPED).items():
            dropped.setdefault(name, {})[reason] = count
        report = RunReport(
            read=self.read,
            accepted=total.accepted,
            rejected=total.rejected,
            unsent=self._unsent(total),
            unknown=total.unknown,
            requests=self.requests,
            retried=self.retried,
            deferrals=self.deferrals,
            throttled_seconds=round(throttled_seconds, 3),
            duration_seconds=round(self.duration_seconds, 3),
            source_exhausted=self.source_exhausted,
            rejected_path=rejected_path,
            reasons=_most_common(total.reasons, OTHER_REASONS),
            dropped=dropped,
        )
        return replace(report, **(more or {}))

    def _checkpoint(
        self, read: int, tally: Tally, done: PositionRanges, unconfirmed: PositionRanges
    ) -> Checkpoint:
        return Checkpoint(
            low_water_mark=self.low_water_mark,
            read=read,
            tally=tally,
            done=done,
            unconfirmed=unconfirmed,
            requests=self.requests,
            retried=self.retried,
            deferrals=self.deferrals,
            settled_before=self.settled_before,
            fruitless=self.fruitless,
            duration_seconds=self.duration_seconds,
        )

    def _line(self, entry: Entry, reason: str, code: str, detail: str | None, error: MoEngageError) -> bytes:
        return line_of(
            {
                "position": entry.position,
                "reason": f"{reason}: {detail}" if detail else reason,
                "code": code,
                "request_id": error.request_id,
                "row": _readable_row(entry.row, code),
            }
        )

    def _segment(self, position: int) -> Segment:
        for segment in reversed(self._segments):
            if segment.holds(position):
                return segment
        # A duplicate, rejected at the end together with the row that it repeats.
        return self._segments[-1]

    def _by_segment(self, batch: Batch) -> Iterator[tuple[Segment, Sequence[int]]]:
        """Yield the positions of a batch with the segment they belong to: rows held for their user may span several."""
        positions = batch.positions
        while positions:
            segment = self._segment(positions[0])
            count = len(positions) if segment.end is None else bisect_left(positions, segment.end)
            yield segment, positions[:count]
            positions = positions[count:]

    def _retire_if_complete(self, segment: Segment) -> None:
        """Retire a completed segment and advance the low-water mark over contiguous ones."""
        if not segment.complete or segment.end is None:
            return
        self._segments.remove(segment)
        self._completed_ahead[segment.start] = (segment.end, segment.tally(), segment.lines)
        while self.low_water_mark in self._completed_ahead:
            self.low_water_mark, tally, lines = self._completed_ahead.pop(self.low_water_mark)
            self._lines += lines
            self._finished.add(tally)
            self._finished.reasons = _with_rare_merged(self._finished.reasons, OTHER_REASONS)
            self._finished.dropped = _with_rare_merged(self._finished.dropped, OTHER_DROPPED)

    def _mark_batch_unconfirmed(self, batch: Batch) -> None:
        # A row of events can hold several, each of which would be duplicated.
        records = {
            position: envelope.records
            for position, envelope in zip(batch.positions, batch.envelopes, strict=True)
        }
        for segment, positions in self._by_segment(batch):
            segment.unconfirmed.update((position, records[position]) for position in positions)

    def _total(self) -> Tally:
        total = Tally()
        for tally in self._tallies():
            total.add(tally)
        return total

    def _any_accepted(self) -> bool:
        ahead = any(tally.accepted for _, tally, _ in self._completed_ahead.values())
        return bool(self._finished.accepted or ahead or any(segment.accepted for segment in self._segments))

    def _tallies(self) -> Iterator[Tally]:
        yield self._finished
        for _, tally, _ in self._completed_ahead.values():
            yield tally
        for segment in self._segments:
            yield segment.tally()

    def _unsent(self, total: Tally) -> int:
        return self.read - total.accepted - self.valid - total.rejected - total.unchanged


def _with_rare_merged(reasons: Counter[Reason], other: Reason) -> Counter[Reason]:
    """Return the reasons with the rarest merged once there are too many: memory must not grow with the rows."""
    if len(reasons) <= MAX_REASONS_COUNTED:
        return reasons
    named = Counter(dict(reasons.most_common(MAX_REASONS_COUNTED // 2)))
    named[other] = reasons.total() - named.total() + named[other]
    return named


def _most_common(reasons: Counter[Reason], other: Reason) -> dict[Reason, int]:
    """Return the reasons that a report names, the most common first, and the rest merged."""
    if len(reasons) <= MAX_REASONS:
        return dict(reasons.most_common())
    named = [(reason, count) for reason, count in reasons.most_common() if reason != other][: MAX_REASONS - 1]
    return {**dict(named), other: reasons.total() - sum(count for _, count in named)}
