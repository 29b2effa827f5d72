"""DuckDB as the source of rows; its types have a test of their own."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.cancellation.test_kill import ended
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore
from tests.support.waiting import wait_until

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("airflow.providers.duckdb")

SOURCE = {"sql_conn_id": "warehouse"}
#: Runs for minutes.
HANGS = "select max(a.range * b.range)::varchar as customer_id from range(1000000) a, range(1000000) b where a.range % 7 = 0"


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE",
        json.dumps({"conn_type": "duckdb", "host": str(path), "extra": {"threads": 1}}),
    )
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table customers (customer_id varchar, plan varchar)")
        connection.execute("insert into customers values ('ann', 'gold'), ('ben', 'free')")
    return path


def test_rows_arrive(track: Tracker):
    track.sandbox.settings(bulk_users_per_minute=10_000_000, requests_kept=0)
    report = track(
        sql="select 'user-' || n as customer_id, n, '100%' as share from range(5000) t(n)",
        bulk=True,
        **SOURCE,
    )
    assert outcome(report) == (5_000, 0, 0)
    assert track.attributes()["user-4999"] == {"n": 4_999, "share": "100%"}


@pytest.mark.parametrize("parameters", [["gold"], {"plan": "gold"}], ids=["positional", "named"])
def test_parameters_are_bound(track: Tracker, parameters: object):
    placeholder = "?" if isinstance(parameters, list) else "$plan"
    track(sql=f"select * from customers where plan = {placeholder}", parameters=parameters, **SOURCE)
    assert track.attributes() == {"ann": {"plan": "gold"}}


def test_a_statement_that_changes_rows_is_undone(track: Tracker):
    track.fails(MoEngageTaskFailed, sql="update customers set plan = 'lost'", **SOURCE)
    assert track.requests == 0
    track(sql="select * from customers", **SOURCE)
    assert track.attributes() == {"ann": {"plan": "gold"}, "ben": {"plan": "free"}}


def test_a_wrong_statement_is_not_repeated(track: Tracker):
    assert "CatalogException" in str(track.fails(MoEngageTaskFailed, sql="select * from nowhere", **SOURCE))


def test_a_computation_ends_with_its_task(track: Tracker):
    before = set(threading.enumerate())
    began = threading.Event()
    killed = Task(MoEngageTrackUsersOperator, TaskStateStore(), sql=HANGS, **SOURCE)
    threading.Timer(0.5, began.set).start()
    ended(killed, began.is_set)
    wait_until(
        lambda: not any(one.name == "moengage-sql" for one in set(threading.enumerate()) - before),
        "the statement has ended",
    )
