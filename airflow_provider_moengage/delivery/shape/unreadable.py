"""A placeholder for a row that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unreadable:
    """
    A line that cannot be read as a row, in the row's place.

    :param text: the line as it is in the file; only the beginning of one that is too long.
    :param code: the rule, as one stable word.
    :param reason: what is wrong with the line, without its content.
    """

    text: Any
    code: str
    reason: str
