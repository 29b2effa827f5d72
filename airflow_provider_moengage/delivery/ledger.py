"""What became of every row: counts, reasons, the refused rows themselves, the report."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from datetime import tzinfo
from typing import Any

from airflow_provider_moengage.api.answers import Answer
from airflow_provider_moengage.api.client import Exchange
from airflow_provider_moengage.api.errors import MoEngageError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batches import Batch, Entry
from airflow_provider_moengage.delivery.conversion import readable
from airflow_provider_moengage.delivery.rejected import RejectedParts

log = logging.getLogger(__name__)

#: Reasons a report names; the rest is counted together.
MAX_REASONS = 20
MAX_REASONS_COUNTED = 1_000
OTHER_REASONS = "other reasons"
#: Refused rows that are named in the log, one line each.
LOGGED_REFUSALS = 10
#: Refusals of one type, without one success, after which the fault is not the rows'.
HOPELESS_REFUSALS = 50


def _written(row: object, zone: tzinfo | None) -> Any:
    try:
        return readable(row, zone)
    except RecursionError:
        return type(row).__name__


class Ledger:
    """
    Settles rows, from any thread; at every moment read = accepted + valid + rejected + unsent.

    :param parts: where refused rows are written; None: nowhere.
    :param zone: the zone of datetimes that carry none, as refused rows show them.
    """

    def __init__(self, parts: RejectedParts | None = None, zone: tzinfo | None = None) -> None:
        self.read = 0
        self.accepted = 0
        self.valid = 0
        self.rejected = 0
        self.unknown = 0
        self.missing = 0
        self.requests = 0
        self.retried = 0
        self.reasons: Counter[str] = Counter()
        self.source_exhausted = False
        self._refused_types: Counter[str] = Counter()
        self._parts = parts
        self._zone = zone
        self._lock = threading.Lock()
        self._began = time.monotonic()

    @property
    def unsent(self) -> int:
        """Rows read of which nothing is known to have arrived and nothing to have been refused."""
        return self.read - self.accepted - self.valid - self.rejected

    @property
    def hopeless(self) -> str | None:
        """The type of error that MoEngage gave to fifty rows and more without taking one."""
        with self._lock:
            if self.accepted or not self._refused_types:
                return None
            kind, count = self._refused_types.most_common(1)[0]
            return kind if count >= HOPELESS_REFUSALS else None

    def found_valid(self) -> None:
        """Count a row that passed every check and was not to be sent."""
        with self._lock:
            self.valid += 1

    def accept_repeated(self, rows: int) -> None:
        """Enter rows that repeat others: where every other row is settled, they are."""
        with self._lock:
            if self.unsent == rows:
                self.accepted += rows

    def forgive(self, batch: Batch) -> None:
        """Enter rows that MoEngage had nothing to do for."""
        with self._lock:
            self.accepted += len(batch)
            self.missing += len(batch)

    def settle(self, batch: Batch, exchange: Exchange) -> None:
        """Enter what came of a batch: accepted, refused, or, by entering neither, unsent."""
        outcome = exchange.outcome
        with self._lock:
            self.requests += exchange.requests
            self.retried += max(0, exchange.requests - 1)
            if exchange.unanswered and not batch.unknown:
                # Events count each, since a repeated event is a duplicate; several can stand in one row.
                self.unknown += sum(form.events or 1 for form in batch.forms)
            if isinstance(outcome, Answer):
                self.accepted += len(batch)

    def refuse(self, entry: Entry, error: MoEngageError) -> None:
        """
        Enter a row that was refused, by us or by MoEngage.

        :raises OSError: the folder of refused rows cannot be written.
        """
        if isinstance(error, MoEngageRecordInvalid):
            code, detail = error.code, None
        else:
            code, detail = error.type or f"http_{error.status}", error.message
        reason = str(error)
        with self._lock:
            self.rejected += 1
            known = reason in self.reasons or len(self.reasons) < MAX_REASONS_COUNTED
            self.reasons[reason if known else OTHER_REASONS] += 1
            if error.status is not None:
                self._refused_types[code] += 1
            if self.rejected <= LOGGED_REFUSALS:
                # MoEngage's own words stay out of the log: they may quote the row.
                log.warning("Row %d refused: %s", entry.position, reason)
            if self._parts is not None:
                self._parts.add(
                    {
                        "position": entry.position,
                        "reason": f"{reason}: {detail}" if detail else reason,
                        "code": code,
                        "request_id": error.request_id,
                        "row": _written(entry.row, self._zone),
                    }
                )

    def flush(self) -> None:
        """
        Write the refused rows that are still held.

        :raises OSError: the folder of refused rows cannot be written.
        """
        with self._lock:
            if self._parts is not None:
                self._parts.flush()

    def report(self, throttled_seconds: float) -> dict[str, Any]:
        """Sum up the run as JSON."""
        reasons = dict(self.reasons.most_common())
        if len(reasons) > MAX_REASONS:
            reasons.pop(OTHER_REASONS, None)
            reasons = dict(list(reasons.items())[: MAX_REASONS - 1])
            reasons[OTHER_REASONS] = self.rejected - sum(reasons.values())
        written = self._parts is not None and self._parts.written > 0
        return {
            "read": self.read,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "unsent": self.unsent,
            "unknown": self.unknown,
            "missing": self.missing,
            "requests": self.requests,
            "retried": self.retried,
            "throttled_seconds": round(throttled_seconds, 3),
            "duration_seconds": round(time.monotonic() - self._began, 3),
            "source_exhausted": self.source_exhausted,
            "rejected_path": self._parts.folder if written and self._parts else None,
            "reasons": reasons,
        }
