"""Every place that takes a path is an object store's as well as a local disk's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.s3_server import S3Server
from tests.support.task_state_store import TaskStateStore

ROOT = "s3://lake_conn@lake/moengage"
QUERY = {"sql": "select customer_id, number from customers order by number", "sql_conn_id": "warehouse"}
BROKEN = {"kind": "status", "status": 500, "customer_id": "user-70"}


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, lake: S3Server, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.001)
    monkeypatch.setattr("airflow_provider_moengage.delivery.read.staging.CHUNK_ROWS", 30)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, events_per_minute=1_000_000)
    return moengage_sandbox_connection


@pytest.fixture
def warehouse(sqlite_warehouse: Callable[..., None]) -> Callable[..., None]:
    sqlite_warehouse("create table customers (customer_id text, number integer)")
    rows = [("null" if n == 50 else f"user-{n}", n) for n in range(100)]
    sqlite_warehouse("insert into customers values (?, ?)", rows)
    return sqlite_warehouse


@pytest.mark.parametrize("in_store", [True, False], ids=["state store", "checkpoint file"])
def test_a_query_is_staged_and_a_retry_reads_the_rows_that_the_first_one_read(
    sandbox: Sandbox, lake: S3Server, warehouse: Callable[..., None], in_store: bool
):
    lake.put("moengage/dag/notes.txt", b"a stranger's")
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore() if in_store else None,
        staging_path=ROOT,
        rejected_path=ROOT,
        max_rejected=1,
        concurrency=1,
        **QUERY,
    )
    sandbox.fault(**BROKEN)
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    names = {key.rpartition("/")[2].partition(".")[0] for key in lake.objects()}
    assert names >= {"manifest", "chunk-00000", "chunk-00003"}
    assert ("checkpoint" in names) is not in_store

    warehouse("delete from customers")
    sandbox.reset()
    report = task.attempt()
    assert (report["read"], report["accepted"], report["rejected"], report["unsent"]) == (100, 99, 1, 0)
    assert set(sandbox.users()) == {f"user-{n}" for n in range(70, 100)}
    assert lake.objects().pop("moengage/dag/notes.txt") == b"a stranger's"
    (part,) = [content for key, content in lake.objects().items() if "/part-" in key]
    assert json.loads(part)["row"] == {"customer_id": "null", "number": 50}
    assert len(lake.objects()) == 2
    assert lake.unfinished_uploads() == []


def test_two_runs_below_one_prefix_leave_each_others_rows_alone(
    sandbox: Sandbox, lake: S3Server, warehouse: Callable[..., None]
):
    first = Task(MoEngageTrackUsersOperator, staging_path=ROOT, max_rejected=1, concurrency=1, **QUERY)
    sandbox.fault(**BROKEN)
    first.fails()
    kept = lake.objects()
    sandbox.reset()
    second = Task(MoEngageTrackUsersOperator, staging_path=ROOT, max_rejected=1, run_id="other", **QUERY)
    assert second.attempt()["accepted"] == 99
    assert lake.objects() == kept
    assert first.attempt()["accepted"] == 99
    assert lake.objects() == {}


def test_events_whose_checkpoint_is_gone_are_not_sent_again(
    sandbox: Sandbox, lake: S3Server, warehouse: Callable[..., None]
):
    sql = "select customer_id, 'seen' as action from customers order by number"
    task = Task(
        MoEngageTrackEventsOperator,
        sql=sql,
        sql_conn_id="warehouse",
        time_column=None,
        staging_path=ROOT,
        max_rejected=1,
        concurrency=1,
    )
    sandbox.fault(**BROKEN)
    task.fails()
    sent = len(sandbox.events())
    assert sent
    lake.reset()
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "on_restart='resend'" in str(error)
    assert len(sandbox.events()) == sent


def test_files_are_read_and_refused_rows_are_read_again(sandbox: Sandbox, lake: S3Server):
    lake.put("in/day=1/a.csv", b"customer_id,plan\nuser-1,gold\nnull,gold\n")
    lake.put("in/day=2/b.ndjson", b'{"customer_id": "user-2", "plan": "blue"}\n')
    lake.put("in/_SUCCESS", b"")
    for path in ("s3://lake_conn@lake/in", "s3://lake_conn@lake/in/day=*/*"):
        task = Task(MoEngageTrackUsersOperator, path=path, rejected_path=ROOT, max_rejected=1)
        assert task.attempt()["accepted"] == 2
    report = Task(MoEngageTrackUsersOperator, path=ROOT, max_rejected=1).attempt()
    assert (report["read"], report["rejected"]) == (1, 1)
    assert {key for key in lake.objects() if key.startswith("in/")} == {
        "in/day=1/a.csv",
        "in/day=2/b.ndjson",
        "in/_SUCCESS",
    }


@pytest.mark.parametrize("ending", ["ndjson", "csv", "parquet"])
def test_users_are_written(sandbox: Sandbox, lake: S3Server, ending: str):
    users = [{"customer_id": f"user-{n}", "plan": "gold"} for n in range(30)]
    Task(MoEngageTrackUsersOperator, users=users).attempt()
    get = Task(
        MoEngageGetUsersOperator,
        users=[*(user["customer_id"] for user in users), "nobody"],
        output_path=f"{ROOT}/users.{ending}",
        missing_path=f"{ROOT}/missing.ndjson",
        fields=["customer_id", "plan"],
    )
    assert get.attempt()["found"] == 30
    assert lake.objects("moengage/missing")["moengage/missing.ndjson"] == b'{"customer_id": "nobody"}\n'
    before = lake.objects()
    assert len(before) == 2
    read = Task(
        MoEngageTrackUsersOperator, path=f"{ROOT}/users.{ending}", attributes=["plan"], validate_only=True
    )
    assert read.operator(task_id="t", **read.parameters).execute({})["valid"] == 30

    sandbox.fault(kind="status", status=500, after=1)
    assert isinstance(get.fails(), MoEngageIncompleteRun)
    assert lake.objects() == before


def test_a_store_that_does_not_answer_sends_nothing(
    track: Tracker, sqlite_warehouse: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    sqlite_warehouse("create table customers (customer_id text, number integer)")
    sqlite_warehouse("insert into customers values ('user-1', 1)")
    extra = {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:9"}
    connection = {"conn_type": "aws", "login": "access", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_DEAD_LAKE", json.dumps(connection))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    parameters: dict[str, Any] = {**QUERY, "staging_path": "s3://dead_lake@lake/x"}
    error = track.fails(MoEngageIncompleteRun, **parameters)
    assert "s3://dead_lake@lake/x" in str(error)
    assert track.requests == 0
