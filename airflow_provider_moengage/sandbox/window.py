"""The fixed rate window, and its state in response headers."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]

#: The number of windows of a quota that are kept after their end.
WINDOWS_KEPT = 1_000


@dataclass(frozen=True)
class EndedWindow:
    """
    A window that has ended.

    :param opened: the epoch second of its first unit.
    :param used: the units spent in it.
    :param rejected_429: the requests rejected in it, and before it since the end of the one before.
    """

    opened: float
    used: int
    rejected_429: int


class RateWindow:
    """
    A fixed window of one quota.

    It opens with the first unit spent and ends ``seconds`` later, regardless of what happens in between. While
    no window is open, the reset is a whole window away. A request that does not fit costs nothing.
    """

    def __init__(
        self, quota: str, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.quota = quota
        self.limit = limit
        self.seconds = seconds
        self.used_total = 0
        self.rejected_429 = 0
        self._clock = clock
        self._used = 0
        self._opened: float | None = None
        self._opened_at = 0.0
        self._rejected_before = 0
        self._ended: deque[EndedWindow] = deque(maxlen=WINDOWS_KEPT)

    def spend(self, units: int) -> bool:
        """Spend units of the window; return False, and spend nothing, if they do not fit."""
        if not self.fits(units):
            return False
        if self._opened is None:
            self._opened, self._opened_at = self._clock(), time.time()
        self._used += units
        self.used_total += units
        return True

    def fits(self, units: int) -> bool:
        """Whether this many units are left in the window; count the request as rejected if not."""
        fits = units <= self.remaining
        self.rejected_429 += not fits
        return fits

    @property
    def share_left(self) -> float:
        """The share of the window that is left, from 0 to 1."""
        return self.remaining / self.limit if self.limit else 0.0

    @property
    def remaining(self) -> int:
        """Units left in the window."""
        self._roll()
        return max(0, self.limit - self._used)

    @property
    def reset_seconds(self) -> float:
        """Seconds until the window ends."""
        self._roll()
        if self._opened is None:
            return self.seconds
        return max(0.0, self._opened + self.seconds - self._clock())

    def _roll(self) -> None:
        if self._opened is not None and self._clock() >= self._opened + self.seconds:
            rejected = self.rejected_429 - self._rejected_before
            self._ended.append(EndedWindow(self._opened_at, self._used, rejected))
            self._rejected_before = self.rejected_429
            self._opened = None
            self._used = 0

    def headers(self, limit_style: str, reset_style: str) -> Headers:
        """
        Return the rate headers.

        :param limit_style: ``semicolon`` (``31500; w=60``), ``comma`` (``5, 5;w=60``), ``bare`` (``5``) or
            ``none``.
        :param reset_style: ``ceil`` and ``floor``: the seconds left, rounded; ``epoch``: the second at which it ends.
        """
        if limit_style == "none":
            return []
        remaining, reset_seconds = self.remaining, self.reset_seconds
        if limit_style == "semicolon":
            limit = f"{self.limit}; w={self.seconds:g}"
        elif limit_style == "comma":
            limit = f"{self.limit}, {self.limit};w={self.seconds:g}"
        else:
            limit = str(self.limit)
        if reset_style == "epoch":
            reset = math.ceil(time.time() + reset_seconds)
        else:
            reset = math.floor(reset_seconds) if reset_style == "floor" else math.ceil(reset_seconds)
        return [
            (b"x-ratelimit-limit", limit.encode()),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the state of the window, and the windows that have ended, as a JSON object."""
        # First of all: what it returns depends on whether the window has ended.
        self._roll()
        return {
            "quota": self.quota,
            "limit": self.limit,
            "remaining": self.remaining,
            "reset_seconds": self.reset_seconds,
            "used_total": self.used_total,
            "rejected_429": self.rejected_429,
            "ended": [asdict(window) for window in self._ended],
        }
