"""Counts the time that threads wait."""

from __future__ import annotations

from collections.abc import Callable


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
