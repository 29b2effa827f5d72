"""Times as numbers since 1970, in whichever unit their size says."""

from __future__ import annotations

import math
import re
from decimal import Decimal

#: A time from here on is in milliseconds: in seconds it would lie in the year 5138. Thousand times as much are
#: microseconds, and thousand times that nanoseconds.
MILLISECONDS_FROM = 100_000_000_000
#: A longer text of digits is no time.
MAX_DIGITS = 40
_DIGITS = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)
_CALENDAR = re.compile(r"(?:1[89]|2[01])\d\d(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?)?", re.ASCII)


def number_of(value: object) -> int | float | Decimal | None:
    """Return a finite number, or the number that a text of digits is; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if len(text) <= MAX_DIGITS and _DIGITS.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def is_calendar_number(number: float | Decimal) -> bool:
    """
    Whether a number reads like ``YYYYMMDD``, ``YYYYMM`` or ``YYYY``.

    As a time since 1970 it would lie in that year's first months, which nobody who writes it means.
    """
    if not 0 < number < 10**8 or number != int(number):
        return False
    return _CALENDAR.fullmatch(str(int(number))) is not None


def whole_seconds(number: float | Decimal) -> int | None:
    """
    Return the whole seconds since 1970 that a number of seconds, milli-, micro- or nanoseconds is.

    :param number: finite.
    :return: None where the number is no time in any of these units.
    """
    size = abs(number)
    for power, unit in enumerate((1, 10**3, 10**6, 10**9)):
        if size < MILLISECONDS_FROM * 1_000**power:
            return number // unit if isinstance(number, int) else math.floor(number / unit)
    return None
