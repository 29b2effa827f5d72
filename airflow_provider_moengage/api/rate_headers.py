"""What an answer's headers say of its rate window. Source: Data API overview, "Rate Limits"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: A reset above this is an epoch time and not a number of seconds: one page of the documentation says so.
EPOCH_FROM = 1_000_000
#: Seconds that a window has at most; MoEngage's have 60, and what waits for a window's end must not wait for days.
LONGEST_PERIOD = 3600.0


@dataclass(frozen=True)
class RateHeaders:
    """
    What one answer says of its window; None for what it does not say.

    :param limit: units a window.
    :param period: seconds a window.
    :param remaining: units left.
    :param reset: seconds until the window resets, counted from the answer.
    :param retry_after: seconds after which to try again; MoEngage documents no such header, gateways send it.
    :param by_clock: the reset came as an epoch time, so that it depends on this machine's clock.
    """

    limit: int | None = None
    period: float | None = None
    remaining: int | None = None
    reset: float | None = None
    retry_after: float | None = None
    by_clock: bool = False

    @classmethod
    def parse(cls, headers: Mapping[str, str], now: float) -> RateHeaders:
        """
        Read every documented spelling; nonsense counts as absent.

        :param headers: the answer's headers, by lower-case or case-insensitive names.
        :param now: this machine's epoch time, for a reset that is one.
        """
        limit, period = _parse_limit(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        reset = _number(headers.get("x-ratelimit-reset"))
        return cls(
            limit=limit,
            period=period,
            remaining=None if remaining is None else max(0, int(remaining)),
            reset=_seconds(reset, now),
            retry_after=_seconds(_number(headers.get("retry-after")), now),
            by_clock=reset is not None and reset > EPOCH_FROM,
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
    seconds = float(period[1]) if period else 0.0
    return int(first[1]), seconds if 0 < seconds <= LONGEST_PERIOD else None


def _seconds(number: float | None, now: float) -> float | None:
    if number is None:
        return None
    if number > EPOCH_FROM:
        number -= now
    # A moment that has passed tells of a clock that is off and not of the window.
    return number if number >= 0 else None
