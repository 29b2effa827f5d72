"""What became of every row: counts, reasons, the refused rows themselves, the report."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from airflow_provider_moengage.api.client import Exchange
from airflow_provider_moengage.api.errors import MoEngageError, MoEngageRecordInvalid
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.position_ranges import Ranges
from airflow_provider_moengage.delivery.account.rejected_rows import line_of
from airflow_provider_moengage.delivery.account.segments import Stretch, Tally
from airflow_provider_moengage.delivery.batch import Batch, Entry
from airflow_provider_moengage.delivery.report import Dropped, Report
from airflow_provider_moengage.delivery.shape.row_codec import readable

log = logging.getLogger(__name__)

Reason = TypeVar("Reason", str, Dropped)

#: Reasons a report names; the rest is counted together.
MAX_REASONS = 20
MAX_REASONS_COUNTED = 1_000
OTHER_REASONS = "other reasons"
OTHER_DROPPED: Dropped = ("other attributes", OTHER_REASONS)
#: Refused rows that are named in the log, one line each.
LOGGED_REFUSALS = 10
#: Refusals of one type, without one success, after which the fault is not the rows'.
HOPELESS_REFUSALS = 50


#: Codes of rows whose id is of a type that can be none: as text it might be one.
ID_TYPE_CODES = frozenset({"customer_id_type", "identifier_type"})


def _written(row: object, code: str) -> Any:
    return readable(row, exact=code in ID_TYPE_CODES)


class Ledger:
    """
    Settles rows, from any thread; at every moment read = accepted + valid + rejected + unsent.

    :param resumed: where an earlier try got to; None: this one begins anew.
    :param keep_rejected: whether refused rows are kept for :meth:`take_lines`.
    """

    def __init__(self, resumed: Checkpoint | None = None, *, keep_rejected: bool = False) -> None:
        before = resumed or Checkpoint()
        self.read = before.read
        self.valid = 0
        self.requests = before.requests
        self.retried = before.retried
        self.deferrals = before.deferrals
        self.fruitless = before.fruitless
        self.source_exhausted = False
        #: Rows before it are settled, and so are those of ``done``; of ``doubt``, a request may have got through.
        self.mark = before.mark
        self.done = before.done
        self.doubt = before.doubt
        self.earlier = before.tally
        self._finished = Tally()
        self._finished.add(before.tally)
        self._stretches = [Stretch(before.mark)]
        #: Stretches that are complete and wait for those before them.
        self._ahead: dict[int, tuple[int, Tally, list[bytes]]] = {}
        self._lines: list[bytes] = []
        self._on_the_way: dict[int, Batch] = {}
        self._refused_types: Counter[str] = Counter()
        self._refusals = before.tally.rejected
        self._keep_rejected = keep_rejected
        self._lock = threading.Lock()
        self._seconds_before = before.duration_seconds
        self._began = time.monotonic()

    @property
    def hopeless(self) -> str | None:
        """The type of error that MoEngage gave to fifty rows and more without taking one."""
        with self._lock:
            if not self._refused_types or self._any_accepted():
                return None
            kind, count = self._refused_types.most_common(1)[0]
            return kind if count >= HOPELESS_REFUSALS else None

    @property
    def duration_seconds(self) -> float:
        """Seconds that this try has taken, deferrals included."""
        return self._seconds_before + time.monotonic() - self._began

    def total(self) -> Tally:
        """Count what became of all rows."""
        with self._lock:
            return self._total()

    def found_valid(self) -> None:
        """Count a row that passed every check and was not to be sent."""
        self.valid += 1

    def pass_over(self, position: int) -> None:
        """Enter a row that needs nothing: settled by an earlier try, or the repetition of another row."""
        with self._lock:
            self._stretch(position).passed_over.add(position)

    def accept_repeated(self, rows: int) -> None:
        """Enter rows that repeat others: where every other row is settled, they are."""
        with self._lock:
            if self._unsent(self._total()) == rows:
                self._finished.accepted += rows

    def may_have_been_sent(self, position: int, events: int) -> None:
        """Enter a row of which an earlier try may have sent ``events`` events."""
        with self._lock:
            self._stretch(position).doubtful[position] = events

    def drop(self, position: int, dropped: Sequence[Dropped]) -> None:
        """Enter the attributes that a row is sent without."""
        with self._lock:
            self._stretch(position).dropped[position] = dropped

    def begin(self, batch: Batch) -> None:
        """Enter that a batch is on its way; :meth:`settle` says what came of it."""
        self._on_the_way[id(batch)] = batch

    def settle(self, batch: Batch, exchange: Exchange) -> None:
        """Enter what came of a batch: accepted, refused, or, by entering neither, unsent."""
        with self._lock:
            self.requests += exchange.requests
            self.retried += max(0, exchange.requests - 1)
            if exchange.unanswered:
                self._doubt(batch)
            if isinstance(exchange.outcome, Response):
                stretch = self._stretch(batch.positions[0])
                stretch.accepted.update(batch.positions)
                self._look_at(stretch)
            self._on_the_way.pop(id(batch), None)

    def forgive(self, batch: Batch) -> None:
        """Enter rows that MoEngage had nothing to do for."""
        with self._lock:
            stretch = self._stretch(batch.positions[0])
            stretch.missing.update(batch.positions)
            stretch.accepted.update(batch.positions)
            self._look_at(stretch)

    def refuse(self, entry: Entry, error: MoEngageError) -> None:
        """Enter a row that was refused, by us or by MoEngage."""
        if isinstance(error, MoEngageRecordInvalid):
            code, detail = error.code, None
        else:
            code, detail = error.type or f"http_{error.status}", error.message
        reason = str(error)
        line = self._line(entry, reason, code, detail, error) if self._keep_rejected else None
        with self._lock:
            stretch = self._stretch(entry.position)
            if error.status is not None:
                self._refused_types[code] += 1
            stretch.rejected[entry.position] = (reason, line)
            self._refusals += 1
            logged = self._refusals <= LOGGED_REFUSALS
            self._look_at(stretch)
        if logged:
            # MoEngage's own words stay out of the log: they may quote the row.
            log.warning("Row %d rejected: %s", entry.position, reason)

    @property
    def growing(self) -> int:
        """The position at which the stretch begins that grows."""
        return self._stretches[-1].start

    def end_stretch(self, position: int) -> None:
        """Begin a new stretch at a position; every row before it was taken, and none from it on."""
        with self._lock:
            stretch = self._stretches[-1]
            if position > stretch.start:
                stretch.end = position
                self._stretches.append(Stretch(position))
                self._look_at(stretch)

    @property
    def fruitless_deferrals(self) -> int:
        """Deferrals in a row before which not one row was settled, one at this moment included."""
        return self.fruitless + 1 if self.total().settled == self.earlier.settled else 0

    def defer(self) -> None:
        """Count a deferral."""
        self.deferrals += 1
        self.fruitless = self.fruitless_deferrals

    def take_lines(self) -> list[bytes]:
        """Give the refused rows of the stretches that were completed since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
            return lines

    def state(self) -> tuple[Checkpoint, list[bytes]]:
        """Give what is known up to the mark, and the refused rows that have come up to it."""
        with self._lock:
            lines, self._lines = self._lines, []
            done = self.done.beyond(self.mark)
            tally = Tally()
            tally.add(self._finished)
            return self._checkpoint(
                max(self.mark, done.end), tally, done, self.doubt.beyond(self.mark)
            ), lines

    def last_state(self) -> tuple[Checkpoint, list[bytes]]:
        """Give what is known of every single row, once no more is on its way; and the refused rows that are left."""
        with self._lock:
            for batch in self._on_the_way.values():
                self._doubt(batch)
            self._on_the_way.clear()
            tally, lines = Tally(), self._lines
            tally.add(self._finished)
            done, doubt = list(self.done.beyond(self.mark)), list(self.doubt.beyond(self.mark))
            for start, (end, finished, held) in self._ahead.items():
                tally.add(finished)
                lines += held
                done.append((start, end))
            for stretch in self._stretches:
                tally.add(stretch.tally(settled_only=True))
                lines += stretch.lines
                for settled in (stretch.accepted, stretch.rejected, stretch.passed_over):
                    done += ((position, position + 1) for position in settled)
                doubt += ((position, position + 1) for position in stretch.doubtful)
            self._lines = []
            return self._checkpoint(self.read, tally, Ranges(done), Ranges(doubt)), lines

    def report(self, throttled_seconds: float, rejected_path: str | None = None) -> Report:
        """
        Sum up as JSON: rows over all tries, requests and times of this one.

        :param throttled_seconds: spent waiting for rate windows.
        :param rejected_path: the folder with refused rows, where there are any.
        """
        total = self.total()
        dropped: dict[str, dict[str, int]] = {}
        for (name, reason), count in _commonest(total.dropped, OTHER_DROPPED).items():
            dropped.setdefault(name, {})[reason] = count
        return {
            "read": self.read,
            "accepted": total.accepted,
            "rejected": total.rejected,
            "unsent": self._unsent(total),
            "unknown": total.unknown,
            "missing": total.missing,
            "requests": self.requests,
            "retried": self.retried,
            "deferrals": self.deferrals,
            "throttled_seconds": round(throttled_seconds, 3),
            "duration_seconds": round(self.duration_seconds, 3),
            "source_exhausted": self.source_exhausted,
            "rejected_path": rejected_path,
            "reasons": _commonest(total.reasons, OTHER_REASONS),
            "dropped": dropped,
        }

    def _checkpoint(self, read: int, tally: Tally, done: Ranges, doubt: Ranges) -> Checkpoint:
        return Checkpoint(
            mark=self.mark,
            read=read,
            tally=tally,
            done=done,
            doubt=doubt,
            requests=self.requests,
            retried=self.retried,
            deferrals=self.deferrals,
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
                "row": _written(entry.row, code),
            }
        )

    def _stretch(self, position: int) -> Stretch:
        for stretch in reversed(self._stretches):
            if stretch.holds(position):
                return stretch
        # A repeated row, refused at the end with the one that it repeats.
        return self._stretches[-1]

    def _look_at(self, stretch: Stretch) -> None:
        """Let go of a stretch that is complete, and move the mark past all that stand together."""
        if not stretch.complete or stretch.end is None:
            return
        self._stretches.remove(stretch)
        self._ahead[stretch.start] = (stretch.end, stretch.tally(), stretch.lines)
        while self.mark in self._ahead:
            self.mark, tally, lines = self._ahead.pop(self.mark)
            self._lines += lines
            self._finished.add(tally)
            self._finished.reasons = _gathered(self._finished.reasons, OTHER_REASONS)
            self._finished.dropped = _gathered(self._finished.dropped, OTHER_DROPPED)

    def _doubt(self, batch: Batch) -> None:
        # Events count each, since a repeated event is a duplicate; several can stand in one row.
        events = (form.events or 1 for form in batch.forms)
        self._stretch(batch.positions[0]).doubtful.update(zip(batch.positions, events, strict=True))

    def _total(self) -> Tally:
        total = Tally()
        for tally in self._tallies():
            total.add(tally)
        return total

    def _any_accepted(self) -> bool:
        ahead = any(tally.accepted for _, tally, _ in self._ahead.values())
        return bool(self._finished.accepted or ahead or any(stretch.accepted for stretch in self._stretches))

    def _tallies(self) -> Iterator[Tally]:
        yield self._finished
        for _, tally, _ in self._ahead.values():
            yield tally
        for stretch in self._stretches:
            yield stretch.tally()

    def _unsent(self, total: Tally) -> int:
        return self.read - total.accepted - self.valid - total.rejected


def _gathered(reasons: Counter[Reason], other: Reason) -> Counter[Reason]:
    """Count all but the commonest together once there are too many: their number must not grow with the rows."""
    if len(reasons) <= MAX_REASONS_COUNTED:
        return reasons
    named = Counter(dict(reasons.most_common(MAX_REASONS_COUNTED // 2)))
    named[other] = reasons.total() - named.total() + named[other]
    return named


def _commonest(reasons: Counter[Reason], other: Reason) -> dict[Reason, int]:
    """Return as many as a report names, the commonest first, and the rest together."""
    if len(reasons) <= MAX_REASONS:
        return dict(reasons.most_common())
    named = [(reason, count) for reason, count in reasons.most_common() if reason != other][: MAX_REASONS - 1]
    return {**dict(named), other: reasons.total() - sum(count for _, count in named)}
