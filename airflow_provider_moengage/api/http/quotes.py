"""Whether the text of an answer repeats a value of the request it answers: such a text must not stand in a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

#: Characters from which a word is looked for inside of values; shorter ones stand in many words, and must be whole ones.
LONG_WORD = 4


def quotes(text: str, sent: bytes) -> bool:
    """
    Whether a text has a word in common with a value of a request.

    It errs on the safe side: a word of MoEngage's own that a row happens to hold counts too.

    :param text: what an answer says.
    :param sent: the body of the request, in JSON; empty where it held no row.
    """
    if not sent:
        return False
    values = " ".join(_values(from_json(sent))).casefold()
    words = set(_words(values))
    return any(
        word in words or (len(word) >= LONG_WORD and word in values) for word in _words(text.casefold())
    )


def _words(text: str) -> list[str]:
    # An underscore parts words here: an id may stand between two of them.
    return re.findall(r"[^\W_]+", text)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, list):
        for one in value:
            yield from _values(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
