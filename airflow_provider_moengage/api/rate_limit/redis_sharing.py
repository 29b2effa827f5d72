"""Shares a rate window among all tasks of all workers, through Redis."""

from __future__ import annotations

import logging

from airflow_provider_moengage.api.rate_limit.contention import Alone
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindow, SharedWindowGone
from airflow_provider_moengage.api.rate_limit.sharing import Allowance, Sharing
from airflow_provider_moengage.api.rate_limit.window_state import WindowState

log = logging.getLogger(__name__)

#: Units acquired from Redis at a time, so that not every request needs a call to it.
PREFETCHED_UNITS = 16
#: After each failure of Redis in a row, twice as many windows pass before the next attempt; this is the maximum.
MAX_WINDOWS_AWAY = 16


class InRedis:
    """
    Takes units from the window in Redis, and shares with all tasks what responses say of it.

    :param window: the window in Redis.
    """

    jitter = 0.0

    def __init__(self, window: RedisWindow) -> None:
        self._window = window
        self._prefetched = 0
        self._next_fetch_at = 0.0

    def take(self, wanted: int, minimum: int, now: float, state: WindowState) -> Allowance:
        """
        Take units from Redis.

        :raises SharedWindowGone: Redis did not respond.
        """
        units = min(wanted, state.room(minimum))
        if self._prefetched < units and now >= self._next_fetch_at:
            self._fetch(units, minimum, now, state)
        # A request that costs more than a whole window is sent with one: MoEngage's 429 ends the wait.
        whole = minimum > state.capacity <= self._prefetched
        allowed = units if whole else min(units, self._prefetched)
        if allowed < minimum:
            return Allowance(allowed, self._next_fetch_at)
        self._prefetched = max(0, self._prefetched - allowed)
        return Allowance(allowed)

    def put_back(self, units: int) -> None:
        """Keep units for the next request."""
        self._prefetched += units

    def learn(self, units: int, spent: int | None, now: float, state: WindowState) -> Sharing:
        """Do nothing: the next call to Redis shares what the window knows."""
        return self

    def throttled(self, units: int, left: int, *, early: bool) -> int:
        """Return all units to Redis if they were those of a window that has not begun."""
        if early:
            self._return(self._prefetched + units)
        return left

    def begin(self, now: float, state: WindowState) -> Sharing:
        """Return the units of the last window."""
        self._return(self._prefetched)
        self._next_fetch_at = now
        return self

    def close(self, *, resumes: bool) -> None:
        """Return the units that were acquired and not used; unless it resumes, the others get this client's part."""
        if resumes:
            self._window.stay(self._prefetched)
        else:
            self._window.leave(self._prefetched)
        self._prefetched = 0

    def _fetch(self, units: int, minimum: int, now: float, state: WindowState) -> None:
        ends = state.reset.ends if state.reset.published else None
        acquired = self._window.acquire(
            max(units, PREFETCHED_UNITS) - self._prefetched,
            limit=state.capacity,
            period=state.period,
            ends=(ends.earliest - now, ends.latest - now) if ends else None,
            remaining=state.remaining,
            guessed=state.reset.guessed,
            minimum=max(1, minimum - self._prefetched),
        )
        self._prefetched = acquired.units + (0 if acquired.fresh else self._prefetched)
        if self._prefetched < minimum:
            self._next_fetch_at = now + acquired.wait

    def _return(self, units: int) -> None:
        if units:
            self._window.return_units(units)
        self._prefetched = 0


class InRedisIfThere:
    """
    Shares through Redis while it responds, else by the response headers; tries Redis again in later windows.

    :param window: the window in Redis.
    """

    def __init__(self, window: RedisWindow) -> None:
        self._window = window
        self._sharing: Sharing = InRedis(window)
        self._windows_away = 0
        self._windows_left = 0

    @property
    def jitter(self) -> float:
        """Return the seconds to wait after the reset, so that clients do not all wake at once."""
        return self._sharing.jitter

    def take(self, wanted: int, minimum: int, now: float, state: WindowState) -> Allowance:
        """Take units from Redis, or of what the headers say is left."""
        try:
            allowance = self._sharing.take(wanted, minimum, now, state)
        except SharedWindowGone as gone:
            level = logging.DEBUG if self._windows_away else logging.WARNING
            log.log(level, "%s; the rate headers alone are followed until it does", gone)
            self._windows_away = self._windows_left = min(2 * self._windows_away or 1, MAX_WINDOWS_AWAY)
            self._sharing = Alone()
            return self._sharing.take(wanted, minimum, now, state)
        if self._windows_away and not self._windows_left:
            log.info("Redis responds again: the rate window is shared")
            self._windows_away = 0
        return allowance

    def put_back(self, units: int) -> None:
        """Put back units that are not going to be sent."""
        self._sharing.put_back(units)

    def learn(self, units: int, spent: int | None, now: float, state: WindowState) -> Sharing:
        """Learn from a settled request."""
        self._sharing = self._sharing.learn(units, spent, now, state)
        return self

    def throttled(self, units: int, left: int, *, early: bool) -> int:
        """Learn from a 429."""
        return self._sharing.throttled(units, left, early=early)

    def begin(self, now: float, state: WindowState) -> Sharing:
        """Begin a new window, with Redis if it is time to try it again."""
        self._sharing = self._sharing.begin(now, state)
        if self._windows_left:
            self._windows_left -= 1
            if not self._windows_left:
                self._sharing = InRedis(self._window)
        return self

    def close(self, *, resumes: bool) -> None:
        """Return to other clients what was taken and not sent."""
        self._sharing.close(resumes=resumes)
