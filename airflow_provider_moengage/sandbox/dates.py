"""Recognises the documented datetime formats, and other date formats that MoEngage stores as strings."""

from __future__ import annotations

import re
from datetime import datetime

DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z)?")

#: Includes blanks that ``\s`` does not match: zero-width characters, direction marks, the byte order mark.
_BLANKS = r"[\s\u200b-\u200f\u2060\ufeff]*"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?"
_DAY = r"[0-9]{1,2}(?:st|nd|rd|th)?"
_HALF = r"\s*[ap]\.?m\.?"
_TIME = rf"[0-9]{{1,2}}(?:(?::[0-9]{{2}}){{1,2}}(?:[.,][0-9]+)?(?:{_HALF})?|{_HALF})"
_ZONE = r"(?:(?:utc|gmt)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[a-z]{1,5}|[a-z_]+(?:/[a-z_+-]+)+)"
_CLOCK = rf"(?:,?\s+(?:at\s+)?|t|:){_TIME}(?:\s*{_ZONE})?(?:\s*[\[(][^\[\]()]+[\])])?"
_DATE = "|".join(
    (
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}",
        r"[0-9]{4}/(?P<m>[0-9]{1,2})/(?P<n>[0-9]{1,2})",
        r"(?P<a>[0-9]{1,2})(?P<separator>[/.-])(?P<b>[0-9]{1,2})(?P=separator)[0-9]{4}",
        rf"(?:{_WEEKDAY},?\s+)?{_DAY}(?:\s+(?:of\s+)?|[/-]){_MONTH}(?:,?\s+|[/-])[0-9]{{4}}",
        rf"(?:{_WEEKDAY},?\s+)?{_MONTH}\s+{_DAY},?\s+[0-9]{{4}}",
        rf"[0-9]{{4}}[\s/-]{_MONTH}[\s/-]{_DAY}",
    )
)
#: The format of ``date`` and ``ctime``, with the year last.
_C_TIME = rf"(?:{_WEEKDAY},?\s+)?{_MONTH}\s+{_DAY}\s+{_TIME}(?:\s*{_ZONE})?\s+[0-9]{{4}}"
#: A text that begins like a timestamp is meant as one, whatever follows.
_BROKEN_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}t[0-9].*"
LIKE_A_DATE = re.compile(
    rf"{_BLANKS}(?:(?:{_DATE})(?:{_CLOCK})?(?:\s+bc)?|{_C_TIME}|{_BROKEN_INSTANT}){_BLANKS}",
    re.IGNORECASE | re.DOTALL,
)

YEAR = re.compile(r"[0-9]{4}")
#: "1.1.2025" is the shortest; the maximum is longer than any format.
SHORTEST, LONGEST = 8, 100
#: The characters that a date can begin with: digits, blanks, and the first letters of months and weekdays.
BEGINNINGS = frozenset("0123456789jfmasondtwJFMASONDTW \t\r\n\v\f\xa0\u202f\u2009\u3000\u200b\ufeff\u2060")


def is_datetime(text: str) -> bool:
    """Whether a text is an existing date in one of the two documented formats."""
    if DATETIME.fullmatch(text) is None:
        return False
    try:
        # Without the Z, which Python 3.10 cannot parse.
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def is_undocumented_date(text: str) -> bool:
    """Whether a text is meant as a date, even an impossible one, but MoEngage stores it as a string."""
    # Most texts are decided without the long pattern: by length, first character, or a missing year.
    if not SHORTEST <= len(text) <= LONGEST or text[0] not in BEGINNINGS or text.isdigit():
        return False
    if YEAR.search(text) is None or is_datetime(text):
        return False
    match = LIKE_A_DATE.fullmatch(text)
    if match is None:
        return False
    numbers = [int(number) for number in match.group("a", "b", "m", "n") if number is not None]
    # A day and a month in either order; else it is some other number with separators.
    return not numbers or (min(numbers) <= 12 and max(numbers) <= 31)
