"""Detects response texts that quote values of the request, which must not be logged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

#: Words of at least so many characters are searched inside values; shorter ones only match whole words.
MIN_SEARCHED_LENGTH = 4


def quotes(text: str, sent: bytes) -> bool:
    """
    Whether a text has a word in common with a value of a request.

    It errs on the safe side: a word that a row shares with MoEngage's own text by chance counts too.

    :param text: a text of the response.
    :param sent: the body of the request, in JSON; empty if it held no row.
    """
    if not sent:
        return False
    values = " ".join(_values(from_json(sent))).casefold()
    words = set(_words(values))
    return any(
        word in words or (len(word) >= MIN_SEARCHED_LENGTH and word in values)
        for word in _words(text.casefold())
    )


def _words(text: str) -> list[str]:
    # An underscore separates words here, since an id may be between two of them.
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
