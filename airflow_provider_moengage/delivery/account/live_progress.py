"""The progress of a task as JSON, written every few seconds to where people can read it while the task runs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Literal

from airflow_provider_moengage.delivery.account.progress import Progress
from airflow_provider_moengage.delivery.background import BackgroundThread
from airflow_provider_moengage.delivery.report import Report

log = logging.getLogger(__name__)

#: The key of the progress in Airflow's task state store, or in XCom.
PROGRESS_KEY = "progress"
#: Seconds between two writes.
INTERVAL = 3.0
#: Seconds until the first one; a shorter run writes only how it ended.
FIRST = 1.0
#: Maximum seconds between two attempts to write, while they fail.
MAX_INTERVAL = 60.0
#: Maximum seconds that the end of a run waits for its last write; Airflow 3 kills a task five seconds after SIGTERM.
LAST_WRITE = 2.0
#: Maximum length of an error's text.
MAX_ERROR = 1_000

#: How the last progress says that a task ended.
Ending = Literal["success", "failed", "deferred", "skipped"]
ProgressJson = dict[str, Any]


class LiveProgress:
    """
    Writes the progress of one task instance.

    Errors are logged once and never raised: nobody's rows wait for a page.

    :param write: stores the JSON in place of the last one.
    :param place: where it stores it, for the log.
    :param attempt: the number of the task's attempt.
    :param in_thread: write from a thread of its own; else from the threads that call :meth:`tick` and :meth:`end`, if
        ``write`` must not be called while another thread talks to Airflow.
    :param ticks: whether, without a thread, every :meth:`tick` may write; else only the first one, after which other
        threads talk to Airflow.
    """

    def __init__(
        self,
        write: Callable[[ProgressJson], None],
        place: str,
        attempt: int,
        *,
        in_thread: bool = True,
        ticks: bool = True,
    ) -> None:
        self._write_to = write
        self._place = place
        self._attempt = attempt
        self._ticks = ticks
        self._look: Callable[[], Progress] | None = None
        self._last: Callable[[], ProgressJson] = self._now
        self._ended = threading.Event()
        self._thread = BackgroundThread(self._run) if in_thread else None
        self._due = 0.0
        self._warned = False

    def watch(self, look: Callable[[], Progress]) -> None:
        """Write from now on what a function returns, which is called from any thread."""
        self._look = look
        if self._thread is not None:
            self._begin(self._thread)
        elif self._ticks:
            self._due = time.monotonic() + FIRST

    def tick(self) -> None:
        """Write the progress, if that is due and no thread does; called after each request."""
        if self._thread is None and time.monotonic() >= self._due:
            began = time.monotonic()
            self._write(self._now)
            # The rows wait for it: a slow server is asked so seldom that it costs a hundredth of the time at most.
            pause = max(INTERVAL, 100 * (time.monotonic() - began)) if self._ticks else math.inf
            self._due = time.monotonic() + pause

    def end(
        self,
        state: Ending,
        report: Report | None = None,
        *,
        error: str | None = None,
        resumes_at: datetime | None = None,
    ) -> None:
        """
        Write how the task ended, and wait two seconds at most until it is written.

        :param report: has the final counts; None: there is no report.
        :param error: what failed the task, without any value of a row.
        :param resumes_at: when a deferred task resumes.
        """
        self._last = partial(self._final, state, report, error, resumes_at)
        self._ended.set()
        if self._thread is None:
            self._write(self._last)
            return
        if not self._thread.started:
            self._begin(self._thread)
        if self._thread.started:
            self._thread.join(LAST_WRITE)

    def _begin(self, thread: BackgroundThread) -> None:
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("The progress is not written: %s", error)

    def _run(self) -> None:
        pause = FIRST
        while not self._ended.wait(pause):
            pause = INTERVAL if self._write(self._now) else min(2 * max(pause, INTERVAL), MAX_INTERVAL)
        self._write(self._last)

    def _write(self, progress: Callable[[], ProgressJson]) -> bool:
        """Write the progress; whether that succeeded."""
        try:
            self._write_to(progress())
        except Exception as error:
            if not self._warned:
                log.warning("The progress cannot be written to %s: %s", self._place, type(error).__name__)
            self._warned = True
            return False
        return True

    def _now(self) -> ProgressJson:
        return as_json(self._look() if self._look is not None else None, self._attempt)

    def _final(
        self, state: Ending, report: Report | None, error: str | None, resumes_at: datetime | None
    ) -> ProgressJson:
        last = self._now()
        goes_on = state == "deferred"
        return {
            **last,
            **({} if report is None else _counts(report)),
            "state": state,
            "waiting_until": None if resumes_at is None else _iso(resumes_at),
            "seconds_to_go": last["seconds_to_go"] if goes_on else None,
            "finished_at": None if goes_on else last["updated_at"],
            "error": error and error[:MAX_ERROR],
        }


def as_json(progress: Progress | None, attempt: int) -> ProgressJson:
    """
    Return the progress as JSON, with times in UTC.

    :param progress: None: nothing has been read yet.
    :param attempt: the number of the task's attempt.
    """
    now = _utc_now()
    at = progress or Progress(0, 0, 0, None, 0.0, 0.0, None)
    waits = at.resets_in is not None
    to_go = at.seconds_to_go
    return {
        "state": "waiting" if waits else "running",
        "attempt": attempt,
        "deferrals": at.deferrals,
        "done": at.done,
        "of": at.total,
        "accepted": at.accepted,
        "valid": at.valid,
        "rejected": at.rejected,
        "unchanged": at.unchanged,
        "requests": at.requests,
        "retried": at.retried,
        "windows": [
            {
                "quota": window.quota,
                "limit": window.limit,
                "capacity": window.capacity,
                "used": window.capacity - window.left,
                "left": window.left,
                "period_seconds": window.period,
                "resets_in_seconds": None if window.resets_in is None else round(window.resets_in, 1),
            }
            for window in at.windows
        ],
        "throttled_seconds": round(at.throttled_seconds, 1),
        "waiting_until": _iso(now + timedelta(seconds=at.resets_in)) if at.resets_in is not None else None,
        # Over the whole attempt, deferrals included; a wait counts in full as soon as it starts.
        "rows_per_second": round(
            (at.done - at.settled_before) / max(at.duration_seconds + (at.resets_in or 0.0), 0.001), 2
        ),
        "seconds_to_go": None if to_go is None else round(to_go, 1),
        # A list: an object's order would not survive a database.
        "reasons": [{"reason": reason, "rows": rows} for reason, rows in at.reasons],
        "started_at": _iso(now - timedelta(seconds=at.duration_seconds)),
        "updated_at": _iso(now),
        "finished_at": None,
        "error": None,
    }


def _counts(report: Report) -> ProgressJson:
    """Return the counts of a report under the names of the progress."""
    valid, unchanged = report.get("valid", 0), report.get("unchanged", 0)
    return {
        "deferrals": report["deferrals"],
        "done": report["accepted"] + report["rejected"] + unchanged + valid,
        "of": report["read"] if report["source_exhausted"] else None,
        "accepted": report["accepted"],
        "valid": valid,
        "rejected": report["rejected"],
        "unchanged": unchanged,
        "requests": report["requests"],
        "retried": report["retried"],
        "throttled_seconds": round(report["throttled_seconds"], 1),
    }


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
