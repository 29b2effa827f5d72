"""Logs retries, at a limited rate however many threads retry at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from airflow_provider_moengage.api.errors import MoEngageError, MoEngageNetworkError

log = logging.getLogger(__name__)

#: The minimum number of seconds between two lines of one kind.
INTERVAL = 5.0


class RetryLog:
    """
    Counts the requests of one client that are being retried, and logs them together; thread-safe.

    :param attempts: the maximum number of attempts of a request.
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
        Log that a request will be retried after a pause.

        :param error: the outcome of the attempt.
        :param attempt: the number of the attempt, from 1.
        :param pause: seconds.
        """
        with self._lock:
            self._repeated += attempt == 1
            number = self._repeated
            due = self._is_due("repeated")
        if due:
            log.warning(
                "%s: attempt %d of %d in %.1f s (%s repeated)",
                _describe(error),
                attempt + 1,
                self._attempts,
                pause,
                "1 request is" if number == 1 else f"{number} requests are",
            )

    def given_up(self, error: MoEngageError) -> None:
        """Log that a request was not accepted within the maximum number of attempts."""
        with self._lock:
            due = self._is_due("given up")
        if due:
            log.warning("%s: a request is given up after %d attempts", _describe(error), self._attempts)

    def ended(self, attempts: int) -> None:
        """
        Stop counting a request as being retried.

        :param attempts: how often it was reported to :meth:`failed`.
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


def _describe(error: MoEngageError) -> str:
    """Describe an error without the text of a response, which may quote a row."""
    if isinstance(error, MoEngageNetworkError):
        return error.summary
    return f"MoEngage answered {error.status}"
