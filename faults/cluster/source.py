"""The source of the runs on a cluster: a table of customers in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

SHARDS = 8
#: Of the customers, one in so many has a date that no calendar has, and one in so many an id that MoEngage blocks.
BAD_DATES, BLOCKED_IDS = 5_000, 20_000
#: Added to the points: a number in a log that is one of them is not there by chance.
POINTS = 7_000_000_000_000
#: What a value of the source looks like, wherever it is found: an id, a city, points.
PERSONAL = rb"customer-\d|city-\d|7000000\d{6}"

_TABLE = """
create table customers (
  number integer primary key, customer_id text, plan text, city text, points bigint, spent numeric(12, 2),
  vip boolean, joined timestamp with time zone, birthday text
)
"""
_INSERT = f"""
insert into customers
select n, case when mod(n, {BLOCKED_IDS}) = 23 then 'unknown' else 'customer-' || n end,
  (array['free', 'silver', 'gold'])[1 + mod(n, 3)], 'city-' || mod(n, 5000), {POINTS} + n, n / 100.0, mod(n, 7) = 0,
  timestamp with time zone '2020-01-01 00:00:00+05:30' + n * interval '1 minute',
  case when mod(n, {BAD_DATES}) = 17 then '2026-13-45' else to_char(date '1960-01-01' + mod(n, 15000), 'YYYY-MM-DD') end
from generate_series(%s, %s) as n
"""
#: The rows that are rejected, and why.
_IS_BAD_DATE, _IS_BLOCKED = "birthday = '2026-13-45'", "customer_id = 'unknown'"


class Customers:
    """
    The table ``customers``, divided into eight shards by the hash of the id.

    :param dsn: the database.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def create(self, count: int) -> None:
        """Create the table with so many customers."""
        self.execute(_TABLE)
        self.add(0, count)

    def add(self, first: int, count: int) -> None:
        """Insert so many customers; the number of the first is given."""
        self.execute(_INSERT, first, first + count - 1)

    def change_every(self, one_in: int) -> int:
        """Change one in so many customers, and return how many."""
        return self.execute("update customers set city = city || '-new' where mod(number, %s) = 1", one_in)

    def execute(self, statement: str, *parameters: Any) -> int:
        """Run a statement, and return how many rows it has changed."""
        with self._cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return int(cursor.rowcount)

    def rejected(self) -> dict[int, str]:
        """Return the code of each row that must be rejected, by its number."""
        with self._cursor() as cursor:
            cursor.execute(
                f"select number, case when {_IS_BLOCKED} then 'blocked_customer_id' else 'date_format' end "
                f"from customers where {_IS_BLOCKED} or {_IS_BAD_DATE}"
            )
            return dict(cursor.fetchall())

    def count(self, shard: int) -> int:
        """Return the number of rows of a shard."""
        with self._cursor() as cursor:
            cursor.execute(f"select count(*) from customers where {shard_condition(shard)}")
            return int(cursor.fetchone()[0])

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Return the attributes that MoEngage must have, by customer id."""
        joined = "to_char(joined at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        with self._cursor() as cursor:
            cursor.execute(
                f"select customer_id, number, plan, city, points, spent::float, vip, {joined}, birthday "
                f"from customers where not ({_IS_BLOCKED} or {_IS_BAD_DATE})"
            )
            names = ("number", "plan", "city", "points", "spent", "vip", "joined", "birthday")
            return {id_: dict(zip(names, values, strict=True)) for id_, *values in cursor}

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        connection = psycopg2.connect(self._dsn)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def shard_condition(shard: int) -> str:
    """Return the condition that divides the rows, as in ``docs/scaling.md``."""
    return f"abs(hashtext(coalesce(customer_id, '')) % {SHARDS}) = {shard}"
