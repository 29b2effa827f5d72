"""How far a run is while it lasts: a line in the log, and what a dashboard may show."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_moengage.api.rate_limit.limiter import RateLimiter
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.segments import Tally
from airflow_provider_moengage.delivery.quantities import counted, span

log = logging.getLogger(__name__)

#: Seconds between two lines; a shorter run has those of its beginning and its end alone.
INTERVAL = 10.0
#: Characters of a line: Airflow's page of a log cuts longer ones off in a window of ordinary width.
LINE_LENGTH = 100


@dataclass(frozen=True)
class Progress:
    """
    How far a run is; its text is the line for the log, of :data:`LINE_LENGTH` characters at most.

    :param accepted: rows that MoEngage took.
    :param valid: rows found good that were not to be sent.
    :param rejected: rows rejected, by us or by MoEngage.
    :param total: rows in all; None as long as nobody knows.
    :param seconds: since the run began.
    :param throttled_seconds: spent waiting for rate windows, the present wait included.
    :param resets_in: seconds until the rate window resets that is waited for; None while none is.
    :param earlier: what earlier tries of the task did of it.
    :param windows_seconds: seconds that pass at least before the rate windows have granted the rest.
    """

    accepted: int
    valid: int
    rejected: int
    total: int | None
    seconds: float
    throttled_seconds: float
    resets_in: float | None
    earlier: Tally = field(default_factory=Tally)
    windows_seconds: float = 0.0

    @classmethod
    def of(
        cls,
        ledger: Ledger,
        windows: RateLimiter | None,
        *,
        seconds: float,
        throttled_seconds: float,
        resets_in: float | None = None,
    ) -> Progress:
        """
        Read what the ledger has counted so far, from any thread.

        :param windows: the client's; None: there is no client yet.
        :param resets_in: seconds until the reset for whose sake the run is deferred; None: it is not.
        """
        tally = ledger.total()
        total = ledger.read if ledger.source_exhausted else None
        done = tally.accepted + ledger.valid + tally.rejected
        if resets_in is None and windows is not None:
            resets_in = windows.resets_in
        windows_seconds = 0.0
        if windows is not None and total is not None and not ledger.valid:
            # As many of the rows to come cost a unit as of those before.
            share = tally.accepted / done if done else 1.0
            windows_seconds = windows.seconds_for(int((total - done) * share))
        return cls(
            accepted=tally.accepted,
            valid=ledger.valid,
            rejected=tally.rejected,
            total=total,
            seconds=seconds,
            throttled_seconds=throttled_seconds,
            resets_in=resets_in,
            earlier=ledger.earlier,
            windows_seconds=windows_seconds,
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
        """
        Seconds until all rows are done, at this pace and not before the rate windows allow it.

        None where that cannot be said.
        """
        if self.total is None or self.done >= self.total:
            return None
        least = max(self.windows_seconds, self.resets_in or 0.0)
        if self.done > self.earlier.settled:
            return max((self.total - self.done) / self.rows_per_second, least)
        return least or None

    @property
    def summary(self) -> str:
        """The share, the rows and the time to go, such as ``20 % (300 of 1,500), about 80 s to go``."""
        return ", ".join(self._first_parts())

    def __str__(self) -> str:
        always = [*self._first_parts(), f"{self.rejected:,} rejected"]
        pace = [_pace(self.rows_per_second)]
        wait = [] if self.resets_in is None else [f"window full, {span(self.resets_in)} more"]
        # The pace can be worked out from the rest, so it is left out first.
        lines = [", ".join(parts) for parts in ([*always, *pace, *wait], [*always, *wait], always)]
        return next((line for line in lines if len(line) <= LINE_LENGTH), lines[-1])

    def _first_parts(self) -> list[str]:
        if not self.total:
            return [f"{counted(self.done, 'row')} done"]
        # Rounded down: 100 % stands for all rows and for nothing less.
        parts = [f"{100 * self.done // self.total} % ({self.done:,} of {self.total:,})"]
        if self.seconds_to_go is not None:
            parts.append(f"about {span(self.seconds_to_go)} to go")
        return parts


Observe = Callable[[Progress], None]


class ProgressReporter:
    """
    Logs how far a run is from a thread of its own, because all others may be waiting for a rate window.

    :param look: returns the progress, from the seconds since the run began; called from that thread.
    :param observe: called with the progress at every interval and once at the end, never twice at a time; what
        it raises is logged, and it is not called again.
    """

    def __init__(self, look: Callable[[float], Progress], observe: Observe | None = None) -> None:
        self._look = look
        self._observe = observe
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._report, name="moengage-progress", daemon=True)
        self._began = 0.0
        #: The progress at the end; None before.
        self.last: Progress | None = None

    def begin(self) -> None:
        """Start the thread."""
        self._began = time.monotonic()
        self._thread.start()

    def end(self) -> None:
        """Stop the thread, and pass the progress on for the last time."""
        self._ended.set()
        self._thread.join()
        self.last = self._pass_on()

    def _report(self) -> None:
        while not self._ended.wait(INTERVAL):
            log.info("%s", self._pass_on())

    def _pass_on(self) -> Progress:
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
    return f"{rows_per_second:,.{0 if rows_per_second >= 10 else 1}f}/s"
