"""What a check looked at and what of it was not as it should be, and how that is printed."""

from __future__ import annotations


class Findings:
    """What was looked at, and what of it was not as it should be."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def expect(self, what: str, holds: bool) -> None:
        """Print whether something is as it should be."""
        say(f"{'ok    ' if holds else 'FAILED'}  {what}")
        if not holds:
            self.failed.append(what)


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)
