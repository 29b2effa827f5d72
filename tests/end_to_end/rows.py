"""Rows that tests send, and the files of those that were refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.leaks import PERSON

NUMBERS = ("accepted", "rejected", "unsent")


def users(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Rows of people: their ids and their name must not be seen but in requests and in parts."""
    return [
        {"customer_id": f"user-{number}", "number": number, "name": PERSON}
        for number in range(first, first + count)
    ]


def attributes_of(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What MoEngage has of rows that it took: the attributes by customer id."""
    return {
        row["customer_id"]: {name: value for name, value in row.items() if name != "customer_id"}
        for row in rows
    }


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
