"""
Recognises dates in strings: documented ones, those that can be converted, and those that MoEngage would store as text.

Source: Data API overview ("datetime"), docs ("data tracking policies").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from itertools import product
from string import ascii_letters
from types import MappingProxyType

#: The shortest and the longest string that can be a date with a day, a month and a year of four digits.
SHORTEST_DATE, LONGEST_DATE = 8, 80
#: The shortest undocumented form of an instant: one with a fraction or an offset.
SHORTEST_OTHER_INSTANT = 21
#: The beginnings of the names of months and weekdays, and how they may continue.
MONTHS: Mapping[str, str] = MappingProxyType(
    {
        "jan": "uary", "feb": "ruary", "mar": "ch", "apr": "il", "may": "", "jun": "e", "jul": "y", "aug": "ust",
        "sep": "t(?:ember)?", "oct": "ober", "nov": "ember", "dec": "ember",
    }
)  # fmt: skip
WEEKDAYS: Mapping[str, str] = MappingProxyType(
    {
        "mon": "day", "tue": "s(?:day)?", "wed": "nesday", "thu": "r(?:s(?:day)?)?", "fri": "day", "sat": "urday",
        "sun": "day",
    }
)  # fmt: skip
#: Whitespace, and characters that cannot be seen, as a character class.
BLANKS = " \t\n\r\x0b\x0c\x1c-\x1f\x85\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"

_DOCUMENTED = re.compile(r"\d{4}-\d{2}-\d{2}(?:T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ)?", re.ASCII)
_BEGINS_LIKE_ONE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,]\d+)?(Z|[+-]\d{2}(?::?[0-5]\d)?)", re.ASCII
)


def is_documented_date(text: str) -> bool:
    """Whether MoEngage recognises a string as a datetime: one of its two forms, with a day that exists."""
    if not _DOCUMENTED.fullmatch(text):
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def is_undocumented_date(text: str) -> bool:
    """
    Whether a string is meant as a date that MoEngage would store as text.

    It begins like ``YYYY-MM-DD``, or the whole of it is a date, with or without a time, in another form: with a day, a
    month and a year of four digits, in numbers or with an English month. ``1/2/3``, ``10/10`` and ``20251231`` are not.
    """
    if len(text) < SHORTEST_DATE:
        return False
    # Quick exit: most strings are not dates, as their first characters show.
    if not may_begin_date(text):
        return False
    if text[4] == text[7] == "-" and _BEGINS_LIKE_ONE.match(text):
        return not is_documented_date(text)
    return (
        _MAY_BE_ONE.match(text) is not None
        and len(text) <= LONGEST_DATE
        and any(form.fullmatch(text) for form in FORMS_OF_DATES)
    )


def documented_form(text: str) -> str | None:
    """
    Convert an ISO 8601 instant, with ``T``, seconds, an optional fraction and ``Z`` or an offset, to MoEngage's form.

    :return: UTC without the fraction; None if the string is not such an instant, or if the instant does not exist.
    """
    if text[10:11] != "T":
        return None
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    moment, offset = match.groups()
    offset = "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[3:].lstrip(':') or '00'}"
    try:
        utc = datetime.fromisoformat(moment + offset).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat() + "Z"


def _one_of(words: Mapping[str, str]) -> str:
    return "(?:" + "|".join(f"{word}(?:{rest})?" for word, rest in words.items()) + ")"


def _other_forms() -> tuple[re.Pattern[str], ...]:
    blank, blanks = f"[{BLANKS}]*", f"[{BLANKS}]+"
    # 1.10.1024 is a version; programs write 01/01/0001 for a missing date.
    year, any_year = r"(?:(?:1[89]|2[01])\d{2}|9999)", r"(?:[12]\d{3}|0001|9999)"
    day, month = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
    name = _one_of(MONTHS) + r"\.?"
    ordinal = f"{day}(?:st|nd|rd|th)?"
    between = rf"(?:{blanks}|-|/)?"
    apart = rf"(?:,?{blanks}|-|/)"
    numbers = [
        sign.join(parts)
        for sign, years in ((r"\.", year), ("-", year), ("/", any_year))
        for parts in ((years, month, day), (day, month, years), (month, day, years))
    ]
    # Databases write these for a missing date.
    numbers += [
        sign.join(parts)
        for sign in (r"\.", "-", "/")
        for parts in (("00", "00", "0000"), ("0000", "00", "00"))
    ]
    names = [
        rf"{ordinal}(?:\.?{between}|{blanks}of{blanks}){name}{between},?{blank}{year}",
        f"{name}{apart}{ordinal}{apart}{year}",
        f"{year}{between}{name}{between}{day}",
    ]
    weekday = rf"(?:{_one_of(WEEKDAYS)}[.,]*{blanks})?"
    date_ = f"{weekday}(?:{'|'.join(numbers + names)})"
    clock = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,:]\d+)?)?"
    half = rf"(?:{blank}[ap]\.?m\.?)?"
    offset = r"[+-]\d{1,2}(?::?\d{2})?"
    zone = rf"(?:{blank}(?:[a-z]{{1,5}}(?:{offset})?|{offset}))?(?:{blanks}\([^()]*\))?"
    forms = (
        rf"{date_}(?:(?:t|:|,?{blanks}(?:at{blanks})?){clock}{half}{zone})?",
        rf"{clock}{half},?{blanks}{date_}",
        # As printed by C and Java: Wed Dec 31 10:00:00 UTC 2025.
        rf"{weekday}{name}{blanks}{day}{blanks}{clock}{zone}{blanks}{year}",
        # ISO 8601 without its dashes.
        rf"{year}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:t|{blanks})\d{{2}}:?\d{{2}}(?::?\d{{2}}(?:[.,]\d+)?)?{zone}",
    )
    return tuple(re.compile(f"{blank}(?:{form}){blank}", re.ASCII | re.IGNORECASE) for form in forms)


def _in_any_case(words: Iterable[str]) -> str:
    """Return a pattern of words in lower, upper or mixed case, which fails faster than one that ignores the case."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[:1], []).append(word[1:])
    return "|".join(
        f"[{first}{first.upper()}](?:{_in_any_case(rest)})" if first else "" for first, rest in rests.items()
    )


_NAMES = (*MONTHS, *WEEKDAYS)
#: A string that begins with a letter is a date only if its first three characters are among these.
LETTERS = frozenset(ascii_letters)
DATE_WORDS = frozenset(
    "".join(letters) for name in _NAMES for letters in product(*((one, one.upper()) for one in name))
)
#: Matches no string that is certainly not an undocumented date: one that begins like no date, or is documented. Days that
#: not every month has are left to the calendar.
may_begin_date = re.compile(
    r"(?![1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?\Z)"
    rf"[{BLANKS}]*(?:\d|{_in_any_case(_NAMES)})"
).match
_MAY_BE_ONE = re.compile(
    f"[{BLANKS}]*(?=[0-9]|{'|'.join((*MONTHS, *WEEKDAYS))}).*?(?:[12][0-9]{{3}}|000[01]|9999)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
#: The undocumented forms of dates, besides those that begin like ``YYYY-MM-DD``.
FORMS_OF_DATES = _other_forms()
