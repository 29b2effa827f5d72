"""
Estimates how much of a rate window other clients of the workspace use, and how much of it is ours to use.

Other clients show only as units that are spent and were not ours. So each client first uses about the share that it
had of the last window, then a fraction of what is left; the shares converge from window to window.
"""

from __future__ import annotations

import random

#: Under contention, a client keeps at most one in so many of the remaining units in flight.
REMAINDER_DIVISOR = 8
#: Requests that cost more than one in so many of a window's units are sent one at a time.
LARGE_REQUEST_DIVISOR = 100
#: How far apart clients wake after a reset: the fraction of the period, and its maximum in seconds.
JITTER = 0.02
MAX_JITTER = 0.5


class Contention:
    """
    Tracks the units of one window that other clients use; times are seconds of the caller's monotonic clock.

    :ivar own: units of the current window that this client used.
    """

    def __init__(self) -> None:
        self.own = 0
        self._others = 0
        self._last = (0, 0)
        self._jitter = 0.0
        self._first_shares_until = 0.0
        self._observed_at = 0.0

    @property
    def detected(self) -> bool:
        """Whether other clients used units of this window or the last one."""
        return self._others > 0 or self._last[1] > 0

    @property
    def waits_for_latest(self) -> bool:
        """Whether probing for an early reset gains nothing: other clients leave a share to us."""
        return self.detected and self.own > 0

    @property
    def jitter(self) -> float:
        """Return the seconds to wait after the reset, so that clients do not all wake at once."""
        return self._jitter

    def observe(self, now: float, spent: int, in_flight: int) -> None:
        """Compare the units spent with our own; units in flight may already be counted among those spent."""
        self._observed_at = now
        self._others = max(self._others, spent - self.own - in_flight)

    def next_window(self, now: float, period: float) -> None:
        """Reset the counts for a new window, and keep those of the last one."""
        self._last = (self.own, self._others)
        self.own = self._others = 0
        longest = min(JITTER * period, MAX_JITTER) if self.detected else 0.0
        self._jitter = random.uniform(0, longest)
        self._first_shares_until = now + longest

    def restore_window(self) -> None:
        """Restore the counts of the last window: the next one has not begun yet."""
        self.own, self._others = self._last

    def first_shares_until(self, now: float) -> float | None:
        """Return until when each client uses only its first share of the window; None once that has passed."""
        return self._first_shares_until if self.detected and now < self._first_shares_until else None

    def allowance(
        self, wanted: int, minimum: int, now: float, capacity: int, used: int, left: int, in_flight: int
    ) -> int:
        """
        Return the units that may be sent, leaving a share to other clients.

        :param wanted: units of a whole request.
        :param minimum: the fewest units that it can be cut to.
        :param capacity: units of a whole window that this client may use.
        :param used: units of this window that this client has used.
        :param left: units left in this window, including those in flight.
        """
        large = wanted * LARGE_REQUEST_DIVISOR > capacity
        if large and in_flight:
            # What is left changes with every response: several such requests would all be answered 429.
            return 0
        if self.first_shares_until(now) is not None:
            own, others = self._last
            share = own / (own + others) if own else 0.0
            # Take capacity * share * (1 - share), so that unequal clients converge.
            units = int(capacity * share * (1 - share)) - used
            if used or units >= minimum:
                return max(units, 0)
        if in_flight and self._observed_at <= self._first_shares_until:
            # The last known remainder dates from before the first shares were used: one request updates it.
            return 0
        if not large:
            return max(left // REMAINDER_DIVISOR - in_flight, 0 if in_flight else minimum)
        return max(left // REMAINDER_DIVISOR, min(left, wanted // REMAINDER_DIVISOR), minimum)
