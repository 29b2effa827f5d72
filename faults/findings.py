"""The results of checks, printed as they come."""

from __future__ import annotations


class Findings:
    """Collects the checks that failed."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def expect(self, what: str, holds: bool) -> None:
        """Print whether a check holds; record it if not."""
        say(f"{'ok    ' if holds else 'FAILED'}  {what}")
        if not holds:
            self.failed.append(what)


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)
