"""What stands for a row that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unreadable:
    """
    A line that is no row, in the place where the row would be.

    :param text: the line as it stands in the file; of one that is too long its beginning.
    :param code: the rule, in one stable word.
    :param reason: what is wrong with the line; not what it holds.
    """

    text: Any
    code: str
    reason: str
