"""Parses the rate-limit headers of a response. Source: Data API overview, "Rate Limits"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: A reset above this is an epoch time instead of a number of seconds, as one page of the documentation has it.
EPOCH_FROM = 1_000_000
#: The longest window that is believed, in seconds. MoEngage's last 60, and a wait for a reset must not take days.
LONGEST_PERIOD = 3600.0
NUMBER = re.compile(r"\s*[-+]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][-+]?[0-9]{1,3})?\s*")


@dataclass(frozen=True)
class RateHeaders:
    """
    The rate window as one response describes it; None for what is absent.

    :param limit: units per window.
    :param period: length of the window, in seconds.
    :param remaining: units left.
    :param reset: seconds until the window resets, from the time of the response.
    :param retry_after: seconds after which to retry; MoEngage documents no such header, gateways send it.
    :param by_clock: whether the reset was an epoch time, and so depends on this machine's clock.
    """

    limit: int | None = None
    period: float | None = None
    remaining: int | None = None
    reset: float | None = None
    retry_after: float | None = None
    by_clock: bool = False

    @property
    def spent(self) -> int | None:
        """Return the units of the window that all clients have spent; None: unknown."""
        return None if self.limit is None or self.remaining is None else self.limit - self.remaining

    @classmethod
    def parse(cls, headers: Mapping[str, str], now: float) -> RateHeaders:
        """
        Parse every documented spelling; what cannot be parsed counts as absent.

        :param headers: the response's headers, by lower-case or case-insensitive names.
        :param now: this machine's epoch time, for a reset given as an epoch time.
        """
        limit, period = _parse_limit(headers.get("x-ratelimit-limit"))
        remaining = _parse_number(headers.get("x-ratelimit-remaining"))
        reset = _parse_number(headers.get("x-ratelimit-reset"))
        return cls(
            limit=limit,
            period=period,
            remaining=None if remaining is None else max(0, int(remaining)),
            reset=_seconds_until(reset, now),
            retry_after=_seconds_until(_parse_number(headers.get("retry-after")), now),
            by_clock=reset is not None and reset > EPOCH_FROM,
        )


def _parse_number(text: str | None) -> float | None:
    """Parse a number as HTTP writes it; what Python accepts in addition, such as ``1_000`` and ``nan``, is rejected."""
    found = NUMBER.fullmatch(text or "")
    value = float(found[0]) if found else None
    return value if value is not None and abs(value) < 1e12 else None


def _parse_limit(text: str | None) -> tuple[int | None, float | None]:
    """
    Parse ``31500; w=60``, ``5, 5;w=60`` and ``5``.

    A list must repeat the limit with its period: ``10,000`` is not a list, and does not mean 10.
    """
    first, *others = [_parse_policy(item) for item in (text or "").split(",")]
    limit, period = first
    repeated = [seconds for units, seconds in others if units == limit and seconds]
    if limit is None or (others and not period and not repeated):
        return None, None
    period = period or (repeated[0] if repeated else None)
    return limit, period if period and period <= LONGEST_PERIOD else None


def _parse_policy(text: str) -> tuple[int | None, float | None]:
    """Parse ``5;w=60``: the units, and the window's seconds if given."""
    units, *parameters = text.split(";")
    number = _parse_number(units)
    whole = int(number) if number is not None and number >= 1 and number.is_integer() else None
    named = (parameter.partition("=") for parameter in parameters)
    seconds = next((_parse_number(value) for name, _, value in named if name.strip().lower() == "w"), None)
    return whole, seconds if seconds and seconds > 0 else None


def _seconds_until(number: float | None, now: float) -> float | None:
    if number is None:
        return None
    if number > EPOCH_FROM:
        number -= now
    # A time in the past reveals a wrong clock, and nothing of the window.
    return number if number >= 0 else None
