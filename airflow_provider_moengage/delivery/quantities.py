"""Formats durations and counts for the log."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Return seconds as readable text: ``0.4 s``, ``41 s``, ``2 min``, ``2 h 46 min``, ``3 days``."""
    if 0.05 <= seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60 / 24:,.0f} days"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 row`` and ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
