"""The example DAGs that send only what has changed, run more than once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.support.dag_runs import ROOT
from tests.support.leaks import PERSON

EXAMPLES = ROOT / "example_dags"

SHOP = f"""
create table customers (
    customer_id text, name text, plan_name text, lifetime_value real, last_order_at text
);
create table orders (customer text, ordered_at text);
insert into customers values
    ('c-1', '{PERSON}', 'gold', 12.5, '2019-01-31T18:05:00'), ('c-2', 'Ben', null, 0, null), ('c-3', 'Cem', null, 0, null);
insert into orders values
    ('c-1', '2019-01-31T18:05:00'), ('c-2', '2019-12-01T12:00:00'), ('c-3', '2019-12-31T12:00:00'),
    ('unknown', '2019-01-31T18:05:00'), ('c-3', '31/08/2019 18:05');
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "warehouse.db")
    connection.executescript(SHOP)
    yield connection
    connection.close()


@pytest.fixture
def run(
    run_dag: Callable[..., dict[str, Any]],
    moengage_sandbox: Sandbox,
    warehouse: sqlite3.Connection,
    tmp_path: Path,
) -> Callable[..., dict[str, Any]]:
    """Run an example, and return the reports of its tasks."""

    def run(name: str, state: str = "success", **conf: Any) -> dict[str, Any]:
        outcome = run_dag(
            EXAMPLES / f"{name}.py",
            conf={"snapshot_path": (tmp_path / "snapshots").as_uri(), **conf},
            AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
            AIRFLOW_CONN_WAREHOUSE=json.dumps(
                {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
            ),
        )
        assert outcome["state"] == state
        return {task_id: task["report"] for task_id, task in outcome["tasks"].items()}

    return run


def test_users_changed_only(
    run: Callable[..., dict[str, Any]],
    moengage_sandbox: Sandbox,
    warehouse: sqlite3.Connection,
    tmp_path: Path,
):
    def push(state: str = "success", **conf: Any) -> tuple[int, int, int, int]:
        folders = {"rejected_path": (tmp_path / "rejected").as_uri()}
        report = run("moengage_users_changed_only", state, **folders, **conf)["push_customers"]
        return report["accepted"], report["unchanged"], report["removed"], report["requests"]

    assert push() == (3, 0, 0, 3)
    assert moengage_sandbox.users("c-1")["c-1"]["attributes"] == {
        "name": PERSON,
        "plan": "gold",
        "lifetime_value": 12.5,
        "last_order": "2019-01-31T23:05:00Z",
        "is_customer": True,
    }
    with warehouse:
        warehouse.execute("update customers set plan_name = 'silver' where customer_id = 'c-2'")
    assert push() == (1, 2, 0, 1)
    assert push(full_resync=True) == (3, 0, 0, 3)
    with warehouse:
        warehouse.execute("delete from customers where customer_id = 'c-3'")
    # One of three is more than the example's 5 %.
    assert push("failed") == (0, 2, 0, 0)
    with warehouse:
        warehouse.executemany(
            "insert into customers values (?, 'Dee', null, 0, null)", [(f"d-{n}",) for n in range(20)]
        )
    # The share is of those who were there before, so that the new ones count from the next run on.
    assert push("failed") == (20, 2, 0, 20)
    assert push() == (0, 22, 1, 1)
    assert moengage_sandbox.users("c-3")["c-3"]["attributes"]["is_customer"] is False


def test_churn_risk_cohort(
    run: Callable[..., dict[str, Any]], moengage_sandbox: Sandbox, warehouse: sqlite3.Connection
):
    def members() -> list[str]:
        run("moengage_churn_risk_cohort")
        found: list[str] = moengage_sandbox.cohorts()["churn-risk"]["members"]
        return found

    assert members() == ["c-1"]
    with warehouse:
        warehouse.executemany(
            "insert into customers (customer_id, name) values (?, 'Dee')", [(f"c-9{n}",) for n in range(9)]
        )
        warehouse.executemany(
            "insert into orders values (?, '2019-01-01T12:00:00')", [(f"c-9{n}",) for n in range(9)]
        )
    assert members() == ["c-1", *(f"c-9{n}" for n in range(9))]
    with warehouse:
        warehouse.execute("insert into orders values ('c-1', '2019-12-30T12:00:00')")
    assert members() == [f"c-9{n}" for n in range(9)]
    assert moengage_sandbox.bent() == []
