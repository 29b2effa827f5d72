"""
The rate window of one quota: learned from the answers' headers, granted in units.

MoEngage counts users, events and devices in fixed windows and publishes with every answer what is left and
when the window resets. So what is left is spent at once, and then the sender waits for the reset.
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

from airflow_provider_moengage.api.endpoints import WINDOW_SECONDS
from airflow_provider_moengage.api.rate_limit.contention import Contention
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindow, SharedWindowGone
from airflow_provider_moengage.api.rate_limit.reset_estimate import ResetEstimate

log = logging.getLogger(__name__)

#: Windows without one unit granted after which a run ends.
STARVED_WINDOWS = 5
#: Units taken from a shared window at a time, so that not every call asks for its own.
SHARED_UNITS = 16


@dataclass(frozen=True)
class Grant:
    """
    Units that may be sent now.

    :param window: the number of the window they were granted in.
    :param first: the first grant of that window.
    :param at: the moment of the grant, by the window's clock.
    """

    units: int
    window: int
    first: bool
    at: float


class Window:
    """
    Grants the units of one quota to the threads of one client.

    The first grant of every window goes alone: its answer tells whether the window has begun and what it holds.

    :param limit: units a window, until headers say otherwise.
    :param share: the part of the limit this client may use.
    :param period: seconds a window, until headers say otherwise.
    :param shared: the same window as all tasks of the workspace draw from it; None: this client follows the
        headers alone.
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
        self._drawn = 0
        self._draw_again_at = 0.0
        self._refused_since: float | None = None
        self._waiting = 0
        self._waiting_since = 0.0
        self._throttled_seconds = 0.0

    @property
    def throttled_seconds(self) -> float:
        """Seconds during which at least one thread waited for this window to reset, until now."""
        with self._changed:
            waiting = self._clock() - self._waiting_since if self._waiting else 0.0
            return self._throttled_seconds + waiting

    @property
    def resets_in(self) -> float | None:
        """Seconds until the reset that at least one thread waits for; None while none waits."""
        with self._changed:
            if not self._waiting or self._reset.ends is None:
                return None
            return max(0.0, self._wake_at() - self._clock())

    @property
    def published_reset_in(self) -> float | None:
        """Seconds until this window resets, as answers have published it; None where none has."""
        with self._changed:
            if self._reset.ends is None or not self._reset.published:
                return None
            return max(0.0, self._reset.ends.latest - self._clock())

    @property
    def limit(self) -> int:
        """Units a window: what answers have published, else what was configured."""
        return self._limit

    @property
    def period(self) -> float:
        """Seconds a window."""
        return self._period

    @property
    def in_flight(self) -> int:
        """Units that were granted and are not settled."""
        with self._changed:
            return self._in_flight

    @property
    def changes(self) -> int:
        """How often something has changed that may let a waiting thread go on."""
        return self._changes

    @property
    def capacity(self) -> int:
        """Units that this client may use of one whole window."""
        return max(1, int(self._limit * self._share))

    @property
    def starved(self) -> bool:
        """Whether five whole windows have passed without one unit granted by MoEngage."""
        since = self._refused_since
        return since is not None and self._clock() - since >= STARVED_WINDOWS * self._period

    def seconds_for(self, units: int) -> float:
        """Return the seconds that pass at least before so many units more, those in flight included, are granted."""
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

    def offer(self, units: int, least: int | None = None) -> Grant | float:
        """
        Grant units now, or say how long to wait before asking again.

        Every grant must be settled by :meth:`answered`, :meth:`lost` or :meth:`give_back`.

        :param units: wanted.
        :param least: fewer are no use; None: all or nothing.
        :return: the grant, of ``least`` to ``units``; or seconds, infinity until a grant is settled.
        """
        with self._changed:
            return self._offer(units, units if least is None else least)

    def wait(self, seconds: float, changes: int) -> None:
        """
        Wait so many seconds, or until something changes that may let a waiting thread go on.

        :param seconds: as :meth:`offer` said.
        :param changes: as :attr:`changes` was before that.
        """
        with self._changed:
            if self._changes != changes:
                return
            if seconds == inf:
                self._changed.wait()
            else:
                with self._throttled():
                    self._changed.wait(seconds)

    def answered(self, grant: Grant, headers: RateHeaders, *, refused: bool) -> None:
        """
        Settle a grant by its answer.

        :param refused: the answer was a 429.
        """
        with self._changed:
            now = self._clock()
            self._limit = headers.limit or self._limit
            self._period = headers.period or self._period
            if not refused:
                self._refused_since = None
            elif self._refused_since is None:
                self._refused_since = now
            self._in_flight -= grant.units
            # The answer to a grant of an earlier window tells nothing of this one.
            if grant.window == self._number:
                if refused:
                    self._close(grant, headers, now)
                else:
                    self._learn(grant, headers, now)
            elif not refused:
                # It may be this window that it was counted in.
                self._contention.own += grant.units
            self._settle(grant)

    def lost(self, grant: Grant) -> None:
        """Settle a grant that got no answer; MoEngage may have counted it."""
        with self._changed:
            self._in_flight -= grant.units
            if grant.window == self._number:
                self._contention.own += grant.units
            self._settle(grant)

    def give_back(self, grant: Grant, units: int) -> Grant | None:
        """
        Return units of a grant that are not going to be sent.

        :return: what is left of the grant; None where nothing is, and the grant is settled.
        """
        with self._changed:
            self._in_flight -= units
            if grant.window == self._number:
                self._used -= units
                self._drawn += units if self._shared is not None else 0
            left = Grant(grant.units - units, grant.window, grant.first, grant.at)
            if self._first is grant:
                self._first = left if left.units else None
            self._notify()
            return left if left.units else None

    def wake(self) -> None:
        """Let every waiting thread go on and look whether its run was stopped."""
        with self._changed:
            self._notify()

    def close(self) -> None:
        """Return what was drawn from a shared window and not used."""
        with self._changed:
            self._return_drawn()

    def _offer(self, units: int, least: int) -> Grant | float:
        now = self._clock()
        if now >= self._wake_at():
            self._begin(now)
        if self._first is not None:
            return inf
        room = min(units, self._room(units, least, now))
        if room < least:
            turn = self._contention.turn_until(now) if self._remaining != 0 else None
            return self._wait_for((turn or self._wake_at()) - now)
        if self._shared is not None:
            room = self._draw(room, least, now)
            if room < least:
                return self._wait_for(self._draw_again_at - now)
        return self._grant(room, now)

    def _wake_at(self) -> float:
        return self._reset.wake_at(patient=self._contention.patient) + self._contention.jitter

    def _wait_for(self, seconds: float) -> float:
        return min(max(0.001, seconds), self._period + self._contention.jitter)

    def _room(self, units: int, least: int, now: float) -> int:
        """Units that may be sent now."""
        room = self.capacity - self._used
        if self._remaining is not None:
            left = self._remaining - self._in_flight
            # What MoEngage says is left is all there is to go by, unless others are to have a part of it.
            room = left if self._share == 1 else min(room, left)
        elif self._used == 0:
            # More than a whole window holds can only go into a fresh one.
            room = max(room, least)
        if self._contention.seen and self._shared is None:
            left = self.capacity if self._remaining is None else self._remaining
            beside = self._contention.room(
                units, least, now, self.capacity, self._used, left, self._in_flight
            )
            room = min(room, beside)
        return room

    def _draw(self, units: int, least: int, now: float) -> int:
        """Draw from the window that all tasks share; gives how many of the units may be sent."""
        if self._drawn < units and self._shared is not None and now >= self._draw_again_at:
            ends = self._reset.ends
            try:
                taken = self._shared.take(
                    max(units, SHARED_UNITS) - self._drawn,
                    limit=self.capacity,
                    period=self._period,
                    ends=(ends.earliest - now, ends.latest - now) if ends and self._reset.published else None,
                    remaining=self._remaining,
                )
            except SharedWindowGone as gone:
                log.warning("%s; from now on the rate headers alone are followed", gone)
                self._shared = None
                return units
            self._drawn = taken.units + (0 if taken.fresh else self._drawn)
            if self._drawn < least:
                self._draw_again_at = now + taken.wait
        # What costs more than a whole window is sent with one: MoEngage's refusal ends the wait.
        return units if least > self.capacity <= self._drawn else min(units, self._drawn)

    def _return_drawn(self, unused: int = 0) -> None:
        if self._shared is not None and self._drawn + unused:
            self._shared.give_back(self._drawn + unused)
        self._drawn = 0

    def _grant(self, units: int, now: float) -> Grant:
        if self._reset.ends is None:
            self._reset.assume(now + self._period)
        grant = Grant(units, self._number, not self._proven, now)
        if grant.first:
            self._first = grant
        self._used += units
        self._in_flight += units
        self._drawn = max(0, self._drawn - units)
        return grant

    def _begin(self, now: float) -> None:
        """Begin a new window; what is still in flight may be counted in it."""
        self._reset.carry(now, self._period)
        self._enter_next(now, self._in_flight)
        self._return_drawn()
        self._draw_again_at = now
        self._proven = False

    def _enter_next(self, now: float, used: int) -> None:
        self._contention.next_window(now, self._period)
        self._number += 1
        self._remaining = None
        self._used = used

    def _learn(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        rolled = self._reset.learn(headers, grant.at, now, self._period, first=grant.first)
        if rolled:
            # MoEngage's window has ended before we thought it would.
            self._enter_next(now, self._in_flight + grant.units)
        self._contention.own += grant.units
        self._look_around(headers, now)
        if headers.remaining is not None:
            self._see(headers.remaining)

    def _close(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        """Take a 429 at its word: what the window has left, if anything, is less than the call wanted."""
        early = self._reset.refused(headers, grant.at, now, self._period, first=grant.first)
        if early:
            self._contention.same_window()
            self._return_drawn(grant.units)
        else:
            self._look_around(headers, now)
        left = headers.remaining or 0
        # Others are after the same rest: the next call would most likely meet them again.
        self._see(left if left < grant.units and not self._contention.seen else 0)

    def _look_around(self, headers: RateHeaders, now: float) -> None:
        if headers.limit is not None and headers.remaining is not None:
            self._contention.look(now, headers.limit - headers.remaining, self._in_flight)

    def _see(self, remaining: int) -> None:
        self._remaining = remaining if self._remaining is None else min(self._remaining, remaining)

    def _settle(self, grant: Grant) -> None:
        if grant is self._first:
            self._first = None
            self._proven = grant.window == self._number
        self._notify()

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    @contextmanager
    def _throttled(self) -> Iterator[None]:
        if self._waiting == 0:
            self._waiting_since = self._clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._throttled_seconds += self._clock() - self._waiting_since
