"""
Estimates when a rate window resets: published in whole seconds, narrowed down from response to response.

The reset is known to lie between two times. The next window is entered at the later one, so that no request comes too
early; waiting for it costs a second at most, and not for every window but once for the whole run.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders

#: Seconds until the next attempt after a 429 that came too early; doubled from the third in a row on. Resets are
#: published in whole seconds, so that one whose rounding is not known is so much later at most.
MIN_WAIT = 1.0


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

    Whether MoEngage rounds the seconds up or down is not documented: up is assumed until a response says 0, which
    nothing that is rounded up can be.

    :ivar ends: when the window ends; None while nothing is known.
    :ivar published: whether a response has published it.
    """

    def __init__(self) -> None:
        self.ends: Bracket | None = None
        self.published = False
        self._previous: Bracket | None = None
        self._rounds_down = False
        self._clock_ahead = 0.0
        self._throttled_in_a_row = 0

    @property
    def latest(self) -> float:
        """Return when the window has certainly ended; infinity while nothing is known."""
        return inf if self.ends is None else self.ends.latest

    @property
    def guessed(self) -> bool:
        """Whether no response of this window has published its end yet."""
        return not self.published or self._previous is not None

    def assume(self, ends: float) -> None:
        """Set the end to a time that no response has published."""
        self.ends = Bracket(ends, ends)

    def advance(self, now: float, period: float) -> None:
        """Advance to the window that contains ``now``, one or more periods after the last known one."""
        if self.ends is not None:
            windows = 1 + max(0, int((now - self.ends.latest) // period))
            self._previous = self.ends.later((windows - 1) * period)
            self.ends = self.ends.later(windows * period)

    def learn(self, headers: RateHeaders, sent: float, received: float, period: float) -> bool:
        """
        Narrow the bracket by a response of this window.

        :return: whether the response belongs to a later window than this one.
        """
        self._throttled_in_a_row = 0
        if self._previous is not None and self.ends is not None:
            # A window may also begin with its first request, of whichever client, instead of at the previous one's end.
            self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + period))
        self._previous = None
        seen = self._read(headers, sent, received, period)
        if seen is None:
            return False
        rolled = self.published and self.ends is not None and seen.middle > self.ends.latest + period / 2
        self._narrow(seen, by_clock=headers.by_clock and not rolled)
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
        elif early:
            # The previous bracket has been waited for and was wrong. So is this machine's clock, if it was an epoch time.
            known = seen is not None and not headers.by_clock
            self.ends = seen if known else Bracket(sent, received + min(MIN_WAIT, period))
        elif seen is not None:
            self._narrow(seen, by_clock=False)
        elif not self.published:
            self.assume(received + period)
        if first and self.ends is not None and self._throttled_in_a_row > 1:
            pause = min(MIN_WAIT * 2 ** min(self._throttled_in_a_row - 2, 16), period)
            self.ends = Bracket(self.ends.earliest, max(self.ends.latest, received + pause))
        return early

    def is_current(self, headers: RateHeaders, sent: float, received: float, period: float) -> bool:
        """Whether a response to a request of an earlier window describes the current one."""
        seen = self._read(headers, sent, received, period)
        return seen is not None and self.published and seen.middle > self.latest - period / 2

    def _read(self, headers: RateHeaders, sent: float, received: float, period: float) -> Bracket | None:
        """Return the bracket that a response publishes; None if it publishes none."""
        if self.ends is not None and self.ends.latest > received + period + 1:
            # The windows are shorter than assumed.
            self.assume(received + period)
        reset = headers.reset
        if reset is None:
            return None
        if headers.by_clock:
            # No window has more seconds left than its period.
            self._clock_ahead = max(self._clock_ahead, reset - period)
            reset = max(0.0, reset - self._clock_ahead)
        elif reset == 0:
            self._round_down()
        reset = min(reset, period) + self._rounds_down
        return Bracket(sent + reset - 1, received + reset)

    def _round_down(self) -> None:
        """Move what was read as rounded up by the second that rounding down makes of it."""
        if not self._rounds_down:
            self._rounds_down = True
            self.ends = self.ends and self.ends.later(1)
            self._previous = self._previous and self._previous.later(1)

    def _narrow(self, seen: Bracket, *, by_clock: bool) -> None:
        both = self.ends.within(seen) if self.ends is not None and self.published else seen
        self.published = True
        if both is None and by_clock and self.ends is not None:
            # Grants and 429s have confirmed the current bracket, so the clocks differ.
            self._clock_ahead += seen.middle - self.ends.middle
        else:
            self.ends = both or seen
