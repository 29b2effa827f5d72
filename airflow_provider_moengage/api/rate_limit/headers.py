"""What an answer's headers say of its rate window. Source: Data API overview, "Rate Limits"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: A reset above this is an epoch time and not a number of seconds: one page of the documentation says so.
EPOCH_FROM = 1_000_000
#: Seconds that a window has at most; MoEngage's have 60, and what waits for a window's end must not wait for days.
LONGEST_PERIOD = 3600.0
NUMBER = re.compile(r"\s*[-+]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][-+]?[0-9]{1,3})?\s*")


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
    """Read a number as HTTP writes one; what Python takes besides, such as ``1_000`` and ``nan``, is none."""
    found = NUMBER.fullmatch(text or "")
    value = float(found[0]) if found else None
    return value if value is not None and abs(value) < 1e12 else None


def _parse_limit(text: str | None) -> tuple[int | None, float | None]:
    """
    Read ``31500; w=60``, ``5, 5;w=60`` and ``5``.

    A list has to name the limit again, with its period: ``10,000`` is no list, and not 10.
    """
    first, *others = [_policy(item) for item in (text or "").split(",")]
    limit, period = first
    again = [seconds for units, seconds in others if units == limit and seconds]
    if limit is None or (others and not period and not again):
        return None, None
    period = period or (again[0] if again else None)
    return limit, period if period and period <= LONGEST_PERIOD else None


def _policy(text: str) -> tuple[int | None, float | None]:
    """Read ``5;w=60``: units, and the seconds of their window where they are named."""
    units, *parameters = text.split(";")
    number = _number(units)
    whole = int(number) if number is not None and number >= 1 and number.is_integer() else None
    named = (parameter.partition("=") for parameter in parameters)
    seconds = next((_number(value) for name, _, value in named if name.strip().lower() == "w"), None)
    return whole, seconds if seconds and seconds > 0 else None


def _seconds(number: float | None, now: float) -> float | None:
    if number is None:
        return None
    if number > EPOCH_FROM:
        number -= now
    # A moment that has passed tells of a clock that is off and not of the window.
    return number if number >= 0 else None
