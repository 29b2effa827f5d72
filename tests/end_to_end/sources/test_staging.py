"""Rows of a query are copied first: every try reads the very same ones, and what is damaged is never believed."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.account import progress
from airflow_provider_moengage.delivery.read import staging
from airflow_provider_moengage.delivery.resume import checkpoint_store as checkpoints
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

Warehouse = Callable[..., None]
BROKEN = {"kind": "status", "status": 500, "customer_id": "user-70"}
QUERY = {"sql": "select customer_id, number from customers order by number", "sql_conn_id": "warehouse"}


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.001)
    monkeypatch.setattr("airflow_provider_moengage.delivery.read.staging.CHUNK_ROWS", 30)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, events_per_minute=1_000_000)
    return moengage_sandbox_connection


@pytest.fixture
def warehouse(sqlite_warehouse: Warehouse) -> Warehouse:
    sqlite_warehouse("create table customers (customer_id text, number integer)")
    sqlite_warehouse("insert into customers values (?, ?)", [(f"user-{n}", n) for n in range(100)])
    return sqlite_warehouse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "staged"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def staged(folder: Path, **parameters: Any) -> Task:
    return Task(
        MoEngageTrackUsersOperator, staging_path=folder.as_uri(), concurrency=1, **{**QUERY, **parameters}
    )


def test_a_slow_query_is_heard_of_while_its_rows_are_staged(
    sandbox: Sandbox,
    warehouse: Warehouse,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    write_whole = staging.write_whole

    def slowly(path: Any, content: bytes) -> None:
        time.sleep(0.05)
        write_whole(path, content)

    monkeypatch.setattr(staging, "write_whole", slowly)
    caplog.set_level(logging.INFO)
    staged(folder).attempt()
    said = [record.getMessage() for record in caplog.records if record.getMessage().endswith("staged so far")]
    assert said[0] == "0 rows staged so far"
    assert "90 rows staged so far" in said


@pytest.mark.parametrize("in_store", [True, False], ids=["state store", "beside the rows"])
def test_a_retry_reads_the_rows_that_the_first_try_read(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, in_store: bool, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    task = staged(folder)
    task.store = TaskStateStore() if in_store else None
    sandbox.fault(**BROKEN)
    task.fails()
    kept = files(folder)
    assert {path.name.partition(".")[0] for path in kept} >= {"manifest", "chunk-00000", "chunk-00003"}
    assert ("checkpoint.json" in {path.name for path in kept}) is not in_store
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert f"stay in {folder.as_uri()}/dag/" in caplog.text
    assert (task.report["read"], task.report["accepted"]) == (100, 70)
    sandbox.clear_faults()
    warehouse("delete from customers")
    report = task.attempt()
    assert (report["read"], report["accepted"], report["requests"]) == (100, 100, 30)
    assert len(sandbox.users()) == 100
    # Nothing stays of a task that succeeded.
    assert files(folder) == []


def test_the_folder_may_come_from_the_configuration(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__MOENGAGE__STAGING_PATH", folder.as_uri())
    task = Task(MoEngageTrackUsersOperator, concurrency=1, **QUERY)
    sandbox.fault(**BROKEN)
    task.fails()
    assert len(files(folder)) == 6


def test_a_cleared_task_reads_the_query_again(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    task = staged(folder)
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    warehouse("delete from customers where number >= 50")
    task.clear()
    assert task.attempt()["read"] == 50


def test_other_arguments_read_the_query_again(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    task = staged(folder)
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    report = task.attempt(sql="select customer_id from customers where number < 20")
    assert (report["read"], report["requests"]) == (20, 20)


def test_a_copy_without_its_manifest_is_made_again(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    """A process that is killed while it copies leaves chunks behind, and no manifest."""
    task = staged(folder)
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    (manifest,) = folder.rglob("manifest.json")
    for remains in (b"", manifest.read_bytes()[:40], b"[]"):
        manifest.write_bytes(remains)
        assert task.attempt()["accepted"] == 100
        sandbox.fault(**BROKEN)
        task.fails()
        sandbox.clear_faults()


def test_events_of_a_copy_that_is_gone_are_not_sent_again(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path
):
    query = {
        "sql": "select customer_id, number, 'Seen' as action, 1700000000 as event_time from customers order by number"
    }
    task = staged(folder, **query)
    task.operator, task.store = MoEngageTrackEventsOperator, TaskStateStore()
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    for path in files(folder):
        path.unlink()
    sent = len(sandbox.events())
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "on_restart='resend'" in str(error)
    assert len(sandbox.events()) == sent


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_damaged_chunk_ends_the_task_before_a_row_of_it_is_sent(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, damage: str
):
    task = staged(folder)
    sandbox.fault(**{**BROKEN, "customer_id": "user-20"})
    task.fails()
    sandbox.clear_faults()
    (chunk,) = folder.rglob("chunk-00002.*")
    if damage == "missing":
        chunk.unlink()
    else:
        content = bytearray(chunk.read_bytes())
        content[-9] ^= 1
        chunk.write_bytes(content)
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert f"{chunk.name} are {damage}" in str(error)
    assert "Clear the task" in str(error)
    report = task.report
    assert (report["read"], report["accepted"], report["unsent"]) == (100, 60, 40)
    task.clear()
    assert task.attempt()["accepted"] == 100


def test_a_folder_that_cannot_be_written_sends_nothing(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    folder.mkdir()
    (folder / "file").write_text("in the way")
    task = staged(folder / "file")
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "cannot be read" in str(error)
    assert "nothing was sent" in str(error)
    assert sandbox.state()["requests"] == 0


def test_a_full_disk_sends_nothing_and_leaves_no_half_copy(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    written: list[Any] = []

    def full(path: Any, content: bytes) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        whole(path, content)

    whole = staging.write_whole
    monkeypatch.setattr(staging, "write_whole", full)
    task = staged(folder)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "No space left on device" in str(error)
    assert "nothing was sent" in str(error)
    assert (len(written), sandbox.state()["requests"]) == (2, 0)
    assert files(folder) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device that is always full is Linux's")
def test_a_disk_that_fills_up_under_the_checkpoint_loses_nothing(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Any, content: bytes) -> None:
        with open("/dev/full", "wb") as device:
            device.write(content)

    monkeypatch.setattr(checkpoints, "write_whole", full)
    task = staged(folder)
    assert task.attempt()["accepted"] == 100


def test_a_database_that_breaks_off_while_rows_are_copied_sends_nothing(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(row: Any) -> bytes:
        if row[1] == 50:
            raise ConnectionResetError("the warehouse is gone")
        return line(row)

    line = staging.line_of_row
    monkeypatch.setattr(staging, "line_of_row", broken)
    task = staged(folder)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "the warehouse is gone" in str(error)
    assert sandbox.state()["requests"] == 0
    monkeypatch.setattr(staging, "line_of_row", line)
    assert task.attempt()["accepted"] == 100


def test_ids_of_users_that_are_read_back_are_copied_too(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    sandbox.settings(get_users_per_minute=1_000_000)
    task = staged(folder, xcom_limit=100)
    task.operator = MoEngageGetUsersOperator
    sandbox.fault(kind="status", status=500)
    task.fails()
    assert len(list(folder.rglob("chunk-*"))) == 4
    sandbox.clear_faults()
    warehouse("delete from customers")
    report = task.attempt()
    assert (report["read"], report["not_found"]) == (100, 100)
    assert files(folder) == []


@pytest.mark.parametrize("remains", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_checkpoint_s_file_that_is_damaged_begins_anew(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path, remains: bytes
):
    task = staged(folder)
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    (checkpoint,) = folder.rglob("checkpoint.json")
    checkpoint.write_bytes(remains)
    report = task.attempt()
    assert (report["read"], report["accepted"], report["requests"]) == (100, 100, 100)


def test_wrong_columns_are_said_before_a_row_is_copied(sandbox: Sandbox, warehouse: Warehouse, folder: Path):
    task = staged(folder, sql="select number from customers")
    assert isinstance(task.fails(), MoEngageTaskFailed)
    assert not list(folder.rglob("chunk-*"))


def test_what_is_staged_is_not_in_the_report_or_the_checkpoint(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path
):
    task = staged(folder)
    sandbox.fault(**BROKEN)
    task.fails()
    (checkpoint,) = folder.rglob("checkpoint.json")
    for text in (json.dumps(task.report), checkpoint.read_text()):
        assert "user-" not in text


def test_tasks_that_share_a_root_leave_each_others_files_alone(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path
):
    strangers = [folder / "notes.txt", folder / "dag" / "mine.csv", folder / "dag" / "other" / "mine.bin"]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    warehouse("insert into customers values ('null', 50)")
    shared = {"rejected_path": folder.as_uri(), "max_rejected": 1}
    sandbox.fault(**BROKEN)
    tasks = [staged(folder, **shared, **own) for own in ({"map_index": 0}, {"map_index": 1}, {"run_id": "2"})]
    for task in tasks:
        task.fails()
        # A folder of rejected rows is read again while its rows are staged there too.
        again = Task(MoEngageTrackUsersOperator, path=task.report["rejected_path"], max_rejected=1)
        assert again.attempt()["read"] == 1
    sandbox.reset()
    for task in tasks:
        assert task.attempt()["accepted"] == 100
        again = Task(MoEngageTrackUsersOperator, path=task.report["rejected_path"], max_rejected=1)
        assert again.attempt()["rejected"] == 1
    left = files(folder)
    assert set(strangers) <= set(left)
    assert [path.name[:5] for path in left if path not in strangers] == ["part-"] * 3


def test_events_whose_checkpoint_is_gone_are_not_sent_again(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path
):
    sql = "select customer_id, 'seen' as action from customers order by number"
    task = staged(folder, sql=sql, time_column=None)
    task.operator = MoEngageTrackEventsOperator
    sandbox.fault(**BROKEN)
    task.fails()
    sent = len(sandbox.events())
    (checkpoint,) = folder.rglob("checkpoint.json")
    checkpoint.unlink()
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "on_restart='resend'" in str(error)
    assert len(sandbox.events()) == sent > 0


def test_events_of_which_none_was_sent_are_sent_by_a_retry(
    sandbox: Sandbox, warehouse: Warehouse, folder: Path
):
    task = staged(folder, sql="select customer_id, 'seen' as action from people", time_column=None)
    task.operator = MoEngageTrackEventsOperator
    task.fails()
    warehouse("create table people as select * from customers")
    assert task.attempt()["accepted"] == 100
    assert len(sandbox.events()) == 100
