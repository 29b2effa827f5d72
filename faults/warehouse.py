"""The source of the runs under a real Airflow: tables of a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Added to the points: a number in a log that is one of them is not there by chance.
POINTS = 7_000_000_000_000
#: The columns of a profile that are sent.
ATTRIBUTES = ("plan", "city", "points")


class Warehouse:
    """
    A SQLite file with the tables ``customers`` (an id and a number) and ``profiles`` (what changes between runs).

    :param path: the file; it is created with the first table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_customers(self, count: int) -> None:
        """Create the table ``customers``."""
        with self._connected() as connection:
            connection.execute("create table customers (customer_id text, number integer)")
            rows = [(customer_id(number), number) for number in range(count)]
            connection.executemany("insert into customers values (?, ?)", rows)

    def make_profiles(self, count: int) -> None:
        """Create the table ``profiles``, in place of the one of an earlier check."""
        with self._connected() as connection:
            connection.execute("drop table if exists profiles")
            connection.execute(
                "create table profiles (number integer, customer_id text, plan text, city text, points integer)"
            )
        self.add_profiles(0, count)

    def add_profiles(self, first: int, count: int) -> None:
        """Insert so many profiles; the number of the first is given."""
        rows = [
            (number, customer_id(number), f"plan-{number}", f"city-{number}", POINTS + number)
            for number in range(first, first + count)
        ]
        with self._connected() as connection:
            connection.executemany("insert into profiles values (?, ?, ?, ?, ?)", rows)

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Change rows with a statement, and return how many."""
        with self._connected() as connection:
            return connection.execute(statement, parameters).rowcount

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of all profiles by customer id."""
        with self._connected() as connection:
            found = connection.execute(f"select customer_id, {', '.join(ATTRIBUTES)} from profiles")
            return {id_: dict(zip(ATTRIBUTES, values, strict=True)) for id_, *values in found}

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def customer_id(number: int) -> str:
    return f"customer-{number}"
