"""Column names as they are meant: without blanks at their ends, in the case that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What stands at the ends of a name unseen: zero-width characters and byte order marks.
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True)
class ColumnNames:
    """
    How the names of columns are read.

    :param fold: ``lower`` or ``upper``: the case of all names; None: as they stand.
    """

    fold: str | None = None

    def header(self, names: Iterable[str]) -> list[str]:
        """Return the names of columns as they are meant."""
        return [self._meant(name) for name in names]

    def row(self, row: Any) -> Any:
        """Return a row under the names that are meant; what is no dict as it is."""
        if not isinstance(row, Mapping):
            return row
        return {self._meant(name) if isinstance(name, str) else name: value for name, value in row.items()}

    def _meant(self, name: str) -> str:
        stripped = name
        while stripped != (shorter := stripped.strip().strip(INVISIBLE)):
            stripped = shorter
        if self.fold == "lower":
            return stripped.lower()
        return stripped.upper() if self.fold == "upper" else stripped
