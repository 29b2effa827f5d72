"""
The rate window of one quota: learned from response headers, granted in units.

MoEngage counts users, events and devices in fixed windows; every response publishes the remaining units and the reset.
So the remaining units are spent at once, and then the sender waits for the reset.
Source: Data API overview, "Rate Limits".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from airflow_provider_moengage.api.endpoint import WINDOW_SECONDS
from airflow_provider_moengage.api.rate_limit.contention import Alone
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_sharing import InRedisIfThere
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindow
from airflow_provider_moengage.api.rate_limit.sharing import Sharing
from airflow_provider_moengage.api.rate_limit.waits import Waits, wait_for
from airflow_provider_moengage.api.rate_limit.window_state import WindowState, WindowView

#: Whole windows without a single unit granted, after which a run ends.
STARVED_WINDOWS = 5


@dataclass(frozen=True)
class Grant:
    """
    Units that may be sent now.

    :param window: the number of the window they were granted in.
    :param first: whether it is the first grant of that window.
    :param at: the time of the grant, by the window's clock.
    """

    units: int
    window: int
    first: bool
    at: float


class Window:
    """
    Grants the units of one quota to the threads of one client.

    The first grant of every window is made alone: its response shows whether the window has begun and what it holds.

    :param limit: units per window, until headers say otherwise.
    :param share: the fraction of the limit that this client may use.
    :param period: length of the window in seconds, until headers say otherwise.
    :param shared: the window in Redis that all tasks of the workspace share; None: this client follows the headers
        alone.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        limit: int,
        *,
        share: float = 1.0,
        period: float = WINDOW_SECONDS,
        shared: RedisWindow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = WindowState(limit, share, period)
        self._reset = self._state.reset
        self._sharing: Sharing = Alone() if shared is None else InRedisIfThere(shared)
        self._clock = clock
        # A plain lock, and no wait while it is held: a task's timeout, which may interrupt its thread anywhere, would leave
        # a Condition locked forever.
        self._lock = threading.Lock()
        self._sleepers: list[threading.Lock] = []
        self._changes = 0
        self._waits = Waits(clock)
        self._number = 0
        self._first: Grant | None = None
        self._proven = False
        self._throttled_since: float | None = None

    @property
    def throttled_seconds(self) -> float:
        """Return the seconds during which at least one thread waited for this window to reset, until now."""
        with self._lock:
            return self._waits.seconds

    @property
    def resets_in(self) -> float | None:
        """Return the seconds until the reset that at least one thread waits for; None while none waits."""
        with self._lock:
            return max(0.0, self._wake_at() - self._clock()) if self._waits.going_on else None

    @property
    def published_reset_in(self) -> float | None:
        """Return the seconds until this window resets, as published by responses; None if none did."""
        with self._lock:
            return max(0.0, self._reset.latest - self._clock()) if self._reset.published else None

    @property
    def limit(self) -> int:
        """Return the units per window: as published by responses, else as configured."""
        return self._state.limit

    @property
    def period(self) -> float:
        """Return the length of the window, in seconds."""
        return self._state.period

    @property
    def in_flight(self) -> int:
        """Return the units that were granted and are not settled yet."""
        with self._lock:
            return self._state.in_flight

    @property
    def changes(self) -> int:
        """Return a counter of the changes that may allow a waiting thread to continue."""
        return self._changes

    @property
    def capacity(self) -> int:
        """Return the units of a whole window that this client may use."""
        return self._state.capacity

    @property
    def starved(self) -> bool:
        """Whether MoEngage has granted no unit for five whole windows."""
        since = self._throttled_since
        return since is not None and self._clock() - since >= STARVED_WINDOWS * self.period

    def view(self, quota: str) -> WindowView:
        """Return the window as others may see it; ``quota`` is its name."""
        with self._lock:
            return self._state.view(quota, self._wake_at() - self._clock())

    def seconds_for(self, units: int) -> float:
        """Return the minimum number of seconds until so many more units, including those in flight, are granted."""
        with self._lock:
            until_reset = None if self._reset.ends is None else self._wake_at() - self._clock()
            return self._state.seconds_for(units, until_reset)

    def try_acquire(self, units: int, minimum: int | None = None) -> Grant | float:
        """
        Grant units now, or return how long to wait before the next attempt.

        Every grant must be settled by :meth:`settle`, :meth:`settle_unconfirmed` or :meth:`return_units`.

        :param units: the units wanted.
        :param minimum: the fewest units that are of use; None: all or nothing.
        :return: the grant, of ``minimum`` to ``units``; or the seconds to wait, infinity until a grant is settled.
        """
        minimum = units if minimum is None else minimum
        with self._lock:
            now = self._clock()
            if now >= self._wake_at():
                self._reset.advance(now, self.period)
                self._enter_next(now)
                self._proven = False
            if self._first is not None:
                return inf
            if self._state.room(minimum) < minimum:
                return self._wait_until(self._wake_at(), now)
            allowed = self._sharing.take(units, minimum, now, self._state)
            if allowed.units < minimum:
                return self._wait_until(allowed.retry_at or self._wake_at(), now)
            return self._grant(allowed.units, now)

    def wait(self, seconds: float, changes: int) -> None:
        """
        Wait some seconds, or until a change that may allow a waiting thread to continue.

        :param seconds: as returned by :meth:`try_acquire`.
        :param changes: :attr:`changes` before that call.
        """
        with self._lock:
            if self._changes != changes:
                return
            sleeper = threading.Lock()
            sleeper.acquire()
            self._sleepers.append(sleeper)
            # A wait for a response is none for the window.
            until_reset = seconds < inf
            if until_reset:
                self._waits.begin()
        try:
            wait_for(sleeper, seconds)
        finally:
            with self._lock:
                if until_reset:
                    self._waits.end()
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)

    def settle(self, grant: Grant, headers: RateHeaders, *, throttled: bool) -> None:
        """
        Settle a grant by its response.

        :param throttled: whether the response was a 429.
        """
        with self._lock:
            now = self._clock()
            self._state.limit = headers.limit or self._state.limit
            self._state.period = headers.period or self._state.period
            if not throttled:
                self._throttled_since = None
            elif self._throttled_since is None:
                self._throttled_since = now
            self._state.in_flight -= grant.units
            learn = self._learn_throttled if throttled else self._learn
            # A request of an earlier window may have been counted in this one.
            if grant.window == self._number or self._reset.is_current(headers, grant.at, now, self.period):
                learn(grant, headers, now)
            elif not throttled:
                self._sharing = self._sharing.learn(grant.units, None, now, self._state)
            self._release(grant)

    def settle_unconfirmed(self, grant: Grant) -> None:
        """Settle a grant without a response; MoEngage may have counted it."""
        with self._lock:
            self._state.in_flight -= grant.units
            if grant.window == self._number:
                self._sharing = self._sharing.learn(grant.units, None, self._clock(), self._state)
            self._release(grant)

    def return_units(self, grant: Grant, units: int) -> Grant | None:
        """
        Return units of a grant that are not going to be sent.

        :return: what is left of the grant; None if nothing is, so that the grant is settled.
        """
        with self._lock:
            self._state.in_flight -= units
            if grant.window == self._number:
                self._state.used -= units
                self._sharing.put_back(units)
            left = replace(grant, units=grant.units - units) if units < grant.units else None
            if self._first is grant:
                self._first = left
            self._notify()
            return left

    def wake(self) -> None:
        """Wake every waiting thread, so that it re-checks whether its run was stopped."""
        with self._lock:
            self._notify()

    def close(self, *, resumes: bool = False) -> None:
        """
        Return to other clients the units that were acquired and not used.

        :param resumes: whether another process resumes in place of this one, which keeps its part of the next window.
        """
        with self._lock:
            self._sharing.close(resumes=resumes)

    def _wake_at(self) -> float:
        return self._reset.latest + self._sharing.jitter

    def _wait_until(self, moment: float, now: float) -> float:
        return min(max(0.001, moment - now), self.period + self._sharing.jitter)

    def _grant(self, units: int, now: float) -> Grant:
        if self._reset.ends is None:
            self._reset.assume(now + self.period)
        grant = Grant(units, self._number, not self._proven, now)
        if grant.first:
            self._first = grant
        self._state.used += units
        self._state.in_flight += units
        return grant

    def _enter_next(self, now: float, answered: int = 0) -> None:
        """Enter a new window, in which MoEngage may count what is in flight, and has counted what is answered."""
        self._number += 1
        self._state.begin(self._state.in_flight + answered)
        self._sharing = self._sharing.begin(now, self._state)

    def _learn(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        if self._reset.learn(headers, grant.at, now, self.period):
            # MoEngage's window has ended earlier than estimated.
            self._enter_next(now, answered=grant.units)
        self._sharing = self._sharing.learn(grant.units, headers.spent, now, self._state)
        if headers.remaining is not None:
            self._state.limit_remaining(headers.remaining)

    def _learn_throttled(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        """On a 429, treat the window as having less left than this request costs."""
        early = self._reset.learn_throttled(headers, grant.at, now, self.period, first=grant.first)
        if not early:
            self._sharing = self._sharing.learn(0, headers.spent, now, self._state)
        left = headers.remaining or 0
        left = self._sharing.throttled(grant.units, left if left < grant.units else 0, early=early)
        self._state.limit_remaining(left)

    def _release(self, grant: Grant) -> None:
        if grant is self._first:
            self._first = None
            self._proven = grant.window == self._number
        self._notify()

    def _notify(self) -> None:
        self._changes += 1
        for sleeper in self._sleepers:
            sleeper.release()
        self._sleepers.clear()
