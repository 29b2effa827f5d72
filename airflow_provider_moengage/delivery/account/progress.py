"""The progress of a run, for the log and for dashboards."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_moengage.api.rate_limit.limiter import RateLimiter
from airflow_provider_moengage.api.rate_limit.window_state import WindowView
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.segments import Tally
from airflow_provider_moengage.delivery.background import BackgroundThread
from airflow_provider_moengage.delivery.quantities import counted, span

log = logging.getLogger(__name__)

#: Seconds between two log lines; a shorter run logs only its start and its end.
INTERVAL = 10.0
#: Maximum characters of a line: Airflow's log view truncates longer ones in a window of ordinary width.
LINE_LENGTH = 100
#: Maximum number of reasons of rejection that the progress names.
MAX_REASONS = 5


@dataclass(frozen=True)
class Progress:
    """
    The progress of a run; its text is a log line of at most :data:`LINE_LENGTH` characters.

    :param accepted: rows that MoEngage accepted.
    :param valid: rows that passed every check and were not to be sent.
    :param rejected: rows rejected, by MoEngage or by a check before it.
    :param total: rows in all; None: not known yet.
    :param seconds: since the run started.
    :param throttled_seconds: spent waiting for rate windows, the current wait included.
    :param resets_in: seconds until the awaited rate window resets; None: no wait is going on.
    :param earlier: counts of earlier attempts of the task.
    :param windows_seconds: minimum seconds until the rate windows have granted the remaining rows.
    :param unchanged: rows not sent, because MoEngage accepted the same record before.
    :param settled_before: of the rows done, those of earlier attempts; unlike ``earlier``, none since a deferral.
    :param requests: requests sent in this attempt, retries included.
    :param retried: retries among them.
    :param deferrals: how often the task was deferred until a rate window reset.
    :param duration_seconds: since the attempt started, deferrals included.
    :param windows: the rate windows.
    :param reasons: the most common reasons of rejection and their rows, at most :data:`MAX_REASONS`.
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
    unchanged: int = 0
    settled_before: int = 0
    requests: int = 0
    retried: int = 0
    deferrals: int = 0
    duration_seconds: float = 0.0
    windows: tuple[WindowView, ...] = ()
    reasons: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls,
        ledger: Ledger,
        windows: RateLimiter,
        *,
        seconds: float,
        throttled_seconds: float,
        resets_in: float | None = None,
    ) -> Progress:
        """
        Return the progress according to the ledger; may be called from any thread.

        :param windows: the client's rate windows.
        :param resets_in: seconds until the reset that a deferral waits for; None: the run is not deferred.
        """
        tally = ledger.total()
        total = ledger.read if ledger.source_exhausted else None
        done = tally.settled + ledger.valid
        if resets_in is None:
            resets_in = windows.resets_in
        windows_seconds = 0.0
        if total is not None and not ledger.valid:
            # Assume that the same share of the remaining rows costs a unit.
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
            unchanged=tally.unchanged,
            settled_before=ledger.settled_before,
            requests=ledger.requests,
            retried=ledger.retried,
            deferrals=ledger.deferrals,
            duration_seconds=ledger.duration_seconds,
            windows=windows.views(),
            reasons=tuple(tally.reasons.most_common(MAX_REASONS)),
        )

    @property
    def done(self) -> int:
        """Rows with a known outcome."""
        return self.accepted + self.valid + self.rejected + self.unchanged

    @property
    def rows_per_second(self) -> float:
        """
        The mean over the whole run.

        A window's rows are sent at once and followed by a wait, so a wait counts in full as soon as it starts.
        """
        return (self.done - self.earlier.settled) / max(self.seconds + (self.resets_in or 0.0), 0.001)

    @property
    def seconds_to_go(self) -> float | None:
        """
        Seconds until all rows are done, at the current rate and within the rate windows.

        None: not known.
        """
        if self.total is None or self.done >= self.total:
            return None
        minimum = max(self.windows_seconds, self.resets_in or 0.0)
        if self.done > self.earlier.settled:
            return max((self.total - self.done) / self.rows_per_second, minimum)
        return minimum or None

    @property
    def summary(self) -> str:
        """The share, the rows and the time to go, such as ``20 % (300 of 1,500), about 80 s to go``."""
        return ", ".join(self._first_parts())

    def __str__(self) -> str:
        always = [*self._first_parts(), f"{self.rejected:,} rejected"]
        pace = [_pace(self.rows_per_second)]
        wait = [] if self.resets_in is None else [f"window full, {span(self.resets_in)} more"]
        # The rate can be derived from the rest, so it is left out first.
        lines = [", ".join(parts) for parts in ([*always, *pace, *wait], [*always, *wait], always)]
        return next((line for line in lines if len(line) <= LINE_LENGTH), lines[-1])

    def _first_parts(self) -> list[str]:
        if not self.total:
            return [f"{counted(self.done, 'row')} done"]
        # Rounded down, so that 100 % means all rows.
        parts = [f"{100 * self.done // self.total} % ({self.done:,} of {self.total:,})"]
        if self.seconds_to_go is not None:
            parts.append(f"about {span(self.seconds_to_go)} to go")
        return parts


Observe = Callable[[Progress], None]


class ProgressReporter:
    """
    Logs the progress from a thread of its own, since all others may be waiting for a rate window.

    :param look: returns the progress, given the seconds since the run started; called from that thread.
    :param observe: called with the progress at every interval and once at the end, never concurrently; an exception is
        logged, and it is not called again.
    """

    def __init__(self, look: Callable[[float], Progress], observe: Observe | None = None) -> None:
        self._look = look
        self._observe = observe
        self._ended = threading.Event()
        self._thread = BackgroundThread(self._report)
        self._began = 0.0
        #: The progress at the end of the run; None before.
        self.last: Progress | None = None

    def begin(self) -> None:
        """Start the thread."""
        self._began = time.monotonic()
        self._thread.start()

    def now(self) -> Progress:
        """Return the progress; may be called from any thread."""
        return self._look(time.monotonic() - self._began)

    def end(self) -> None:
        """Stop the thread and report the progress for the last time."""
        self._ended.set()
        self._thread.join()
        self.last = self._notify()

    def _report(self) -> None:
        while not self._ended.wait(INTERVAL):
            log.info("%s", self._notify())

    def _notify(self) -> Progress:
        progress = self.now()
        if self._observe is not None:
            try:
                self._observe(progress)
            except Exception as error:
                # A failing dashboard must not fail the run.
                self._observe = None
                log.warning(
                    "Progress is no longer reported to the observer: %s: %s", type(error).__name__, error
                )
        return progress


def _pace(rows_per_second: float) -> str:
    return f"{rows_per_second:,.{0 if rows_per_second >= 10 else 1}f}/s"
