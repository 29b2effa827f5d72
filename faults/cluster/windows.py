"""Judges how the rate windows of a run were used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

FIRST, KILLED, LAST = "the tasks start", "the worker is killed", "the rows end"


@dataclass(frozen=True)
class Window:
    """
    A rate window of a run.

    :param opened: the seconds from the opening of the first window to that of this one.
    :param used: the units used in it.
    :param rejected_429: the requests rejected in it.
    :param excluded: why it is no whole window; empty: it is one.
    """

    opened: float
    used: int
    rejected_429: int
    excluded: str = ""


def windows_of(ended: Sequence[Mapping[str, Any]], seconds: float, killed_at: float) -> list[Window]:
    """
    Return the windows of a run.

    :param ended: those that the sandbox has seen, in order; the last one is that in which the run ended.
    :param seconds: their length.
    :param killed_at: the epoch second at which a worker was killed.
    """
    if not ended:
        return []
    first = ended[0]["opened"]
    # In the pause before a window its units are granted already.
    killed_in = next((place for place, one in enumerate(ended) if killed_at < one["opened"] + seconds), None)
    reasons = {killed_in: KILLED, 0: FIRST, len(ended) - 1: LAST}
    return [
        Window(one["opened"] - first, one["used"], one["rejected_429"], reasons.get(place, ""))
        for place, one in enumerate(ended)
    ]


def shown(windows: Sequence[Window], limit: int) -> Iterator[str]:
    """Return a line for each window."""
    for window in windows:
        rejected = f", {window.rejected_429} got a 429" if window.rejected_429 else ""
        why = f" ({window.excluded})" if window.excluded else ""
        yield f"{window.opened:6.1f} s {window.used / limit:7.2%} {window.used:7,} units{rejected}{why}"


def least_used(windows: Sequence[Window], limit: int) -> float:
    """Return the smallest share of the units that was used in a whole window; 0.0 if there is none."""
    return min((window.used / limit for window in windows if not window.excluded), default=0.0)


def pauses(windows: Sequence[Window], seconds: float) -> tuple[float, float]:
    """Return the median and the longest time between the end of a window and the opening of the next."""
    between = [after.opened - before.opened - seconds for before, after in pairwise(windows)]
    return (median(between), max(between)) if between else (0.0, 0.0)
