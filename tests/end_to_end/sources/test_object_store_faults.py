"""An object store that refuses, breaks off or expires in the middle costs no row: each run ends as the docs say."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.delivery.changes import snapshot_store
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tries import Task
from tests.support.s3_proxy import CONN_ID, Proxy
from tests.support.s3_server import S3Server
from tests.support.task_state_store import TaskStateStore

ROOT = f"s3://{CONN_ID}@lake/moengage"
QUERY = {"sql": "select customer_id, number from customers order by number", "sql_conn_id": "warehouse"}
WRITES = "PUT BEGIN PART COMPLETE"
DENIED = {"status": 403, "code": "AccessDenied"}
EXPIRED = {"status": 403, "code": "ExpiredToken"}
FULL = {"status": 507, "code": "InsufficientStorage"}
BUSY = {"status": 503, "code": "ServiceUnavailable"}
GONE = {"drop": "before"}
FAULTS = {"expired": EXPIRED, "full": FULL, "gone": GONE}
a_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, weather: Proxy, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
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


def names(lake: S3Server) -> list[str]:
    return sorted(key.rpartition("/")[2].partition(".")[0] for key in lake.objects())


def rejected(lake: S3Server) -> list[int]:
    """Return the positions in the files of rejected rows."""
    parts = [content for key, content in lake.objects().items() if "/part-" in key]
    return sorted(json.loads(line)["position"] for part in parts for line in part.splitlines())


@a_fault
@pytest.mark.parametrize(("key", "after"), [("chunk", 2), ("manifest", 0)])
def test_rows_that_cannot_be_staged_are_staged_by_the_retry(
    sandbox: Sandbox,
    weather: Proxy,
    lake: S3Server,
    warehouse: Callable[..., None],
    key: str,
    after: int,
    fault: dict[str, Any],
):
    task = Task(MoEngageTrackUsersOperator, staging_path=ROOT, max_rejected=1, concurrency=1, **QUERY)
    weather.fault(WRITES, key, after=after, **fault)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert f"{ROOT}/dag/" in str(error)
    assert "which staging_path names" in str(error)
    assert "nothing was sent" in str(error)
    assert ("renew" in str(error)) is ("403" in str(fault.get("status")))
    assert sandbox.state()["requests"] == 0
    assert (lake.objects(), lake.unfinished_uploads()) == ({}, [])
    weather.clear()
    assert task.attempt()["accepted"] == 99


@a_fault
def test_rejected_rows_that_cannot_be_written_are_written_by_the_retry(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, warehouse: Callable[..., None], fault: dict[str, Any]
):
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        users=[{"customer_id": "null" if n == 50 else f"user-{n}"} for n in range(100)],
        rejected_path=ROOT,
        max_rejected=1,
        concurrency=1,
    )
    weather.fault(WRITES, "part-", **fault)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert f"rejected_path '{ROOT}/dag/" in str(error)
    assert "renew" in str(error) or "a retry may succeed" in str(error)
    assert rejected(lake) == []
    weather.clear()
    report = task.attempt()
    assert (report["read"], report["accepted"], report["rejected"]) == (100, 99, 1)
    assert rejected(lake) == [50]


@pytest.mark.parametrize("part", range(4))
def test_no_rejected_row_is_lost_when_a_part_cannot_be_written_once(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, monkeypatch: pytest.MonkeyPatch, part: int
):
    monkeypatch.setattr("airflow_provider_moengage.delivery.account.rejected_rows.PART_ROWS", 3)
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        users=[{"customer_id": "null" if n % 2 else f"user-{n}"} for n in range(40)],
        rejected_path=ROOT,
        max_rejected=20,
        concurrency=1,
    )
    weather.fault(WRITES, "part-", after=part, times=1, **BUSY)
    task.fails()
    report = task.attempt()
    assert (report["read"], report["accepted"], report["rejected"]) == (40, 20, 20)
    assert rejected(lake) == list(range(1, 40, 2))


def test_users_are_sent_though_their_checkpoint_cannot_be_written(
    sandbox: Sandbox,
    weather: Proxy,
    lake: S3Server,
    warehouse: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
):
    task = Task(MoEngageTrackUsersOperator, staging_path=ROOT, max_rejected=1, concurrency=1, **QUERY)
    weather.fault(WRITES, "checkpoint", after=1, **DENIED)
    assert task.attempt()["accepted"] == 99
    (said,) = [
        record.getMessage() for record in caplog.records if "checkpoint cannot be" in record.getMessage()
    ]
    assert "checkpoint.json (staging_path)" in said
    assert "a retry would send more rows again" in said
    assert lake.objects() == {}


def test_events_are_not_sent_while_their_checkpoint_cannot_be_written(
    sandbox: Sandbox, weather: Proxy, warehouse: Callable[..., None]
):
    query = {**QUERY, "sql": "select customer_id, 'seen' as action from customers order by number"}
    task = Task(
        MoEngageTrackEventsOperator,
        time_column=None,
        staging_path=ROOT,
        max_rejected=1,
        concurrency=1,
        **query,
    )
    weather.fault(WRITES, "checkpoint", after=3, **EXPIRED)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "renew" in str(error)
    assert 0 < len(sandbox.events()) < 99
    weather.clear()
    assert task.attempt()["accepted"] == 99
    assert len(sandbox.events()) == 99


@a_fault
@pytest.mark.parametrize("large", [False, True], ids=["one request", "parts"])
def test_an_export_is_there_as_a_whole_or_not_at_all(
    sandbox: Sandbox,
    weather: Proxy,
    lake: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    large: bool,
):
    if large:
        monkeypatch.setattr("airflow_provider_moengage.delivery.storage.MAX_ONE_REQUEST", 10)
    get = Task(
        MoEngageGetUsersOperator,
        users=[f"user-{n}" for n in range(20)],
        output_path=f"{ROOT}/users.ndjson",
        missing_path=f"{ROOT}/missing.ndjson",
    )
    weather.fault("PART COMPLETE" if large else "PUT", "missing", **fault)
    error = get.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert f"missing_path '{ROOT}/missing.ndjson' cannot be written" in str(error)
    assert lake.objects("moengage/missing") == {}
    assert lake.unfinished_uploads() == []
    weather.clear()
    assert get.attempt()["not_found"] == 20
    assert len(lake.objects()["moengage/missing.ndjson"].splitlines()) == 20


class TestSnapshots:
    """Faults of the folder of a snapshot."""

    @pytest.fixture
    def push(self, sandbox: Sandbox, weather: Proxy) -> Callable[..., Task]:
        def task(*plans: str, **more: Any) -> Task:
            users = [{"customer_id": f"user-{n}", "plan": plan} for n, plan in enumerate(plans)]
            return Task(
                MoEngageTrackUsersOperator,
                users=users,
                changed_only=True,
                snapshot_path=ROOT,
                concurrency=1,
                **more,
            )

        return task

    @a_fault
    def test_nothing_is_sent_that_cannot_be_announced(
        self, push: Callable[..., Task], weather: Proxy, sandbox: Sandbox, fault: dict[str, Any]
    ):
        weather.fault(WRITES, "attempt-", **fault)
        task = push("gold", "blue")
        error = task.fails()
        assert isinstance(error, MoEngageIncompleteRun)
        assert f"snapshot_path '{ROOT}/dag/push' cannot be written; nothing was sent" in str(error)
        assert sandbox.state()["requests"] == 0
        weather.clear()
        assert task.attempt()["accepted"] == 2

    @pytest.mark.parametrize("kinds", ["LIST", "HEAD GET"])
    def test_nothing_is_sent_while_the_snapshot_cannot_be_read(
        self, push: Callable[..., Task], weather: Proxy, sandbox: Sandbox, kinds: str
    ):
        push("gold", "blue").attempt()
        sent = sandbox.state()["requests"]
        weather.fault(kinds, **EXPIRED)
        task = push("gold", "red")
        error = task.fails()
        assert isinstance(error, MoEngageIncompleteRun)
        assert f"snapshot_path '{ROOT}/dag/push' cannot be read; nothing was sent" in str(error)
        assert "renew" in str(error)
        assert sandbox.state()["requests"] == sent
        weather.clear()
        assert task.attempt()["unchanged"] == 1

    @a_fault
    @pytest.mark.parametrize("key", ["entries-", "manifest-"])
    def test_the_next_run_sends_every_row_if_the_snapshot_cannot_be_written(
        self,
        push: Callable[..., Task],
        weather: Proxy,
        lake: S3Server,
        caplog: pytest.LogCaptureFixture,
        key: str,
        fault: dict[str, Any],
    ):
        push("gold", "blue", "red").attempt()
        weather.fault(WRITES, key, **fault)
        caplog.set_level(logging.WARNING)
        # The run itself has done what it had to do.
        assert push("gold", "red", "red").attempt()["accepted"] == 1
        assert f"The snapshot cannot be written to {ROOT}/dag/push" in caplog.text
        assert "the next run sends every row" in caplog.text
        weather.clear()
        report = push("gold", "red", "red", run_id="next").attempt()
        assert (report["accepted"], report["unchanged"]) == (3, 0)

    def test_a_run_that_fails_stays_a_failure_if_its_snapshot_cannot_be_written(
        self, push: Callable[..., Task], weather: Proxy, sandbox: Sandbox
    ):
        sandbox.fault(kind="status", status=500, customer_id="user-1")
        weather.fault(WRITES, "entries-", **BUSY)
        task = push("gold", "blue")
        assert isinstance(task.fails(), MoEngageIncompleteRun)
        sandbox.clear_faults()
        weather.clear()
        assert task.attempt()["accepted"] == 2
        assert push("gold", "blue", run_id="next").attempt()["unchanged"] == 2

    def test_what_cannot_be_deleted_is_deleted_by_a_later_run(
        self,
        push: Callable[..., Task],
        weather: Proxy,
        lake: S3Server,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(snapshot_store, "GONE_AFTER", -1.0)
        weather.fault("DELETE", **DENIED)
        push("gold", "blue").attempt()
        assert "cannot be deleted" in caplog.text
        assert "a later run deletes it" in caplog.text
        weather.clear()
        assert push("red", "blue", run_id="second").attempt()["accepted"] == 1
        # The announcement of the first run is taken for that of a run that was killed.
        assert push("gold", "blue", run_id="third").attempt()["accepted"] == 2
        assert push("gold", "red", run_id="fourth").attempt()["accepted"] == 1
        assert [name.partition("-")[0] for name in names(lake)] == ["entries", "manifest"]

    def test_generations_do_not_accumulate(
        self, push: Callable[..., Task], weather: Proxy, lake: S3Server, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(snapshot_store, "GONE_AFTER", -1.0)
        for number in range(6):
            fault = weather.fault(WRITES, "manifest-", times=1, **BUSY) if number % 2 else None
            push(f"plan {number}", run_id=f"{number}").attempt()
            assert fault is None or fault.seen
            weather.clear()
        push("last", run_id="last").attempt()
        assert [name.partition("-")[0] for name in names(lake)] == ["entries", "manifest"]
        assert lake.unfinished_uploads() == []
