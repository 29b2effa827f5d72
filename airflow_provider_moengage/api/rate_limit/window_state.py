"""What one client knows of the current rate window: its units and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf

from airflow_provider_moengage.api.rate_limit.reset_estimate import ResetEstimate


@dataclass(frozen=True)
class WindowView:
    """
    A window as others may see it.

    :param quota: the quota's key in the connection's extra ``limits``.
    :param limit: units per window, as published by responses, else as configured.
    :param capacity: how many of them this client may use.
    :param left: how many of those it has not used; 0 to ``capacity``.
    :param period: length of the window, in seconds.
    :param resets_in: seconds until the window resets; None: no window is running.
    """

    quota: str
    limit: int
    capacity: int
    left: int
    period: float
    resets_in: float | None


@dataclass
class WindowState:
    """
    What one client knows of the current window.

    :param limit: units per window, of all clients.
    :param share: the fraction of the limit that this client may use.
    :param period: length of the window, in seconds.
    :param reset: when it ends.
    :param used: units of this window that were granted.
    :param remaining: the fewest units that a response reported as left; None: none did.
    :param in_flight: units that were granted and are not settled yet, those of earlier windows included.
    """

    limit: int
    share: float
    period: float
    reset: ResetEstimate = field(default_factory=ResetEstimate)
    used: int = 0
    remaining: int | None = None
    in_flight: int = 0

    @property
    def capacity(self) -> int:
        """Return the units of a whole window that this client may use."""
        return max(1, int(self.limit * self.share))

    def room(self, minimum: int = 0) -> int:
        """
        Return the units of this window that this client may use and has not used.

        :param minimum: units that are granted in a fresh window, even if they are more than it holds: a request that
            costs more than a whole window cannot be sent in another one.
        """
        room = self.capacity - self.used
        if self.remaining is not None:
            left = self.remaining - self.in_flight
            # The remaining units that MoEngage reports are decisive, unless others are to get a share of them.
            return left if self.share == 1 else min(room, left)
        return max(room, minimum) if self.used == 0 else room

    def view(self, quota: str, seconds: float) -> WindowView:
        """
        Return the window as others may see it.

        :param seconds: until the next window; 0 or less, or infinity: none is running, and the next one is whole.
        """
        runs = 0 < seconds < inf
        left = max(0, min(self.room(), self.capacity)) if runs else self.capacity
        return WindowView(quota, self.limit, self.capacity, left, self.period, seconds if runs else None)

    def limit_remaining(self, remaining: int) -> None:
        """Reduce what is left to what a response reports."""
        self.remaining = remaining if self.remaining is None else min(self.remaining, remaining)

    def begin(self, used: int) -> None:
        """
        Begin a new window.

        :param used: units in flight, which MoEngage may count in it.
        """
        self.used, self.remaining = used, None

    def seconds_for(self, units: int, until_reset: float | None) -> float:
        """
        Return the minimum number of seconds until so many more units, including those in flight, are granted.

        :param until_reset: seconds until the next window, 0 or less if it has begun; None: unknown.
        """
        seconds = self.period if until_reset is None else until_reset
        room = self.room() if seconds > 0 else 0
        beyond = units - self.in_flight - max(0, room)
        if beyond <= 0:
            return 0.0
        return max(0.0, seconds) + (ceil(beyond / self.capacity) - 1) * self.period
