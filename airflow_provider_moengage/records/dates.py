"""
Which texts are dates: those that MoEngage recognises, those that can be written so, and those that it would keep as
texts though they are meant as dates.

Source: Data API overview ("datetime"), docs ("data tracking policies").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from string import ascii_letters
from types import MappingProxyType

#: Shorter texts are no date with a day, a month and a year of four digits; longer ones are none alone.
SHORTEST_DATE, LONGEST_DATE = 8, 80
#: An instant that is not written as documented has a fraction or an offset.
SHORTEST_OTHER_INSTANT = 21
#: How the names of months and weekdays begin, and how they may go on.
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
#: What a character class of blanks holds, the same in Python's patterns and in pydantic's.
BLANKS = " \t\n\r\x0b\x0c\x1c-\x1f\x85\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"

_DOCUMENTED = re.compile(r"\d{4}-\d{2}-\d{2}(?:T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ)?", re.ASCII)
_BEGINS_LIKE_ONE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,]\d+)?(Z|[+-]\d{2}(?::?[0-5]\d)?)", re.ASCII
)


def is_documented_date(text: str) -> bool:
    """Whether MoEngage recognises this text as a datetime: one of its two forms, and a day that exists."""
    if not _DOCUMENTED.fullmatch(text):
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def is_undocumented_date(text: str) -> bool:
    """
    Whether a text is meant as a date and MoEngage would keep it as a text.

    It begins like ``YYYY-MM-DD``, or is as a whole a date, or a date and a time, in another form: with a day, a month
    and a year of four digits, in numbers or with an English month. ``1/2/3``, ``10/10`` and ``20251231`` are none.
    """
    if len(text) < SHORTEST_DATE:
        return False
    # Most texts are no dates, and most of those say so at once.
    if text[0] in _NEVER_FIRST:
        return False
    if text[4] == text[7] == "-" and _BEGINS_LIKE_ONE.match(text):
        return not is_documented_date(text)
    return (
        _MAY_BE_ONE.match(text) is not None
        and len(text) <= LONGEST_DATE
        and any(form.fullmatch(text) for form in _OTHER_FORMS)
    )


def documented_form(text: str) -> str | None:
    """
    Return an ISO 8601 instant with ``T``, seconds, an optional fraction and ``Z`` or an offset as MoEngage documents it.

    :return: UTC without the fraction; None where the text is no such instant, or one that does not exist.
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
    # 1.10.1024 is a version; 01/01/0001 is how a program writes that there is no date.
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
    # How a database writes that there is no date.
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
        # As C and Java print a time: Wed Dec 31 10:00:00 UTC 2025.
        rf"{weekday}{name}{blanks}{day}{blanks}{clock}{zone}{blanks}{year}",
        # ISO 8601 without its dashes.
        rf"{year}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:t|{blanks})\d{{2}}:?\d{{2}}(?::?\d{{2}}(?:[.,]\d+)?)?{zone}",
    )
    return tuple(re.compile(f"{blank}(?:{form}){blank}", re.ASCII | re.IGNORECASE) for form in forms)


_INITIALS = "".join(name[0] for name in (*MONTHS, *WEEKDAYS))
_NEVER_FIRST = frozenset(ascii_letters) - frozenset(_INITIALS + _INITIALS.upper())
_MAY_BE_ONE = re.compile(
    f"[{BLANKS}]*(?=[0-9]|{'|'.join((*MONTHS, *WEEKDAYS))}).*?(?:[12][0-9]{{3}}|000[01]|9999)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_OTHER_FORMS = _other_forms()
