"""Waits of threads: in parts, so that signals are handled, and counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

#: Seconds. Python runs a signal handler in the main thread, which a signal does not wake if it comes just before the thread
#: waits, or to another thread. So the main thread waits no longer than this at a time.
SIGNAL_INTERVAL = 1.0


def wait_for(lock: Lock, seconds: float) -> None:
    """
    Wait until another thread releases a lock.

    :param seconds: the maximum; infinity: no maximum.
    """
    until = time.monotonic() + seconds
    while not lock.acquire(timeout=max(0.0, min(until - time.monotonic(), SIGNAL_INTERVAL))):
        if time.monotonic() >= until:
            return


class Waits:
    """
    Counts the seconds during which at least one thread waits; the caller holds a lock.

    :param clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting = 0
        self._since = 0.0
        self._seconds = 0.0

    @property
    def going_on(self) -> bool:
        """Whether a thread waits now."""
        return self._waiting > 0

    @property
    def seconds(self) -> float:
        """Return the seconds until now."""
        return self._seconds + (self._clock() - self._since if self._waiting else 0.0)

    def begin(self) -> None:
        """Count a thread that waits from now on."""
        if self._waiting == 0:
            self._since = self._clock()
        self._waiting += 1

    def end(self) -> None:
        """Count a thread that waits no more."""
        self._waiting -= 1
        if self._waiting == 0:
            self._seconds += self._clock() - self._since
