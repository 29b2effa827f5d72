"""The demo's warehouse: a year of a generated shop in SQLite, with the blemishes that real tables have."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
from pathlib import Path

TABLES = ("customers", "orders", "items", "products")
# SQLite would compare as texts what a CSV holds as text.
NUMBERS = {"price", "subtotal", "tax_paid", "order_total"}

SUPPORT_THREAD = " > asked for a refund" * 30

# What has happened to one customer each, and how it shows in the tables. None of them may reach MoEngage.
BLEMISHES = {
    "the till books walk-in customers under the id 'unknown'": [
        "update customers set id = 'unknown' where id = :id",
        "update orders set customer = 'unknown' where customer = :id",
    ],
    "an id of one digit is left from the first till": [
        "update customers set id = '7' where id = :id",
        "update orders set customer = '7' where customer = :id",
    ],
    "an import lost a customer's id": [
        "update customers set id = null where id = :id",
    ],
    "an order was dated 30 February by hand": [
        "update orders set ordered_at = '2020-02-30T12:15:00' where customer = :id",
    ],
    "an order was dated as another country does": [
        "update orders set ordered_at = '31/08/2019 18:05' where customer = :id",
    ],
    "a support thread was pasted into a name": [
        f"update customers set name = name || '{SUPPORT_THREAD}' where id = :id",
    ],
    "a name begins with a date": [
        "update customers set name = '2019-04-01 party of twelve' where id = :id",
    ],
}


def make_warehouse(folder: Path) -> Path:
    """Generate the shop below `folder`, load it, blemish it, and return the database's path."""
    # The generator writes to the current folder, under a name of its own.
    generated = subprocess.run(
        [Path(sys.executable).with_name("jafgen"), "1"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if generated.returncode != 0:
        raise RuntimeError(f"jafgen failed:\n{generated.stdout}{generated.stderr}")
    database = folder / "warehouse.db"
    connection = sqlite3.connect(database)
    with connection:
        for table in TABLES:
            load(connection, table, folder / "jaffle-data" / f"raw_{table}.csv")
        connection.execute("create index orders_of_customer on orders (customer)")
        connection.execute("create index items_of_order on items (order_id)")
        blemish(connection)
    connection.close()
    return database


def load(connection: sqlite3.Connection, table: str, path: Path) -> None:
    """Make `table` of a CSV file with a header."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        columns = ", ".join(f"{name} {'integer' if name in NUMBERS else 'text'}" for name in header)
        connection.execute(f"create table {table} ({columns})")
        connection.executemany(f"insert into {table} values ({', '.join('?' * len(header))})", rows)


def blemish(connection: sqlite3.Connection) -> None:
    """Let each of the blemishes happen to one of the first customers who ordered something."""
    customers = connection.execute(
        "select customer from orders group by customer order by min(rowid) limit ?", [len(BLEMISHES)]
    ).fetchall()
    for statements, (customer,) in zip(BLEMISHES.values(), customers, strict=True):
        for statement in statements:
            connection.execute(statement, {"id": customer})
