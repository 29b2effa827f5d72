"""
Estimates when a rate window resets: published in whole seconds, narrowed down from response to response.

If the reset lies between two times, one request probes the middle: accepted or not, it halves the uncertainty.
Sleeping for the published seconds instead would cost up to a second per window.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders

#: If the reset is known to within this many seconds, sleep to its upper bound instead of probing.
MIN_PROBED_WIDTH = 0.03
#: The minimum wait after the second 429 in a row, in seconds; doubled with each that follows.
MIN_WAIT = 0.25


class Bracket(NamedTuple):
    """The earliest and the latest possible time of an event, in seconds of one clock."""

    earliest: float
    latest: float

    def later(self, seconds: float) -> Bracket:
        """Return the bracket moved by some seconds."""
        return Bracket(self.earliest + seconds, self.latest + seconds)

    def within(self, other: Bracket) -> Bracket | None:
        """Return the intersection of two brackets; None if they contradict each other."""
        both = Bracket(max(self.earliest, other.earliest), min(self.latest, other.latest))
        return both if both.earliest <= both.latest else None

    @property
    def middle(self) -> float:
        """Return the time halfway."""
        return (self.earliest + self.latest) / 2


class ResetEstimate:
    """
    Estimates the end of the current window, in seconds of the caller's monotonic clock.

    Whether MoEngage rounds the seconds up or down is not documented: up is assumed until a response contradicts it.
    """

    def __init__(self) -> None:
        self.ends: Bracket | None = None
        self.published = False
        self._previous: Bracket | None = None
        self._rounds_down = False
        self._rounding_known = False
        self._clock_ahead = 0.0
        self._round_trip = 0.0
        self._probed = False
        self._throttled_in_a_row = 0

    def wake_at(self, *, probe: bool = True) -> float:
        """
        Return when to send the first request of the next window; infinity while nothing is known.

        :param probe: whether that may be in the middle of the bracket, instead of at its end.
        """
        if self.ends is None:
            return inf
        width = self.ends.latest - self.ends.earliest
        # While the rounding is unknown, the latest time is the middle of what is possible.
        if (
            not probe
            or self._probed
            or not self._rounding_known
            or width <= MIN_PROBED_WIDTH + self._round_trip
        ):
            return self.ends.latest
        return self.ends.middle

    def assume(self, ends: float) -> None:
        """Set the end to a time that no response has published."""
        self.ends = Bracket(ends, ends)

    def advance(self, now: float, period: float) -> None:
        """Advance to the window that contains ``now``, one or more periods after the last known one."""
        if self.ends is not None:
            windows = 1 + max(0, int((now - self.ends.latest) // period))
            self._previous = self.ends.later((windows - 1) * period)
            self.ends = self.ends.later(windows * period)
        self._probed = False

    def learn(
        self, headers: RateHeaders, sent: float, received: float, period: float, *, first: bool
    ) -> bool:
        """
        Narrow the bracket by a response of this window.

        :param first: whether it is the response to the window's first request.
        :return: whether the response belongs to a later window than this one.
        """
        self._throttled_in_a_row = 0
        if first:
            self._round_trip = received - sent
            if self._previous is not None and self.ends is not None:
                # A window may also begin with its first request instead of at the previous one's end.
                self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + period))
        self._previous = None
        seen = self._read(headers, sent, received, period)
        if seen is None:
            return False
        rolled = self.published and self.ends is not None and seen.middle > self.ends.latest + period / 2
        self._narrow(seen, by_clock=headers.by_clock and not rolled)
        self.published = True
        return rolled

    def learn_throttled(
        self, headers: RateHeaders, sent: float, received: float, period: float, *, first: bool
    ) -> bool:
        """
        Learn from a 429 when the next request may be sent.

        :param first: whether it is the response to the window's first request.
        :return: whether that request was too early: the previous window has not ended yet.
        """
        self._throttled_in_a_row += first
        seen = self._read(headers, sent, received, period)
        previous, self._previous = self._previous, None
        early = previous is not None and (seen is None or seen.middle <= previous.latest + period / 2)
        if headers.retry_after is not None:
            self.assume(received + min(headers.retry_after, period))
        elif previous is None or not early:
            self._learn_end(seen, received, period)
        else:
            self._correct_early(previous, seen, sent, received, headers)
        if first and self.ends is not None and self._throttled_in_a_row > 1:
            pause = min(MIN_WAIT * 2 ** min(self._throttled_in_a_row - 2, 16), period)
            self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + pause))
        return early

    def _learn_end(self, seen: Bracket | None, received: float, period: float) -> None:
        """Learn when a window ends whose units are spent."""
        if seen is not None:
            self._narrow(seen, by_clock=False)
            self.published = True
        elif not self.published:
            self.assume(received + period)

    def _correct_early(
        self, previous: Bracket, seen: Bracket | None, sent: float, received: float, headers: RateHeaders
    ) -> None:
        """Correct the bracket: the request meant to open a window still fell into the previous one."""
        if sent > previous.latest and seen is not None and not self._rounding_known and not headers.by_clock:
            self._set_rounding(down=True)
            previous, seen = previous.later(1), seen.later(1)
        still = previous.within(Bracket(sent, inf))
        self.ends = still or Bracket(sent, received + MIN_WAIT)
        if seen is not None and not headers.by_clock:
            self.ends = self.ends.within(seen) or seen
        self._probed = True

    def _read(self, headers: RateHeaders, sent: float, received: float, period: float) -> Bracket | None:
        if self.ends is not None and self.ends.latest > received + period + 1:
            # The windows are shorter than assumed.
            self.assume(received + period)
        reset = headers.reset
        if reset is None:
            return None
        if headers.by_clock:
            self._rounding_known = True
            # No window has more seconds left than its period.
            self._clock_ahead = max(self._clock_ahead, reset - period)
            reset = max(0.0, reset - self._clock_ahead)
        elif reset == 0:
            self._set_rounding(down=True)
        elif headers.period is not None and reset >= period:
            self._set_rounding(down=False)
        reset = min(reset, period)
        later = 1 if self._rounds_down else 0
        return Bracket(sent + reset - 1 + later, received + reset + later)

    def _set_rounding(self, *, down: bool) -> None:
        if down != self._rounds_down:
            shift = 1 if down else -1
            self.ends = self.ends and self.ends.later(shift)
            self._previous = self._previous and self._previous.later(shift)
        self._rounds_down = down
        self._rounding_known = True

    def _narrow(self, seen: Bracket, *, by_clock: bool) -> None:
        both = self.ends.within(seen) if self.ends is not None and self.published else seen
        if both is None and by_clock and self.ends is not None:
            # Grants and 429s have confirmed the current bracket, so the clocks differ.
            self._clock_ahead += seen.middle - self.ends.middle
            return
        self.ends = both or seen
