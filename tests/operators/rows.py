"""Rows that tests send, and the files of those that were refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NUMBERS = ("accepted", "rejected", "unsent")


def users(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [{"customer_id": f"user-{number}", "number": number} for number in range(first, first + count)]


def outcome(report: dict[str, Any]) -> tuple[int, int, int]:
    """Accepted, rejected and unsent rows."""
    accepted, rejected, unsent = (report[name] for name in NUMBERS)
    return accepted, rejected, unsent


def parts(folder: str | Path) -> list[Path]:
    return sorted(path for path in Path(str(folder).removeprefix("file://")).rglob("*") if path.is_file())


def refused(folder: str | Path) -> list[dict[str, Any]]:
    """What stands in the parts of a folder, in the order of the source."""
    lines = [json.loads(line) for part in parts(folder) for line in part.read_text("utf-8").splitlines()]
    return sorted(lines, key=lambda line: line["position"])
