"""
Others that draw from the same rate window without a word: other tasks, other senders of the workspace.

All that is known of them is how many units are gone that were not ours. So each task takes about as much of a window
as it had of the last one, then a part of what is left, and parts even out from window to window.
"""

from __future__ import annotations

import random

#: The part of what is left of a window that is taken at a time.
REST = 8
#: Calls that take more than this part of a window go one at a time.
LARGE = 100
#: The part of a window by which tasks wake apart, and the most seconds.
JITTER = 0.02
LONGEST_JITTER = 0.5


class Contention:
    """
    What one window's others take, and what they leave to us; moments are of the caller's monotonic clock, in seconds.

    :ivar own: units of the current window that were ours.
    """

    def __init__(self) -> None:
        self.own = 0
        self._others = 0
        self._last = (0, 0)
        self._jitter = 0.0
        self._turn_until = 0.0
        self._looked_at = 0.0

    @property
    def seen(self) -> bool:
        """Whether anybody else drew from this window or the last one."""
        return self._others > 0 or self._last[1] > 0

    @property
    def patient(self) -> bool:
        """Whether nothing is gained by trying early: others are there, and leave a part to us."""
        return self.seen and self.own > 0

    @property
    def jitter(self) -> float:
        """Seconds to wake after the reset, so that not all wake at once."""
        return self._jitter

    def look(self, now: float, spent: int, in_flight: int) -> None:
        """Compare what is spent of the window with what is ours; what is in flight may be counted already."""
        self._looked_at = now
        self._others = max(self._others, spent - self.own - in_flight)

    def next_window(self, now: float, period: float) -> None:
        """Begin to count anew; the last window is remembered."""
        self._last = (self.own, self._others)
        self.own = self._others = 0
        longest = min(JITTER * period, LONGEST_JITTER) if self.seen else 0.0
        self._jitter = random.uniform(0, longest)
        self._turn_until = now + longest

    def same_window(self) -> None:
        """Go on where it was: the next window has not begun after all."""
        self.own, self._others = self._last

    def turn_until(self, now: float) -> float | None:
        """The moment until which the others take their parts, before anybody takes more; None when it has passed."""
        return self._turn_until if self.seen and now < self._turn_until else None

    def room(
        self, wanted: int, least: int, now: float, capacity: int, used: int, left: int, in_flight: int
    ) -> int:
        """
        Units that may be sent beside the others.

        :param wanted: units of a whole call.
        :param least: units that it can be cut to.
        :param capacity: units that we may use of a whole window.
        :param used: those of this window that we have used.
        :param left: units that this window has left, what is in flight included.
        """
        large = wanted * LARGE > capacity
        if large and in_flight:
            # What is left changes from answer to answer: several such calls would be refused together.
            return 0
        if self.turn_until(now) is not None:
            own, others = self._last
            part = own / (own + others) if own else 0.0
            # The more was ours, the more is left to the others at first: so the parts even out.
            units = int(capacity * part * (1 - part)) - used
            if used or units >= least:
                return max(units, 0)
        if in_flight and self._looked_at <= self._turn_until:
            # What was left before the others' turn is long gone: one call asks anew.
            return 0
        if not large:
            return max(left // REST - in_flight, 0 if in_flight else least)
        return max(left // REST, min(left, wanted // REST), least)
