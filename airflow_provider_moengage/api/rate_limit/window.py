"""
The rate window of one quota: learned from response headers, granted in units.

MoEngage counts users, events and devices in fixed windows; every response publishes the remaining units and the reset.
So the remaining units are spent at once, and then the sender waits for the reset.
Source: Data API overview, "Rate Limits".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, inf

from airflow_provider_moengage.api.endpoint import WINDOW_SECONDS
from airflow_provider_moengage.api.rate_limit.contention import Contention
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindow, SharedWindowGone
from airflow_provider_moengage.api.rate_limit.reset_estimate import ResetEstimate

log = logging.getLogger(__name__)

#: Whole windows without a single unit granted, after which a run ends.
STARVED_WINDOWS = 5
#: Units acquired from a shared window at a time, so that not every request needs a call to Redis.
PREFETCHED_UNITS = 16


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
        self._limit = limit
        self._share = share
        self._period = period
        self._shared = shared
        self._clock = clock
        self._changed = threading.Condition()
        self._changes = 0
        self._number = 0
        self._reset = ResetEstimate()
        self._remaining: int | None = None
        self._used = 0
        self._in_flight = 0
        self._first: Grant | None = None
        self._proven = False
        self._contention = Contention()
        self._prefetched = 0
        self._next_fetch_at = 0.0
        self._throttled_since: float | None = None
        self._waiting = 0
        self._waiting_since = 0.0
        self._throttled_seconds = 0.0

    @property
    def throttled_seconds(self) -> float:
        """Return the seconds during which at least one thread waited for this window to reset, until now."""
        with self._changed:
            waiting = self._clock() - self._waiting_since if self._waiting else 0.0
            return self._throttled_seconds + waiting

    @property
    def resets_in(self) -> float | None:
        """Return the seconds until the reset that at least one thread waits for; None while none waits."""
        with self._changed:
            if not self._waiting or self._reset.ends is None:
                return None
            return max(0.0, self._wake_at() - self._clock())

    @property
    def published_reset_in(self) -> float | None:
        """Return the seconds until this window resets, as published by responses; None if none did."""
        with self._changed:
            if self._reset.ends is None or not self._reset.published:
                return None
            return max(0.0, self._reset.ends.latest - self._clock())

    @property
    def limit(self) -> int:
        """Return the units per window: as published by responses, else as configured."""
        return self._limit

    @property
    def period(self) -> float:
        """Return the length of the window, in seconds."""
        return self._period

    @property
    def in_flight(self) -> int:
        """Return the units that were granted and are not settled yet."""
        with self._changed:
            return self._in_flight

    @property
    def changes(self) -> int:
        """Return a counter of the changes that may allow a waiting thread to continue."""
        return self._changes

    @property
    def capacity(self) -> int:
        """Return the units of a whole window that this client may use."""
        return max(1, int(self._limit * self._share))

    @property
    def starved(self) -> bool:
        """Whether MoEngage has granted no unit for five whole windows."""
        since = self._throttled_since
        return since is not None and self._clock() - since >= STARVED_WINDOWS * self._period

    def seconds_for(self, units: int) -> float:
        """Return the minimum number of seconds until so many more units, including those in flight, are granted."""
        with self._changed:
            now = self._clock()
            ends = self._wake_at() if self._reset.ends is not None else now + self._period
            room = self.capacity - self._used if now < ends else 0
            if self._remaining is not None and now < ends:
                left = self._remaining - self._in_flight
                room = left if self._share == 1 else min(room, left)
            beyond = units - self._in_flight - max(0, room)
            if beyond <= 0:
                return 0.0
            return max(0.0, ends - now) + (ceil(beyond / self.capacity) - 1) * self._period

    def try_acquire(self, units: int, minimum: int | None = None) -> Grant | float:
        """
        Grant units now, or return how long to wait before the next attempt.

        Every grant must be settled by :meth:`settle`, :meth:`settle_unanswered` or :meth:`return_units`.

        :param units: the units wanted.
        :param minimum: the fewest units that are of use; None: all or nothing.
        :return: the grant, of ``minimum`` to ``units``; or the seconds to wait, infinity until a grant is settled.
        """
        with self._changed:
            return self._try_acquire(units, units if minimum is None else minimum)

    def wait(self, seconds: float, changes: int) -> None:
        """
        Wait some seconds, or until a change that may allow a waiting thread to continue.

        :param seconds: as returned by :meth:`try_acquire`.
        :param changes: :attr:`changes` before that call.
        """
        with self._changed:
            if self._changes != changes:
                return
            if seconds == inf:
                self._changed.wait()
            else:
                with self._count_wait():
                    self._changed.wait(seconds)

    def settle(self, grant: Grant, headers: RateHeaders, *, throttled: bool) -> None:
        """
        Settle a grant by its response.

        :param throttled: whether the response was a 429.
        """
        with self._changed:
            now = self._clock()
            self._limit = headers.limit or self._limit
            self._period = headers.period or self._period
            if not throttled:
                self._throttled_since = None
            elif self._throttled_since is None:
                self._throttled_since = now
            self._in_flight -= grant.units
            # The response to a grant of an earlier window says nothing of this one.
            if grant.window == self._number:
                if throttled:
                    self._learn_throttled(grant, headers, now)
                else:
                    self._learn(grant, headers, now)
            elif not throttled:
                # MoEngage may have counted it in this window.
                self._contention.own += grant.units
            self._release(grant)

    def settle_unanswered(self, grant: Grant) -> None:
        """Settle a grant without a response; MoEngage may have counted it."""
        with self._changed:
            self._in_flight -= grant.units
            if grant.window == self._number:
                self._contention.own += grant.units
            self._release(grant)

    def return_units(self, grant: Grant, units: int) -> Grant | None:
        """
        Return units of a grant that are not going to be sent.

        :return: what is left of the grant; None if nothing is, so that the grant is settled.
        """
        with self._changed:
            self._in_flight -= units
            if grant.window == self._number:
                self._used -= units
                self._prefetched += units if self._shared is not None else 0
            left = Grant(grant.units - units, grant.window, grant.first, grant.at)
            if self._first is grant:
                self._first = left if left.units else None
            self._notify()
            return left if left.units else None

    def wake(self) -> None:
        """Wake every waiting thread, so that it re-checks whether its run was stopped."""
        with self._changed:
            self._notify()

    def close(self) -> None:
        """Return to the shared window the units that were acquired and not used."""
        with self._changed:
            self._return_prefetched()

    def _try_acquire(self, units: int, minimum: int) -> Grant | float:
        now = self._clock()
        if now >= self._wake_at():
            self._begin(now)
        if self._first is not None:
            return inf
        room = min(units, self._room(units, minimum, now))
        if room < minimum:
            shares_until = self._contention.first_shares_until(now) if self._remaining != 0 else None
            return self._wait_for((shares_until or self._wake_at()) - now)
        if self._shared is not None:
            room = self._acquire_shared(room, minimum, now)
            if room < minimum:
                return self._wait_for(self._next_fetch_at - now)
        return self._grant(room, now)

    def _wake_at(self) -> float:
        return self._reset.wake_at(probe=not self._contention.waits_for_latest) + self._contention.jitter

    def _wait_for(self, seconds: float) -> float:
        return min(max(0.001, seconds), self._period + self._contention.jitter)

    def _room(self, units: int, minimum: int, now: float) -> int:
        """Return the units that may be sent now."""
        room = self.capacity - self._used
        if self._remaining is not None:
            left = self._remaining - self._in_flight
            # The remaining units that MoEngage reports are decisive, unless others are to get a share of them.
            room = left if self._share == 1 else min(room, left)
        elif self._used == 0:
            # A request that costs more than a whole window can only be sent in a fresh one.
            room = max(room, minimum)
        if self._contention.detected and self._shared is None:
            left = self.capacity if self._remaining is None else self._remaining
            allowance = self._contention.allowance(
                units, minimum, now, self.capacity, self._used, left, self._in_flight
            )
            room = min(room, allowance)
        return room

    def _acquire_shared(self, units: int, minimum: int, now: float) -> int:
        """Acquire units from the shared window, and return how many may be sent."""
        if self._prefetched < units and self._shared is not None and now >= self._next_fetch_at:
            ends = self._reset.ends
            try:
                acquired = self._shared.acquire(
                    max(units, PREFETCHED_UNITS) - self._prefetched,
                    limit=self.capacity,
                    period=self._period,
                    ends=(ends.earliest - now, ends.latest - now) if ends and self._reset.published else None,
                    remaining=self._remaining,
                )
            except SharedWindowGone as gone:
                log.warning("%s; from now on the rate headers alone are followed", gone)
                self._shared = None
                return units
            self._prefetched = acquired.units + (0 if acquired.fresh else self._prefetched)
            if self._prefetched < minimum:
                self._next_fetch_at = now + acquired.wait
        # A request that costs more than a whole window is sent with one: MoEngage's 429 ends the wait.
        return units if minimum > self.capacity <= self._prefetched else min(units, self._prefetched)

    def _return_prefetched(self, unused: int = 0) -> None:
        if self._shared is not None and self._prefetched + unused:
            self._shared.return_units(self._prefetched + unused)
        self._prefetched = 0

    def _grant(self, units: int, now: float) -> Grant:
        if self._reset.ends is None:
            self._reset.assume(now + self._period)
        grant = Grant(units, self._number, not self._proven, now)
        if grant.first:
            self._first = grant
        self._used += units
        self._in_flight += units
        self._prefetched = max(0, self._prefetched - units)
        return grant

    def _begin(self, now: float) -> None:
        """Begin a new window; MoEngage may count in it what is still in flight."""
        self._reset.advance(now, self._period)
        self._enter_next(now, self._in_flight)
        self._return_prefetched()
        self._next_fetch_at = now
        self._proven = False

    def _enter_next(self, now: float, used: int) -> None:
        self._contention.next_window(now, self._period)
        self._number += 1
        self._remaining = None
        self._used = used

    def _learn(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        rolled = self._reset.learn(headers, grant.at, now, self._period, first=grant.first)
        if rolled:
            # MoEngage's window has ended earlier than estimated.
            self._enter_next(now, self._in_flight + grant.units)
        self._contention.own += grant.units
        self._observe_contention(headers, now)
        if headers.remaining is not None:
            self._limit_remaining(headers.remaining)

    def _learn_throttled(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        """On a 429, treat the window as having less left than this request costs."""
        early = self._reset.learn_throttled(headers, grant.at, now, self._period, first=grant.first)
        if early:
            self._contention.restore_window()
            self._return_prefetched(grant.units)
        else:
            self._observe_contention(headers, now)
        left = headers.remaining or 0
        # Under contention assume nothing is left: a smaller request would most likely be answered 429 too.
        self._limit_remaining(left if left < grant.units and not self._contention.detected else 0)

    def _observe_contention(self, headers: RateHeaders, now: float) -> None:
        if headers.limit is not None and headers.remaining is not None:
            self._contention.observe(now, headers.limit - headers.remaining, self._in_flight)

    def _limit_remaining(self, remaining: int) -> None:
        self._remaining = remaining if self._remaining is None else min(self._remaining, remaining)

    def _release(self, grant: Grant) -> None:
        if grant is self._first:
            self._first = None
            self._proven = grant.window == self._number
        self._notify()

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    @contextmanager
    def _count_wait(self) -> Iterator[None]:
        if self._waiting == 0:
            self._waiting_since = self._clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._throttled_seconds += self._clock() - self._waiting_since
