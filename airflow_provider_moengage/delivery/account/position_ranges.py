"""Sets of row positions stored as half-open ranges, so that their size does not grow with the rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence


class PositionRanges:
    """
    A set of positions, stored as sorted ranges that neither touch nor overlap.

    :param ranges: ``(first, end)`` each, in any order; empty ones are ignored.
    """

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []
        for first, end in sorted((first, end) for first, end in ranges if first < end):
            if self._ends and first <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._firsts.append(first)
                self._ends.append(end)

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self._firsts, position) - 1
        return place >= 0 and position < self._ends[place]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._ends, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PositionRanges) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"PositionRanges({list(self)})"

    @property
    def end(self) -> int:
        """The position after the last one; 0 if the set is empty."""
        return self._ends[-1] if self._ends else 0

    def starting_at(self, position: int) -> PositionRanges:
        """Return the positions from ``position`` on."""
        return PositionRanges((max(first, position), end) for first, end in self)

    def union(self, positions: Iterable[int] = (), ranges: Iterable[Sequence[int]] = ()) -> PositionRanges:
        """Return these positions together with others."""
        return PositionRanges([*self, *ranges, *((position, position + 1) for position in positions)])
