"""
The rate window of one quota: learned from the answers' headers, granted in units.

MoEngage counts users, events and devices in fixed windows and publishes with every answer what is left and
when the window resets. So what is left is spent at once, and then the sender waits for the reset.
Source: Data API overview, "Rate Limits".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from airflow_provider_moengage.api.endpoints import WINDOW_SECONDS
from airflow_provider_moengage.api.errors import MoEngageStopped

#: A reset above this is an epoch time and not a number of seconds: one page of the documentation says so.
EPOCH_FROM = 1_000_000
#: Windows without one unit granted after which a run ends.
STARVED_WINDOWS = 5
#: Seconds to wait at least after a 429: resets are whole seconds, and a reset of 0 may be nearly a second
#: away.
SHORTEST_WAIT = 0.25


@dataclass(frozen=True)
class RateHeaders:
    """
    What one answer says of its window; None for what it does not say.

    :param limit: units a window.
    :param period: seconds a window.
    :param remaining: units left.
    :param reset: seconds until the window resets, counted from the answer.
    :param retry_after: seconds after which to try again; MoEngage documents no such header, gateways send it.
    """

    limit: int | None = None
    period: float | None = None
    remaining: int | None = None
    reset: float | None = None
    retry_after: float | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str], now: float) -> RateHeaders:
        """
        Read every documented spelling; nonsense counts as absent.

        :param headers: the answer's headers, by lower-case or case-insensitive names.
        :param now: this machine's epoch time, for a reset that is one.
        """
        limit, period = _parse_limit(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        return cls(
            limit=limit,
            period=period,
            remaining=None if remaining is None else max(0, int(remaining)),
            reset=_parse_reset(headers.get("x-ratelimit-reset"), now),
            retry_after=_parse_reset(headers.get("retry-after"), now),
        )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None


def _parse_limit(text: str | None) -> tuple[int | None, float | None]:
    """Read ``31500; w=60``, ``5, 5;w=60`` and ``5``."""
    first = re.match(r"\s*(\d{1,12})(?!\d)", text or "")
    if not text or not first or int(first[1]) == 0:
        return None, None
    period = re.search(rf"(?<!\d){first[1]}\s*;\s*w\s*=\s*(\d{{1,6}}(?:\.\d{{1,6}})?)", text)
    return int(first[1]), float(period[1]) or None if period else None


def _parse_reset(text: str | None, now: float) -> float | None:
    seconds = _number(text)
    if seconds is None:
        return None
    if seconds > EPOCH_FROM:
        seconds -= now
    # A moment that has passed tells of a clock that is off and not of the window.
    return seconds if seconds >= 0 else None


@dataclass(frozen=True)
class Grant:
    """
    Units that may be sent now.

    :param window: the number of the window they were granted in.
    :param first: the first grant of that window.
    """

    units: int
    window: int
    first: bool


class Window:
    """
    Grants the units of one quota to the threads of one client.

    The first grant of every window goes alone: its answer tells what the window really holds.

    :param limit: units a window, until headers say otherwise.
    :param share: the part of the limit this client may use.
    :param period: seconds a window, until headers say otherwise.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        limit: int,
        *,
        share: float = 1.0,
        period: float = WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._share = share
        self._period = period
        self._clock = clock
        self._changed = threading.Condition()
        self._number = 0
        self._ends: float | None = None
        self._ends_published = False
        self._remaining: int | None = None
        self._used = 0
        self._in_flight = 0
        self._first: Grant | None = None
        self._proven = False
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
            if not self._waiting or self._ends is None:
                return None
            return max(0.0, self._ends - self._clock())

    @property
    def capacity(self) -> int:
        """Units that this client may use of one whole window."""
        return max(1, int(self._limit * self._share))

    @property
    def starved(self) -> bool:
        """Whether five whole windows have passed without one unit granted by MoEngage."""
        since = self._refused_since
        return since is not None and self._clock() - since >= STARVED_WINDOWS * self._period

    def acquire(self, units: int, halt: threading.Event) -> Grant:
        """
        Wait until ``units`` may be sent; every grant must be settled by :meth:`answered` or :meth:`lost`.

        :raises MoEngageStopped: ``halt`` was set; nothing was granted.
        """
        with self._changed:
            while True:
                if halt.is_set():
                    raise MoEngageStopped("the run was stopped before this request was sent")
                offer = self._offer(units)
                if isinstance(offer, Grant):
                    return offer
                if offer == inf:
                    self._changed.wait()
                else:
                    with self._throttled():
                        self._changed.wait(offer)

    def offer(self, units: int) -> Grant | float:
        """
        Grant ``units`` now, or say how long to wait before asking again.

        :return: the grant, or seconds; infinity until the answer to the window's first grant is settled.
        """
        with self._changed:
            return self._offer(units)

    def answered(self, grant: Grant, headers: RateHeaders, *, refused: bool) -> None:
        """
        Settle a grant by its answer.

        :param refused: the answer was a 429: the window is spent, whatever the headers say.
        """
        with self._changed:
            now = self._clock()
            self._limit = headers.limit or self._limit
            self._period = headers.period or self._period
            if not refused:
                self._refused_since = None
            elif self._refused_since is None:
                self._refused_since = now
            # The answer to a grant of an earlier window tells nothing of this one.
            if grant.window == self._number:
                self._learn(grant, headers, now)
                if refused:
                    self._close(headers, now)
            self._settle(grant)

    def lost(self, grant: Grant) -> None:
        """Settle a grant that got no answer; MoEngage may have counted it."""
        with self._changed:
            self._settle(grant)

    def wake(self) -> None:
        """Let every waiting thread look at its ``halt`` again."""
        with self._changed:
            self._changed.notify_all()

    def _offer(self, units: int) -> Grant | float:
        now = self._clock()
        if self._ends is not None and now >= self._ends:
            self._open(self._ends + self._period * ((now - self._ends) // self._period + 1))
        if self._first is not None:
            return inf
        if self._grants(units):
            return self._grant(units, now)
        return max(0.001, (self._ends or now) - now)

    def _grants(self, units: int) -> bool:
        allowed = self.capacity - self._used
        if self._remaining is not None:
            return units <= min(allowed, self._remaining - self._in_flight)
        # More than a whole window holds can only go into a fresh one.
        return units <= allowed or self._used == 0

    def _grant(self, units: int, now: float) -> Grant:
        if self._ends is None:
            self._ends = now + self._period
        grant = Grant(units, self._number, first=not self._proven)
        if grant.first:
            self._first = grant
        self._used += units
        self._in_flight += units
        return grant

    def _open(self, ends: float) -> None:
        """Begin a new window; what is still in flight may be counted in it."""
        self._number += 1
        self._ends = ends
        self._remaining = None
        self._used = self._in_flight
        self._proven = False

    def _learn(self, grant: Grant, headers: RateHeaders, now: float) -> None:
        if headers.reset is not None:
            ends = now + min(headers.reset, self._period)
            if self._ends is None or grant.first or not self._ends_published:
                self._ends = ends
            elif ends > self._ends + self._period / 2:
                # MoEngage's window has ended before we thought it would.
                self._open(ends)
            else:
                self._ends = min(self._ends, ends)
            self._ends_published = True
        if headers.remaining is not None:
            seen = headers.remaining
            self._remaining = seen if self._remaining is None else min(self._remaining, seen)

    def _close(self, headers: RateHeaders, now: float) -> None:
        self._remaining = 0
        reset = headers.reset if headers.retry_after is None else headers.retry_after
        if reset is not None:
            self._ends = now + min(max(reset, SHORTEST_WAIT), self._period)
        elif not self._ends_published:
            self._ends = now + self._period

    def _settle(self, grant: Grant) -> None:
        self._in_flight -= grant.units
        if grant is self._first:
            self._first = None
            self._proven = grant.window == self._number
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
