"""Parses event times in the documented formats."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

ISO_8601 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2})?)(?:\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
DIGITS = re.compile(r"[0-9]{1,13}")
#: The second day of the year 1, since an offset can subtract most of a day; and the first number of 14 digits.
EARLIEST, TOO_LATE = -62_135_510_400, 10**13
#: A larger number would be beyond the year 5000 in seconds, so it is milliseconds, as in some samples.
MAX_SECONDS = 10**11


def epoch_seconds(value: Any) -> float | None:
    """
    Return a time as seconds since 1970; None if it is not in a documented format.

    :param value: seconds since 1970, as a number or a string of digits (13 digits: milliseconds); or ISO 8601,
        in UTC if it has no offset.
    """
    if isinstance(value, str):
        if not DIGITS.fullmatch(value):
            return _iso_8601(value)
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not EARLIEST <= value < TOO_LATE:
        return None
    return value / 1000 if value > MAX_SECONDS else float(value)


def in_milliseconds(value: Any) -> bool:
    """Whether a time that :func:`epoch_seconds` accepts is in milliseconds."""
    if isinstance(value, str):
        return value.isdigit() and int(value) > MAX_SECONDS
    return isinstance(value, int | float) and value > MAX_SECONDS


def _iso_8601(text: str) -> float | None:
    match = ISO_8601.fullmatch(text)
    if match is None:
        return None
    moment, offset = match.groups()
    if offset is not None:
        moment += "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[-2:]}"
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=timezone.utc)
    seconds = parsed.timestamp()
    return seconds if seconds >= EARLIEST else None
