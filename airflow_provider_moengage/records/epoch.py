"""Times as numbers since 1970, in the unit that their magnitude implies."""

from __future__ import annotations

import math
import re
from decimal import Decimal

#: Larger times are in milliseconds: in seconds they would be after the year 5138. A thousand times larger ones are in
#: microseconds, and a thousand times those in nanoseconds.
MILLISECONDS_FROM = 100_000_000_000
#: A longer string of digits is not a time.
MAX_DIGITS = 40
_DIGITS = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)
_CALENDAR = re.compile(r"(?:1[89]|2[01])\d\d(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?)?", re.ASCII)


def number_of(value: object) -> int | float | Decimal | None:
    """Return a finite number, or a string of digits as a number; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if len(text) <= MAX_DIGITS and _DIGITS.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def is_calendar_number(number: float | Decimal) -> bool:
    """
    Whether a number reads like ``YYYYMMDD``, ``YYYYMM`` or ``YYYY``.

    As seconds since 1970 it would be in that year's first months, which is hardly ever meant.
    """
    if not 0 < number < 10**8 or number != int(number):
        return False
    return _CALENDAR.fullmatch(str(int(number))) is not None


def whole_seconds(number: float | Decimal) -> int | None:
    """
    Convert a number of seconds, milli-, micro- or nanoseconds since 1970 to whole seconds.

    :param number: a finite number.
    :return: whole seconds; None if the number is not a time in any of these units.
    """
    size = abs(number)
    for power, unit in enumerate((1, 10**3, 10**6, 10**9)):
        if size < MILLISECONDS_FROM * 1_000**power:
            return number // unit if isinstance(number, int) else math.floor(number / unit)
    return None
