"""
When a rate window resets: published in whole seconds, bracketed from answer to answer.

A window that ends between two moments is tried in their middle, with one call: granted or not, it halves what is
unknown. Sleeping for the published seconds instead would cost up to a second in every window.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders

#: Seconds of doubt that are slept through and not tried.
NARROW = 0.03
#: Seconds to wait at least after the second refusal in a row; doubled with each that follows.
SHORTEST_WAIT = 0.25


class Bracket(NamedTuple):
    """Two moments, in seconds of one clock, between which another one lies."""

    earliest: float
    latest: float

    def later(self, seconds: float) -> Bracket:
        """Move both moments."""
        return Bracket(self.earliest + seconds, self.latest + seconds)

    def within(self, other: Bracket) -> Bracket | None:
        """Give what both allow; None where they contradict each other."""
        both = Bracket(max(self.earliest, other.earliest), min(self.latest, other.latest))
        return both if both.earliest <= both.latest else None

    @property
    def middle(self) -> float:
        """The moment halfway."""
        return (self.earliest + self.latest) / 2


class ResetEstimate:
    """
    The end of the current window, as far as is known, in seconds of the caller's monotonic clock.

    Whether MoEngage rounds the seconds up or down is not documented: up is taken until an answer contradicts it.
    """

    def __init__(self) -> None:
        self.ends: Bracket | None = None
        self.published = False
        self._before: Bracket | None = None
        self._rounds_down = False
        self._rounding_known = False
        self._clock_ahead = 0.0
        self._round_trip = 0.0
        self._tried = False
        self._refusals = 0

    def wake_at(self, *, patient: bool = False) -> float:
        """
        The moment from which a call of the next window may be tried; infinity while nothing is known.

        :param patient: do not try in the middle of a doubt, but at its end.
        """
        if self.ends is None:
            return inf
        doubt = self.ends.latest - self.ends.earliest
        # Until it is known how the seconds are rounded, their end is the middle of what is possible.
        if patient or self._tried or not self._rounding_known or doubt <= NARROW + self._round_trip:
            return self.ends.latest
        return self.ends.middle

    def assume(self, ends: float) -> None:
        """Take a moment for the end, because no answer says when it is."""
        self.ends = Bracket(ends, ends)

    def carry(self, now: float, period: float) -> None:
        """Begin the window that ``now`` lies in, one or more lengths after the last one that was known."""
        if self.ends is not None:
            windows = 1 + max(0, int((now - self.ends.latest) // period))
            self._before = self.ends.later((windows - 1) * period)
            self.ends = self.ends.later(windows * period)
        self._tried = False

    def learn(
        self, headers: RateHeaders, sent: float, received: float, period: float, *, first: bool
    ) -> bool:
        """
        Narrow the bracket by one answer of this window.

        :param first: it answers the window's first call.
        :return: whether the answer tells of a later window than this one.
        """
        self._refusals = 0
        if first:
            self._round_trip = received - sent
            if self._before is not None and self.ends is not None:
                # A window may also begin with its first call and not on the beat of the one before.
                self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + period))
        self._before = None
        seen = self._read(headers, sent, received, period)
        if seen is None:
            return False
        rolled = self.published and self.ends is not None and seen.middle > self.ends.latest + period / 2
        self._take(seen, by_clock=headers.by_clock and not rolled)
        self.published = True
        return rolled

    def refused(
        self, headers: RateHeaders, sent: float, received: float, period: float, *, first: bool
    ) -> bool:
        """
        Learn from a 429 when the next call may be tried.

        :param first: it answers the window's first call.
        :return: whether that call came early: the window before is not over yet.
        """
        self._refusals += first
        seen = self._read(headers, sent, received, period)
        before, self._before = self._before, None
        early = before is not None and (seen is None or seen.middle <= before.latest + period / 2)
        if headers.retry_after is not None:
            self.assume(received + min(headers.retry_after, period))
        elif before is None or not early:
            self._spent(seen, received, period)
        else:
            self._came_early(before, seen, sent, received, headers)
        if first and self.ends is not None and self._refusals > 1:
            pause = min(SHORTEST_WAIT * 2 ** min(self._refusals - 2, 16), period)
            self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + pause))
        return early

    def _spent(self, seen: Bracket | None, received: float, period: float) -> None:
        """The window's units are gone: all that is to be known is when it ends."""
        if seen is not None:
            self._take(seen, by_clock=False)
            self.published = True
        elif not self.published:
            self.assume(received + period)

    def _came_early(
        self, before: Bracket, seen: Bracket | None, sent: float, received: float, headers: RateHeaders
    ) -> None:
        """The call that was to be the first of a window met the end of the one before."""
        if sent > before.latest and seen is not None and not self._rounding_known and not headers.by_clock:
            self._round(down=True)
            before, seen = before.later(1), seen.later(1)
        still = before.within(Bracket(sent, inf))
        self.ends = still or Bracket(sent, received + SHORTEST_WAIT)
        if seen is not None and not headers.by_clock:
            self.ends = self.ends.within(seen) or seen
        self._tried = True

    def _read(self, headers: RateHeaders, sent: float, received: float, period: float) -> Bracket | None:
        if self.ends is not None and self.ends.latest > received + period + 1:
            # Windows are shorter than was believed.
            self.assume(received + period)
        reset = headers.reset
        if reset is None:
            return None
        if headers.by_clock:
            self._rounding_known = True
            # No window has more seconds left than it is long.
            self._clock_ahead = max(self._clock_ahead, reset - period)
            reset = max(0.0, reset - self._clock_ahead)
        elif reset == 0:
            self._round(down=True)
        elif headers.period is not None and reset >= period:
            self._round(down=False)
        reset = min(reset, period)
        later = 1 if self._rounds_down else 0
        return Bracket(sent + reset - 1 + later, received + reset + later)

    def _round(self, *, down: bool) -> None:
        if down != self._rounds_down:
            shift = 1 if down else -1
            self.ends = self.ends and self.ends.later(shift)
            self._before = self._before and self._before.later(shift)
        self._rounds_down = down
        self._rounding_known = True

    def _take(self, seen: Bracket, *, by_clock: bool) -> None:
        both = self.ends.within(seen) if self.ends is not None and self.published else seen
        if both is None and by_clock and self.ends is not None:
            # Seen by grants and refusals, the end is where the carried bracket is: the clocks differ.
            self._clock_ahead += seen.middle - self.ends.middle
            return
        self.ends = both or seen
