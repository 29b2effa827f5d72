"""
Shares a rate window by the response headers alone.

Other clients of the workspace show only as units that are spent and were not this client's. So each client first uses
about the share that it had of the last window, then a fraction of what is left; the shares converge from window to
window.
"""

from __future__ import annotations

import random

from airflow_provider_moengage.api.rate_limit.sharing import Allowance, Sharing
from airflow_provider_moengage.api.rate_limit.window_state import WindowState

#: Under contention, a client keeps at most one in so many of the remaining units in flight.
REMAINDER_DIVISOR = 8
#: Requests that cost more than one in so many of a window's units are sent one at a time.
LARGE_REQUEST_DIVISOR = 100
#: How far apart clients wake after a reset: the fraction of the period, and its maximum in seconds.
JITTER = 0.02
MAX_JITTER = 0.5
#: How long after a reset each client uses only its first share: the fraction of the period, and its maximum in seconds.
#: Resets are published in whole seconds, so clients find them up to one apart.
FIRST_SHARES = 0.1
MAX_FIRST_SHARES = 1.0


class Alone:
    """No other client is known: all units that are left may be spent at once."""

    jitter = 0.0

    def __init__(self) -> None:
        self._own = 0

    def take(self, wanted: int, minimum: int, now: float, state: WindowState) -> Allowance:
        """Take all that is left."""
        return Allowance(min(wanted, state.room(minimum)))

    def put_back(self, units: int) -> None:
        """Do nothing: the window counts them."""

    def learn(self, units: int, spent: int | None, now: float, state: WindowState) -> Sharing:
        """Share the window once units were spent that were not this client's."""
        self._own += units
        if spent is not None and spent > self._own + state.in_flight:
            return Contended(self._own, state.period).learn(0, spent, now, state)
        return self

    def throttled(self, units: int, left: int, *, early: bool) -> int:
        """Leave what is left to a smaller request."""
        return left

    def begin(self, now: float, state: WindowState) -> Sharing:
        """Count the units of the new window."""
        self._own = 0
        return self

    def close(self, *, resumes: bool) -> None:
        """Do nothing."""


class Contended:
    """
    Other clients use units of this window, or used units of the last one.

    :param own: units of the current window that this client used.
    :param period: length of the window, in seconds.
    """

    def __init__(self, own: int, period: float) -> None:
        self._own = own
        self._others = 0
        self._last = (0, 0)
        self._observed_at = 0.0
        self._first_shares_until = 0.0
        self._jitter = random.uniform(0, _longest_jitter(period))

    @property
    def jitter(self) -> float:
        """Return the seconds to wait after the reset, so that clients do not all wake at once."""
        return self._jitter

    def take(self, wanted: int, minimum: int, now: float, state: WindowState) -> Allowance:
        """Take units, but leave a share to other clients."""
        units = min(wanted, state.room(minimum), self._allowance(wanted, minimum, now, state))
        return Allowance(units, self._first_shares_until if now < self._first_shares_until else None)

    def put_back(self, units: int) -> None:
        """Do nothing: the window counts them."""

    def learn(self, units: int, spent: int | None, now: float, state: WindowState) -> Sharing:
        """Compare the units spent with those of this client; units in flight may already be among those spent."""
        self._own += units
        if spent is not None:
            self._observed_at = now
            self._others = max(self._others, spent - self._own - state.in_flight)
        return self

    def throttled(self, units: int, left: int, *, early: bool) -> int:
        """Assume that nothing is left: a smaller request would most likely be answered 429 too."""
        if early:
            self._own, self._others = self._last
        return 0

    def begin(self, now: float, state: WindowState) -> Sharing:
        """Share the new window too, if others used units of the last one."""
        if not self._others:
            return Alone()
        self._last = (self._own, self._others)
        self._own = self._others = 0
        longest = _longest_jitter(state.period)
        self._jitter = random.uniform(0, longest)
        self._first_shares_until = now + longest + min(FIRST_SHARES * state.period, MAX_FIRST_SHARES)
        return self

    def close(self, *, resumes: bool) -> None:
        """Do nothing."""

    def _allowance(self, wanted: int, minimum: int, now: float, state: WindowState) -> int:
        """Return the units that may be sent, leaving a share to other clients."""
        in_flight = state.in_flight
        left = state.capacity if state.remaining is None else state.remaining
        large = wanted * LARGE_REQUEST_DIVISOR > state.capacity
        if large and in_flight:
            # What is left changes with every response: several such requests would all be answered 429.
            return 0
        if now < self._first_shares_until:
            own, others = self._last
            share = own / (own + others) if own else 0.0
            # Take capacity * share * (1 - share), so that unequal clients converge.
            units = int(state.capacity * share * (1 - share)) - state.used
            if state.used or units >= minimum:
                return max(units, 0)
            # A newcomer's share is what the others' first shares leave.
            return max(wanted // REMAINDER_DIVISOR, minimum)
        if in_flight and self._observed_at <= self._first_shares_until:
            # The last known remainder dates from before the first shares were used: one request updates it.
            return 0
        if not large:
            return max(left // REMAINDER_DIVISOR - in_flight, 0 if in_flight else minimum)
        return max(left // REMAINDER_DIVISOR, min(left, wanted // REMAINDER_DIVISOR), minimum)


def _longest_jitter(period: float) -> float:
    return min(JITTER * period, MAX_JITTER)
