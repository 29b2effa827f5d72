"""How far a run is, told while it lasts: a line in the log, and what a dashboard may show."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_moengage.delivery.ledger import Ledger
from airflow_provider_moengage.delivery.stretches import Tally

log = logging.getLogger(__name__)

#: Seconds between two lines; a shorter run has the line of its end alone.
INTERVAL = 10.0


@dataclass(frozen=True)
class Progress:
    """
    How far a run is; its text is the line for the log.

    :param accepted: rows that MoEngage took.
    :param valid: rows found good that were not to be sent.
    :param rejected: rows refused, by us or by MoEngage.
    :param total: rows in all; None as long as nobody knows.
    :param seconds: since the run began.
    :param throttled_seconds: spent waiting for rate windows, the present wait included.
    :param resets_in: seconds until the rate window resets that is waited for; None while none is.
    :param earlier: what earlier tries of the task did of it.
    """

    accepted: int
    valid: int
    rejected: int
    total: int | None
    seconds: float
    throttled_seconds: float
    resets_in: float | None
    earlier: Tally = field(default_factory=Tally)

    @classmethod
    def of(
        cls, ledger: Ledger, *, seconds: float, throttled_seconds: float, resets_in: float | None
    ) -> Progress:
        """Read what the ledger has counted so far, from any thread."""
        total = ledger.total()
        return cls(
            accepted=total.accepted,
            valid=ledger.valid,
            rejected=total.rejected,
            total=ledger.read if ledger.source_exhausted else None,
            seconds=seconds,
            throttled_seconds=throttled_seconds,
            resets_in=resets_in,
            earlier=ledger.earlier,
        )

    @property
    def done(self) -> int:
        """Rows of which the fate is known."""
        return self.accepted + self.valid + self.rejected

    @property
    def rows_per_second(self) -> float:
        """
        The mean over the whole run.

        A window's rows leave at once and pay for the wait after them: so a wait counts to its end as soon as it
        has begun.
        """
        return (self.done - self.earlier.settled) / max(self.seconds + (self.resets_in or 0.0), 0.001)

    @property
    def seconds_to_go(self) -> float | None:
        """Seconds until all rows are done, at this pace; None where that cannot be said."""
        if self.total is None or not self.earlier.settled < self.done < self.total:
            return None
        return max((self.total - self.done) / self.rows_per_second, self.resets_in or 0.0)

    def __str__(self) -> str:
        parts = [f"{self.done:,} rows done", f"{self.rejected:,} refused", _pace(self.rows_per_second)]
        if self.total:
            # Rounded down: 100 % is said of all rows and of nothing less.
            parts[0] = f"{self.done:,} of {self.total:,} rows done ({100 * self.done // self.total} %)"
        if self.rejected:
            parts[1] += f" ({100 * self.rejected / self.done:.2f} %)"
        if self.resets_in is not None:
            so_far, more = _span(self.throttled_seconds), _span(self.resets_in)
            parts.append(f"waiting for the rate window ({so_far} so far, {more} more)")
        elif self.throttled_seconds:
            parts.append(f"waited {_span(self.throttled_seconds)} for the rate window")
        if self.seconds_to_go is not None:
            parts.append(f"about {_span(self.seconds_to_go)} to go")
        return ", ".join(parts)


Observe = Callable[[Progress], None]


class ProgressReporter:
    """
    Tells of a run from a thread of its own, because all others may be waiting for a rate window.

    :param look: gives the progress, from the seconds since the run began; called from that thread.
    :param observe: called with the progress at every interval and once at the end, never twice at a time; what
        it raises is logged, and it is not called again.
    """

    def __init__(self, look: Callable[[float], Progress], observe: Observe | None = None) -> None:
        self._look = look
        self._observe = observe
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._report, name="moengage-progress", daemon=True)
        self._began = 0.0

    def begin(self) -> None:
        """Begin to tell."""
        self._began = time.monotonic()
        self._thread.start()

    def end(self) -> None:
        """Tell for the last time."""
        self._ended.set()
        self._thread.join()
        progress = self._tell()
        log.info("Ended after %s: %s", _span(progress.seconds), progress)

    def _report(self) -> None:
        while not self._ended.wait(INTERVAL):
            log.info("%s", self._tell())

    def _tell(self) -> Progress:
        progress = self._look(time.monotonic() - self._began)
        if self._observe is not None:
            try:
                self._observe(progress)
            except Exception as error:
                # A dashboard must not cost a row.
                self._observe = None
                log.warning("The progress is not passed on any more: %s: %s", type(error).__name__, error)
        return progress


def _pace(rows_per_second: float) -> str:
    return f"{rows_per_second:,.{0 if rows_per_second >= 10 else 1}f} rows/s"


def _span(seconds: float) -> str:
    """Write seconds as people say them: ``41 s``, ``2 min``, ``2 h 46 min``."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{minutes:,} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
