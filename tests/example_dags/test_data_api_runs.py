"""The example DAGs of unsetting, events, reading back and deleting, run as their readers run them."""

from __future__ import annotations

import json
import sqlite3

import pytest

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.support.dag_runs import ROOT
from tests.support.leaks import PERSON

EXAMPLES = ROOT / "example_dags"

#: As in the sandbox's shop: texts, and amounts in cents.
SHOP = f"""
create table customers (customer_id text, name text);
create table orders (
    id text, customer text, ordered_at text, store_id text, subtotal integer, tax_paid integer, order_total integer
);

insert into customers values ('c-1', '{PERSON}'), ('c-2', 'Ben'), ('c-3', 'Cem');
insert into orders values
    ('o-3', 'c-1', '2019-07-31T12:19:00', 's-1', 2400, 144, 2544),
    ('o-1', 'c-1', '2019-01-31T18:05:00', 's-1', 1200, 50, 1250),
    ('o-2', 'c-2', '2019-03-01T09:00:00', 's-2', 1000, 60, 1060);
"""


@pytest.fixture
def run_example(run_dag, moengage_sandbox_connection, sqlite_warehouse, tmp_path):
    sqlite_warehouse(SHOP)

    def run(name, **conf):
        return run_dag(
            EXAMPLES / f"{name}.py",
            conf=conf,
            AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox_connection.connection_json,
            AIRFLOW_CONN_WAREHOUSE=json.dumps(
                {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
            ),
        )

    return run


def test_unset_after_churn(run_example, moengage_sandbox_connection):
    moengage = moengage_sandbox_connection
    known = {"name": "somebody", "favourite_product": "vanilla ice", "offer_spring": "10 %"}
    MoEngageHook().track_users([{"customer_id": "c-1", **known}, {"customer_id": "c-2", **known}])
    outcome = run_example("moengage_unset_after_churn")
    assert outcome["state"] == "success"
    assert outcome["tasks"]["unset_attributes"]["report"]["accepted"] == 1
    # The first has ordered since, and the third never did.
    assert {name: user["attributes"] for name, user in moengage.users().items()} == {
        "c-1": known,
        "c-2": {"name": "somebody"},
    }
    assert moengage.bent() == []


def test_events_from_orders(run_example, moengage_sandbox_connection, tmp_path):
    outcome = run_example(
        "moengage_events_from_orders", until="2019-12-31", rejected_path=(tmp_path / "rejected").as_uri()
    )
    assert outcome["state"] == "success"
    report = outcome["tasks"]["send_orders"]["report"]
    assert (report["read"], report["accepted"], report["unknown"], report["requests"]) == (3, 3, 0, 2)
    first, second = moengage_sandbox_connection.events("c-1")
    assert first["action"] == "Order placed"
    assert first["time"] == "2019-01-31T23:05:00Z"
    assert first["attributes"] == {
        "order_id": "o-1",
        "store_id": "s-1",
        "subtotal": 12,
        "tax": 0.5,
        "total": 12.5,
    }
    assert second["time"] == "2019-07-31T16:19:00Z"  # daylight saving time in New York
    assert moengage_sandbox_connection.bent() == []


def test_users_to_warehouse(run_example, tmp_path):
    MoEngageHook().track_users(
        [
            {
                "customer_id": "c-1",
                "name": PERSON,
                "orders": 2,
                "last_order": "2019-07-31T16:19:00Z",
                "secret": "x",
            },
            {"customer_id": "c-2", "name": "Ben", "lifetime_value": 10.6},
        ]
    )
    outcome = run_example("moengage_users_to_warehouse")
    assert outcome["state"] == "success"
    report = outcome["tasks"]["read_users"]["report"]
    assert (report["read"], report["found"], report["not_found"]) == (3, 2, 1)
    connection = sqlite3.connect(tmp_path / "warehouse.db")
    assert connection.execute("select * from moengage_users order by customer_id").fetchall() == [
        ("c-1", PERSON, 2, None, "2019-07-31T16:19:00Z"),
        ("c-2", "Ben", None, 10.6, None),
    ]
    connection.close()


def test_forget_users(run_example, moengage_sandbox_connection, tmp_path):
    moengage = moengage_sandbox_connection
    MoEngageHook().track_users([{"customer_id": "customer-2001"}, {"customer_id": "customer-2003"}])
    outcome = run_example("moengage_forget_users", rejected_path=(tmp_path / "rejected").as_uri())
    assert outcome["state"] == "success"
    report = outcome["tasks"]["delete_users"]["report"]
    assert (report["read"], report["accepted"], report["missing"], report["rejected"]) == (2, 2, 1, 0)
    assert {name: user["deletion_requested"] for name, user in moengage.users().items()} == {
        "customer-2001": True,
        "customer-2003": False,
    }
