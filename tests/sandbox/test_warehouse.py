from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_moengage.sandbox import shop, warehouse
from airflow_provider_moengage.sandbox.warehouse import WarehouseError


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_a_warehouse_has_the_shops_tables(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    assert warehouse.provide(path)
    counts = {
        table: rows(path, f"select count(*) from {table}")[0][0]
        for table in ("customers", "orders", "items", "products")
    }
    assert counts == {"customers": shop.CUSTOMERS, "orders": 2410, "items": 5989, "products": 8}
    columns = [name for _, name, *_ in rows(path, "pragma table_info(customers)")]
    assert columns == ["customer_id", "name", "email", "plan_name", "lifetime_value", "last_order_at"]
    assert set(rows(path, "select distinct plan_name from customers")) == {("gold",), ("silver",), (None,)}
    assert os.listdir(tmp_path) == ["shop.db"]


def test_every_warehouse_has_the_same_rows(tmp_path: Path) -> None:
    digests = []
    for name in ("one.db", "two.db"):
        warehouse.provide(tmp_path / name)
        with closing(sqlite3.connect(tmp_path / name)) as database:
            digests.append(hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest())
    assert digests[0] == digests[1]
    # The same on every version of Python, not only twice on this one.
    assert rows(tmp_path / "one.db", "select * from customers where customer_id = 'c-0008'") == [
        ("c-0008", "Dev Costa", "c-0008@example.com", None, 125.61, "2019-05-30T14:46:00")
    ]


def test_what_customers_spent_is_what_they_ordered_but_for_the_blemishes(tmp_path: Path) -> None:
    warehouse.provide(tmp_path / "shop.db")
    different = rows(
        tmp_path / "shop.db",
        """
        select customer_id from customers
        where lifetime_value != coalesce(
            (select sum(order_total) / 100.0 from orders where customer = customer_id), 0
        )
        or last_order_at is not (select max(ordered_at) from orders where customer = customer_id)
        """,
    )
    assert different == [(None,)]


def test_a_warehouse_that_was_made_before_is_kept_with_its_changes(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    warehouse.provide(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("delete from customers where customer_id is not 'c-0008'")
    assert not warehouse.provide(path)
    assert rows(path, "select count(*) from customers") == [(1,)]


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table customers (customer_id text)")


def other_edition(path: Path) -> None:
    warehouse.provide(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("pragma user_version = 0")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (other_database, "sandbox did not create"),
        (other_edition, "another version of the sandbox"),
        (lambda path: path.write_text("a text of somebody's, longer than a header" * 9), "not a database"),
        (lambda path: path.write_bytes(b""), "sandbox did not create"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: path.symlink_to(path.with_name("nowhere")), "is not a file"),
    ],
    ids=["database", "edition", "text", "empty", "folder", "dangling link"],
)
def test_nothing_else_is_overwritten(tmp_path: Path, make, says: str) -> None:
    path = tmp_path / "shop.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(WarehouseError, match=says) as raised:
        warehouse.provide(path)
    assert str(path) in str(raised.value)
    assert before == (path.read_bytes() if path.is_file() else None)
    assert os.listdir(tmp_path) == ["shop.db"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="missing does not exist"):
        warehouse.provide(tmp_path / "missing" / "shop.db")


@pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="a folder that even root cannot write to is /proc, on Linux"
)
def test_a_folder_that_cannot_be_written_is_an_error() -> None:
    # Also for root, whom permissions do not stop.
    with pytest.raises(WarehouseError, match=r"/proc/shop\.db cannot be created"):
        warehouse.provide("/proc/shop.db")


def test_the_connection_has_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert warehouse.connection("shop.db") == {"conn_type": "sqlite", "host": f"{tmp_path}/shop.db"}
