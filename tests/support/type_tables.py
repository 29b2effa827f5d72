"""The tables of docs/databases.md: what a value of each type of a database becomes as an attribute."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.rows import refused
from tests.end_to_end.tracker import Tracker

PAGE = Path(__file__).parents[2] / "docs" / "databases.md"
#: The zone in which the page's examples are sent.
ZONE = "Asia/Kolkata"
#: What becomes of a NULL, and of a value that MoEngage has no place for.
NOTHING, REJECTED = "left out", "rejected"


@dataclass(frozen=True)
class Example:
    """One value of one type, and what the page says becomes of it: JSON, ``left out`` or ``rejected``."""

    type: str
    literal: str
    becomes: str


def examples(heading: str) -> list[Example]:
    """Read the table below the heading of a database, or of one of its drivers."""
    (text,) = re.findall(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| (`.*?`) \| `(.*?)` \| `?(.*?)`? \|$", text, re.MULTILINE)
    return [
        Example(kind, literal, becomes)
        for kinds, literal, becomes in rows
        for kind in re.findall(r"`(.+?)`", kinds)
    ]


def with_driver(database: str, heading: str) -> list[Example]:
    """Return the examples of a database as one of its drivers has them, that has a table of its differences."""
    other = {(one.type, one.literal): one for one in examples(heading)}
    told = examples(database)
    assert other.keys() <= {(one.type, one.literal) for one in told}
    return [other.get((one.type, one.literal), one) for one in told]


def types(heading: str) -> set[str]:
    """Return the types of a table without their parameters, in lower case."""
    return {re.sub(r"\(.*", "", example.type).strip().lower() for example in examples(heading)}


def table(told: list[Example], customer_id: str = "varchar(20)", null: str = "") -> str:
    """Return the statement that makes a table with a column for each example."""
    columns = (f"value_{number} {example.type}{null}" for number, example in enumerate(told))
    return f"create table examples (customer_id {customer_id}, {', '.join(columns)})"


def inserts(told: list[Example]) -> list[str]:
    """Return the statements that add a row for each example, which is NULL in all other columns, and one of NULLs."""
    rows = (
        f"insert into examples (customer_id, value_{number}) values ('user-{number}', {example.literal})"
        for number, example in enumerate(told)
    )
    return [*rows, "insert into examples (customer_id) values ('nobody')"]


def differences(track: Tracker, folder: Path, told: list[Example], **source: Any) -> list[str]:
    """
    Send the rows of a query and return what becomes of an example that the page does not say.

    :param folder: for the rejected rows.
    """
    report = track(max_rejected=10_000, rejected_path=str(folder), timezone=ZONE, **source)
    reasons = {line["row"]["customer_id"]: line["reason"] for line in refused(folder)}
    stored = track.attributes()
    assert report["read"] == len(told) + 1
    assert stored["nobody"] == {}
    found = []
    for number, example in enumerate(told):
        name, user = f"value_{number}", f"user-{number}"
        became = written(stored[user], name) if user in stored else REJECTED
        if became != example.becomes:
            found.append(f"{example.type} {example.literal}: {became}, not {example.becomes}")
        if user not in stored and f"'{name}" not in reasons[user]:
            found.append(f"{example.type} {example.literal}: {reasons[user]}")
    return found


def written(attributes: dict[str, Any], name: str) -> str:
    """Write an attribute that MoEngage has as the page does."""
    return json.dumps(attributes[name], ensure_ascii=False) if name in attributes else NOTHING
