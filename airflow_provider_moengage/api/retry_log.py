"""Says in the log that requests are being repeated, however many threads repeat theirs at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from airflow_provider_moengage.api.errors import MoEngageError, MoEngageNetworkError

log = logging.getLogger(__name__)

#: Seconds between two lines of one kind.
INTERVAL = 5.0


class RetryLog:
    """
    Counts the requests of one client that are being repeated, and logs them together; usable from many threads.

    :param attempts: how often a request is sent at most.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(self, attempts: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = attempts
        self._clock = clock
        self._lock = threading.Lock()
        self._repeated = 0
        self._next_line = {"repeated": 0.0, "given up": 0.0}

    def failed(self, error: MoEngageError, attempt: int, pause: float) -> None:
        """
        Log that a request is sent again after a pause.

        :param error: what came of it.
        :param attempt: how often it was sent, from 1.
        :param pause: seconds.
        """
        with self._lock:
            self._repeated += attempt == 1
            number = self._repeated
            due = self._is_due("repeated")
        if due:
            log.warning(
                "%s: attempt %d of %d in %.1f s (%s repeated)",
                _said(error),
                attempt + 1,
                self._attempts,
                pause,
                "1 request is" if number == 1 else f"{number} requests are",
            )

    def given_up(self, error: MoEngageError) -> None:
        """Log that a request was sent as often as it may be, and no answer accepted it."""
        with self._lock:
            due = self._is_due("given up")
        if due:
            log.warning("%s: a request is given up after %d attempts", _said(error), self._attempts)

    def ended(self, attempts: int) -> None:
        """
        Count a request as one that is not repeated any more.

        :param attempts: how often it was reported as :meth:`failed`.
        """
        if attempts:
            with self._lock:
                self._repeated -= 1

    def _is_due(self, kind: str) -> bool:
        now = self._clock()
        if now < self._next_line[kind]:
            return False
        self._next_line[kind] = now + INTERVAL
        return True


def _said(error: MoEngageError) -> str:
    """Return what came of a request, without the words of an answer: they may quote a row."""
    if isinstance(error, MoEngageNetworkError):
        return error.summary
    return f"MoEngage answered {error.status}"
