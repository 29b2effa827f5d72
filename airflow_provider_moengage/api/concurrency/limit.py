"""
The rule that finds how many requests to have in flight: opened as TCP opens its congestion window, closed as it closes it.

Source: slow start and multiplicative decrease, RFC 5681; growth and decrease by the latency, against its minimum, TCP Vegas
(Brakmo and Peterson, 1995), as Netflix's concurrency-limits applies it to requests (the square root of the limit as what may
wait at the server); the requests that a rate needs at a latency, Little's law.
"""

from __future__ import annotations

from math import inf, sqrt
from statistics import median

#: Requests in flight before anything is known of the server's latency, and the number that the rate window may not lower.
START = 16
#: Requests that the published rate window may open at once, after the first response: beyond it they double each round trip.
MAX_LEAP = 64
#: How many times the requests that use up the window, spread evenly over it, are opened at most: a window is also
#: entered late, begins with a single request, and the rest of it waits less.
HEADROOM = 3.0
#: Up to how many times its minimum the latency may grow for more requests to be opened, and beyond which they are closed.
GROWS_BELOW, SHRINKS_ABOVE = 1.5, 2.0
#: The smallest fraction that is left by a decrease, and what is left after a failure.
DECREASE = 0.5
#: Requests in flight that cannot be what makes a server slow: then its minimum latency is another one.
FEW = 4
#: The fewest responses whose median is a latency, unless no request is in flight any more.
MIN_ROUND = 8
#: Seconds after which a minimum of the latency is forgotten, at the latest after twice as many.
MEMORY = 60.0


class ConcurrencyLimit:
    """
    How many requests may be in flight, as found by their outcomes; not thread-safe, without a clock of its own.

    A round is as many responses as requests may be in flight, and so takes a round trip. At its end, more requests are
    opened if the median of its latencies is near the minimum, and some are closed if it has doubled. A failure (5xx, a
    time-out, a broken connection) closes half, at most once per round trip. What was found holds while nothing is sent.

    :param maximum: the maximum of the limit.
    :ivar in_flight: the requests in flight.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._value = float(min(START, maximum))
        #: As many as the rate window can use at the latency met.
        self._most = float(min(START, maximum))
        self.in_flight = 0
        #: Whether nothing has shown yet that the server cannot take more: the limit doubles each round trip.
        self._starting = True
        self._latencies: list[float] = []
        self._round_size = MIN_ROUND
        #: Whether, within this round, a request was held back by the limit.
        self._reached = False
        self._decreased_at = -inf
        #: The minimum latency of this minute and of the last.
        self._minimum = self._last_minimum = inf
        self._forget_at = -inf

    @property
    def limit(self) -> int:
        """Return the requests that may be in flight, at least 1."""
        return max(1, int(min(self._value, self._most)))

    @property
    def has_room(self) -> bool:
        """Whether another request may be sent now."""
        return self.in_flight < self.limit

    def begin(self) -> None:
        """Count a request that is sent now."""
        self.in_flight += 1

    def end(
        self, now: float, began: float, latency: float | None, *, failed: bool = False, rate: float = inf
    ) -> None:
        """
        Count the end of a request, and learn from it.

        :param now: seconds, by any clock.
        :param began: when it was sent, by the same clock.
        :param latency: the seconds that the server took; None: they say nothing, as those of a 429.
        :param failed: whether it failed as it does if a server cannot take more.
        :param rate: the requests per second that the rate window allows on average.
        """
        self._reached = self._reached or not self.has_room
        self.in_flight -= 1
        if failed:
            if began >= self._decreased_at:
                self._decrease(now, 1.0, DECREASE)
            return
        if latency is None:
            return
        # What was sent before a decrease says nothing of its effect.
        if began >= self._decreased_at:
            self._latencies.append(latency)
            if self._starting and self._reached and latency <= GROWS_BELOW * self._minimum_latency:
                self._grow(1.0)
        if len(self._latencies) >= self._round_size or (self._latencies and not self.in_flight):
            self._end_round(now, median(self._latencies), rate)

    @property
    def _minimum_latency(self) -> float:
        return min(self._minimum, self._last_minimum)

    def _end_round(self, now: float, latency: float, rate: float) -> None:
        self._remember(now, latency)
        slower = latency / self._minimum_latency if self._minimum_latency else 1.0
        if slower > SHRINKS_ABOVE and self._value > FEW:
            self._decrease(now, float(FEW), max(DECREASE, SHRINKS_ABOVE / slower))
        elif slower > SHRINKS_ABOVE:
            self._minimum, self._last_minimum = latency, inf
        elif slower <= GROWS_BELOW and self._reached and not self._starting:
            self._grow(sqrt(self._value))
        needed = rate * latency
        self._most = min(float(self._maximum), max(START, HEADROOM * needed))
        # A window that no number of requests can use says nothing of what the server takes.
        if self._starting and needed <= self._maximum:
            self._value = max(self._value, min(MAX_LEAP, needed))
        self._new_round()

    def _remember(self, now: float, latency: float) -> None:
        if now >= self._forget_at:
            self._last_minimum, self._minimum = self._minimum, inf
            self._forget_at = now + MEMORY
        self._minimum = min(self._minimum, latency)

    def _grow(self, requests: float) -> None:
        self._value = min(self._value + requests, max(self._value, self._most))

    def _decrease(self, now: float, least: float, to: float) -> None:
        self._value = max(least, min(self._value, self._most) * to)
        self._starting = False
        self._decreased_at = now
        self._new_round()

    def _new_round(self) -> None:
        self._latencies.clear()
        self._reached = False
        self._round_size = max(MIN_ROUND, self.limit)
