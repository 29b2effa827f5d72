"""Limits the requests in flight of one run, across its threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from airflow_provider_moengage.api.concurrency.limit import START, ConcurrencyLimit
from airflow_provider_moengage.api.endpoint import Units
from airflow_provider_moengage.api.rate_limit.limiter import Permit, RateLimiter


class ConcurrencyLimiter:
    """
    Grants permits to as many requests as may be in flight; thread-safe.

    One thread at a time asks for a permit: while the rate window is spent, a response wakes one thread and not all of
    them, and a window in Redis is asked once.

    :param windows: the rate windows, whose permits are granted.
    :param maximum: the maximum number of requests in flight.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        windows: RateLimiter,
        maximum: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = windows
        self._maximum = maximum
        self._clock = clock
        self._limit = ConcurrencyLimit(maximum)
        # A plain lock, and no wait while it is held, as in the rate window.
        self._lock = threading.Lock()
        self._sleepers: deque[threading.Lock] = deque()
        #: Whether a thread has the turn to ask for a permit.
        self._asking = False
        self._stopped = False
        self._pausing = 0
        self._on_pause: Callable[[], None] | None = None
        #: The most requests that were in flight.
        self.peak = 0

    @property
    def limit(self) -> int:
        """Return the number of requests that may be in flight now."""
        return self._limit.limit

    @property
    def threads(self) -> int:
        """
        Return the number of threads that are of use: one for each request that may be in flight, and up to :data:`START`
        for those that pause before a retry.
        """
        return min(self._limit.limit + min(self._pausing, START), self._maximum)

    def acquire(
        self,
        units: Units,
        halt: threading.Event,
        minimum: Units | None = None,
        max_wait: float | None = None,
    ) -> Permit:
        """
        Wait until a request may be sent, and return its permit; to be followed by :meth:`release`.

        Parameters and errors are those of :meth:`RateLimiter.acquire`.
        """
        self._wait_for_turn()
        permit = None
        try:
            permit = self._windows.acquire(units, halt, minimum, max_wait)
        finally:
            with self._lock:
                if permit is not None:
                    self._limit.begin()
                    self.peak = max(self.peak, self._limit.in_flight)
                self._pass_turn()
        return permit

    def release(self, units: Units, began: float, latency: float | None, *, failed: bool) -> None:
        """
        Count the end of a request; parameters as of :meth:`ConcurrencyLimit.end`.

        :param units: the cost of the request, by quota.
        """
        rate = inf
        for quota, count in units.items():
            window = self._windows.window(quota)
            rate = min(rate, window.capacity / window.period / max(1, count))
        with self._lock:
            self._limit.end(self._clock(), began, latency, failed=failed, rate=rate)
            if not self._asking:
                self._pass_turn()

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Count the calling thread as pausing before a retry, so that another thread may work in its place."""
        with self._lock:
            self._pausing += 1
        try:
            if self._on_pause is not None:
                self._on_pause()
            yield
        finally:
            with self._lock:
                self._pausing -= 1

    def on_pause(self, call: Callable[[], None]) -> None:
        """Call a function when a thread begins to pause: another one is of use."""
        self._on_pause = call

    def stop(self) -> None:
        """Let all waiting threads ask for a permit, which they do not get once their run is stopped."""
        with self._lock:
            self._stopped = True
            if not self._asking:
                self._pass_turn()

    def _wait_for_turn(self) -> None:
        with self._lock:
            if not self._asking and (self._stopped or self._limit.has_room):
                self._asking = True
                return
            sleeper = threading.Lock()
            sleeper.acquire()
            self._sleepers.append(sleeper)
        # Woken with the turn.
        sleeper.acquire()

    def _pass_turn(self) -> None:
        self._asking = bool(self._sleepers) and (self._stopped or self._limit.has_room)
        if self._asking:
            self._sleepers.popleft().release()
