"""The rows of a run and their expected outcome."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from faults.scenarios import Scenario

ROWS_PER_USER = 5
#: The share of rows that the operator rejects, and the number of rows that MoEngage rejects.
REJECTED_SHARE, REJECTED_THERE = 0.001, 6
#: The error type of a 400, as documented.
CODE_THERE = "MissingAttributeError"
#: A customer id that MoEngage silently ignores.
BLOCKED = "unknown"
FILES = 3


@dataclass(frozen=True)
class Planned:
    """
    The rows of a run.

    :param rows: in source order; ``number`` is the row's position.
    :param rejected: the codes of the rows that must be rejected, by position.
    :param rejected_there: the customers whose rows MoEngage rejects.
    """

    rows: list[dict[str, Any]]
    rejected: dict[int, str] = field(default_factory=dict)
    rejected_there: tuple[str, ...] = ()

    def good(self) -> dict[str, list[int]]:
        """Return the positions of the rows that must arrive, in order, by customer."""
        places: dict[str, list[int]] = {}
        for row in self.rows:
            if row["number"] not in self.rejected:
                places.setdefault(row["customer_id"], []).append(row["number"])
        return places


def planned(scenario: Scenario) -> Planned:
    """Return the rows of a run, always the same for a scenario."""
    chance = Random(f"{scenario.seed}/rows")
    places = list(range(scenario.rows))
    bad = chance.sample(places, max(2, round(scenario.rows * REJECTED_SHARE)) + REJECTED_THERE)
    there = {place: f"rejected-{number}" for number, place in enumerate(sorted(bad[:REJECTED_THERE]))}
    customers = iter(_customers(scenario.rows - len(bad), chance))
    rejected: dict[int, str] = {}
    rows = []
    for place in places:
        if place in there:
            customer, rejected[place] = there[place], CODE_THERE
        elif place in bad:
            customer, rejected[place] = BLOCKED, "blocked_customer_id"
        else:
            customer = next(customers)
        rows.append(_row(scenario.kind, customer, place))
    return Planned(rows, rejected, tuple(there.values()))


def _customers(count: int, chance: Random) -> list[str]:
    """Return the customer of each row: the rows of half the users are close together, the others are scattered."""
    users = max(1, count // ROWS_PER_USER)
    owners = []
    for number in range(count):
        user = number % users
        near = user / users + chance.uniform(0, 20 / users)
        owners.append((near if user % 2 else chance.random(), user))
    return [f"user-{user}" for _, user in sorted(owners)]


def _row(kind: str, customer: str, place: int) -> dict[str, Any]:
    if kind == "users":
        return {"customer_id": customer, "number": place, "plan": ("free", "silver", "gold")[place % 3]}
    return {
        "customer_id": customer,
        "action": "Order placed",
        "event_time": f"2026-01-{1 + place % 28:02d}T12:00:00Z",
        "number": place,
    }


def write(scenario: Scenario, plan: Planned, folder: Path) -> None:
    """Write the source of a run into a folder, if it is a file or a table."""
    if scenario.source == "sql":
        _write_table(plan, folder / "warehouse.db")
    elif scenario.source == "file":
        (folder / "source").mkdir()
        size = -(-len(plan.rows) // FILES)
        for part in range(FILES):
            name = f"rows-{part}.{scenario.format}"
            _write_file(plan.rows[part * size : (part + 1) * size], folder / "source" / name)


def _write_table(plan: Planned, database: Path) -> None:
    columns = list(plan.rows[0])
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(f"create table source ({', '.join(columns)}, primary key (number))")
        connection.executemany(
            f"insert into source values ({', '.join('?' * len(columns))})",
            [tuple(row.values()) for row in plan.rows],
        )
    connection.close()


def _write_file(rows: list[dict[str, Any]], path: Path) -> None:
    text = io.StringIO(newline="")
    if ".csv" in path.name:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        text.writelines(json.dumps(row) + "\n" for row in rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
