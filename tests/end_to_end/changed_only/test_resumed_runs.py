"""A run over several attempts writes the same snapshot as one that was never interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.send.workers import READ_AHEAD
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import users
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

#: The server fails in the middle of a run.
BROKEN = {"kind": "status", "status": 500, "after": 30}
QUERY = {"sql": "select customer_id, number from customers order by number", "sql_conn_id": "warehouse"}


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, bulk_users_per_minute=1_000_000)
    return moengage_sandbox_connection


def task(root: str, run_id: str = "run-1", *, store: bool = True, **parameters: Any) -> Task:
    return Task(
        MoEngageTrackUsersOperator,
        TaskStateStore() if store else None,
        run_id=run_id,
        changed_only=True,
        snapshot_path=root,
        concurrency=2,
        **parameters,
    )


def rows(count: int = 100, **more: Any) -> list[dict[str, Any]]:
    return [{**row, **more} for row in users(count)]


def values(sandbox: Sandbox, name: str) -> set[Any]:
    return {user["attributes"].get(name) for user in sandbox.users().values()}


@pytest.mark.parametrize("bulk", [False, True])
def test_a_retry_adds_to_what_the_first_try_has_sent(sandbox: Sandbox, root: str, bulk: bool):
    first = task(root, users=rows(), bulk=bulk, max_bytes=2_000)
    sandbox.fault(**BROKEN)
    if bulk:
        sandbox.clear_faults()
        sandbox.fault(kind="status", status=500, after=4)
    first.fails()
    assert 0 < first.report["accepted"] < 100
    sandbox.clear_faults()
    assert first.attempt()["accepted"] == 100
    assert task(root, "run-2", users=rows(), bulk=bulk).attempt()["unchanged"] == 100


@pytest.mark.parametrize("read_ahead", [0, READ_AHEAD])
def test_a_try_that_no_retry_follows_keeps_what_it_has_sent(
    sandbox: Sandbox, root: str, monkeypatch: pytest.MonkeyPatch, read_ahead: int
):
    monkeypatch.setattr("airflow_provider_moengage.delivery.attempt.READ_AHEAD", read_ahead)
    task(root, users=rows(plan="a")).attempt()
    failed = task(root, "run-2", users=rows(plan="b"))
    sandbox.fault(**BROKEN)
    failed.fails()
    sandbox.clear_faults()
    accepted = failed.report["accepted"]
    # Back to what the snapshot had before: those that were sent have to be sent again.
    report = task(root, "run-3", users=rows(plan="a")).attempt()
    assert report["accepted"] >= accepted > 0
    # Rows that were read ahead of the requests are sent again as well.
    assert report["unchanged"] > 0 or read_ahead
    assert report["accepted"] + report["unchanged"] == 100
    assert values(sandbox, "plan") == {"a"}


@pytest.mark.parametrize("in_store", [True, False], ids=["state store", "checkpoint file"])
def test_a_staged_query_is_resumed(
    sandbox: Sandbox, root: str, sqlite_warehouse: Callable[..., None], in_store: bool
):
    sqlite_warehouse("create table customers (customer_id text, number integer)")
    sqlite_warehouse("insert into customers values (?, ?)", [(f"user-{n}", n) for n in range(100)])
    first = task(root, store=in_store, staging_path=f"{root}/staged", **QUERY)
    sandbox.fault(**BROKEN)
    first.fails()
    sandbox.clear_faults()
    assert first.attempt()["accepted"] == 100
    sqlite_warehouse("update customers set number = 1000 where number = 3")
    report = task(root, "run-2", store=in_store, staging_path=f"{root}/staged", **QUERY).attempt()
    assert (report["accepted"], report["unchanged"]) == (1, 99)


def test_a_deferred_run_counts_what_is_unchanged_once(sandbox: Sandbox, root: str):
    task(root, users=rows(60)).attempt()
    sandbox.settings(users_per_minute=10, window_seconds=1.0)
    again = task(
        root,
        "run-2",
        users=[*rows(30), *rows(60, plan="x")[30:], *users(10, first=60)],
        deferrable=True,
        defer_threshold=0.1,
    )
    deferrals = 0
    while True:
        try:
            report = again.attempt(resume=deferrals > 0)
            break
        except TaskDeferred as deferral:
            deferrals += 1
            moment = deferral.trigger.serialize()[1]["moment"]
            time.sleep(max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()))
    assert deferrals >= 2
    assert (report["read"], report["accepted"], report["unchanged"]) == (70, 40, 30)
    sandbox.settings(users_per_minute=1_000_000)
    assert task(root, "run-3", users=again.parameters["users"]).attempt()["unchanged"] == 70


def test_a_resumed_run_knows_who_left(sandbox: Sandbox, root: str):
    more = {"on_removed": "unset", "removed_attributes": ["plan"]}
    task(root, users=rows(plan="a"), **more).attempt()
    again = task(root, "run-2", users=rows(plan="b")[1:], **more)
    sandbox.fault(**BROKEN)
    again.fails()
    sandbox.clear_faults()
    report = again.attempt()
    assert (report["accepted"], report["removed"]) == (99, 1)
    assert "plan" not in sandbox.users()["user-0"]["attributes"]


def test_a_removal_that_fails_is_tried_again(sandbox: Sandbox, root: str):
    more = {"on_removed": "unset", "removed_attributes": ["plan"]}
    task(root, users=rows(plan="a"), **more).attempt()
    again = task(root, "run-2", users=rows(plan="a")[2:], **more)
    sandbox.fault(kind="status", status=500, customer_id="user-1")
    again.fails()
    assert again.report["removed_unsent"] >= 1
    sandbox.clear_faults()
    report = again.attempt()
    assert (report["removed"], report["unchanged"]) == (2, 98)
    assert [user["attributes"].get("plan") for user in sandbox.users().values()].count("a") == 98


def test_a_cleared_task_starts_over_and_leaves_out_what_is_known(sandbox: Sandbox, root: str):
    first = task(root, users=rows())
    sandbox.fault(**BROKEN)
    first.fails()
    sandbox.clear_faults()
    accepted = first.report["accepted"]
    first.clear()
    report = first.attempt()
    assert (report["accepted"], report["unchanged"]) == (100 - accepted, accepted)


def test_mapped_tasks_have_a_folder_each(sandbox: Sandbox, root: str):
    def mapped(index: int, rows: list[dict[str, Any]], run_id: str) -> dict[str, Any]:
        one = task(root, run_id, users=rows)
        one.map_index = index
        return one.attempt()

    for run_id in ("run-1", "run-2"):
        found = [mapped(index, rows()[index * 50 :][:50], run_id)["unchanged"] for index in (0, 1)]
    assert found == [50, 50]


def test_nothing_is_left_behind_but_one_generation(sandbox: Sandbox, tmp_path: Path):
    root = f"file://{tmp_path}"
    first = task(root, users=rows())
    sandbox.fault(**BROKEN)
    first.fails()
    sandbox.clear_faults()
    first.attempt()
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "dag" / "push").iterdir())
    assert names == ["entries", "manifest"]


def test_no_value_and_no_id_is_written_but_where_ids_are_asked_for(sandbox: Sandbox, tmp_path: Path):
    first = task(f"file://{tmp_path}", users=rows(plan="gold"))
    sandbox.fault(**BROKEN)
    first.fails()
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"user-1" not in content
    assert b"gold" not in content
    state = json.dumps(first.store.get("moengage_checkpoint") if first.store else {})
    assert "user-" not in state
