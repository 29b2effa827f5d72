"""Files of an object store that change, break off or are slow while they are listed and read."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from typing import Any

import pytest

from airflow_provider_moengage.delivery.read.files import FileSource
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tries import Task
from tests.support.s3_proxy import CONN_ID, Proxy
from tests.support.s3_server import S3Server
from tests.support.task_state_store import TaskStateStore

LAKE = f"s3://{CONN_ID}@lake"
#: Seconds in which a task has to end.
ENDS = 3.0


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, weather: Proxy, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    # Small files stand for large ones.
    for name in ("files.BLOCK", "interruptible.BUFFER", "text.BUFFER"):
        monkeypatch.setattr(f"airflow_provider_moengage.delivery.read.{name}", 8 * 1024)
    monkeypatch.setattr("airflow_provider_moengage.delivery.read.beginnings.BEGINNING", 1024)
    # What gzip reads at once; ClickHouse's client raises it for the whole process.
    monkeypatch.setattr("io.DEFAULT_BUFFER_SIZE", 8 * 1024)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000)
    return moengage_sandbox_connection


def reading(path: str, **parameters: Any) -> Task:
    return Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        path=f"{LAKE}/{path}",
        concurrency=1,
        **parameters,
    )


def rows(first: int, last: int) -> bytes:
    """Return rows that do not become much smaller when they are compressed."""
    return b"".join(
        b'{"customer_id": "user-%d", "note": "%s"}\n'
        % (n, hashlib.shake_128(b"%d" % n).hexdigest(128).encode())
        for n in range(first, last)
    )


def listed(path: str) -> list[Any]:
    return list(FileSource(f"{LAKE}/{path}").rows(lambda columns: None))


BREAKS = {
    "cut": {"cut": 100},
    "dropped": {"drop": "before"},
    "expired": {"status": 403, "code": "ExpiredToken"},
    "deleted": {"status": 404, "code": "NoSuchKey"},
    "replaced": {"status": 412, "code": "PreconditionFailed"},
}


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("ending", ["ndjson", "ndjson.gz"])
def test_rows_before_a_break_are_sent_and_the_retry_goes_on(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, ending: str, fault: dict[str, Any]
):
    content = rows(0, 300)
    lake.put(f"in/a.{ending}", gzip.compress(content, 1) if ending.endswith("gz") else content)
    task = reading("in")
    # The first request is for the header.
    weather.fault("GET", after=4, **fault)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert f"the file {LAKE}/in/a.{ending} cannot be read" in str(error)
    assert ("renew" in str(error)) is ("Expired" in str(fault))
    sent = task.report["accepted"]
    assert 0 < sent < 300
    assert sent == len(sandbox.users())
    weather.clear()
    report = task.attempt()
    assert (report["read"], report["accepted"]) == (300, 300)
    assert report["requests"] == 300 - sent
    assert len(sandbox.users()) == 300


def test_a_break_that_passes_is_not_noticed(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, monkeypatch: pytest.MonkeyPatch
):
    from airflow_provider_moengage._compat import object_storage_path

    monkeypatch.setattr(object_storage_path(LAKE).fs, "retries", 3)
    lake.put("in/a.ndjson", rows(0, 200))
    weather.fault("GET", after=2, times=1, cut=500)
    assert reading("in").attempt()["accepted"] == 200


def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(
    sandbox: Sandbox, weather: Proxy, lake: S3Server
):
    lake.put("in/a.ndjson", rows(0, 200))
    task = reading("in")
    held = weather.fault("GET", after=2, times=1, held=True)

    def replace() -> None:
        weather.waiting.wait(30)
        lake.put("in/a.ndjson", rows(500, 700))
        weather.let_go()

    thread = threading.Thread(target=replace)
    thread.start()
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    thread.join()
    assert held.seen
    assert not any(f"user-{n}" in sandbox.users() for n in range(500, 700))
    # Its rows are others than the checkpoint is about.
    assert task.attempt()["accepted"] == 200
    assert {f"user-{n}" for n in range(500, 700)} <= set(sandbox.users())


@pytest.mark.parametrize(
    "path", ["in", "in/*/*.ndjson", "in/**/*.ndjson", "in/day=*/x*", "in/day=1/x.ndjson"]
)
def test_a_later_run_in_the_same_process_finds_what_is_new(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, path: str
):
    lake.put("in/day=1/x.ndjson", rows(0, 1))
    assert len(listed(path)) == 1
    lake.put("in/day=1/x.ndjson", rows(0, 3))
    lake.put("in/day=1/x2.ndjson", rows(0, 1))
    lake.put("in/day=2/x.ndjson", rows(0, 1))
    assert len(listed(path)) == (5 if "1/" not in path else 3)
    lake.client.delete_object(Bucket="lake", Key="in/day=2/x.ndjson")
    lake.client.delete_object(Bucket="lake", Key="in/day=1/x2.ndjson")
    assert len(listed(path)) == 3


@pytest.mark.parametrize("path", ["in", "in/*/*.ndjson", "in/**/*.ndjson"])
@pytest.mark.parametrize("code", ["AccessDenied", "ServiceUnavailable"])
def test_files_that_cannot_be_listed_are_never_left_out(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, path: str, code: str
):
    for day in range(3):
        lake.put(f"in/day={day}/x.ndjson", rows(day, day + 1))
    task = reading(path)
    weather.fault(
        "LIST",
        after=0 if path == "in" or "**" in path else 2,
        status=403 if "Denied" in code else 503,
        code=code,
    )
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert f"path '{LAKE}/{path}' cannot be listed" in str(error)
    assert sandbox.state()["requests"] == 0
    weather.clear()
    assert task.attempt()["accepted"] == 3


def test_a_path_without_objects_is_an_error_and_a_folder_without_rows_is_not(
    sandbox: Sandbox, weather: Proxy, lake: S3Server
):
    lake.put("empty/", b"")
    lake.put("marked/_SUCCESS", b"")
    for path in ("empty", "empty/", "marked", "nothing/*.csv"):
        assert reading(path).attempt()["read"] == 0
    error = reading("nothing").fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert f"path '{LAKE}/nothing' does not exist" in str(error)


def test_files_are_read_in_the_order_of_their_names(sandbox: Sandbox, weather: Proxy, lake: S3Server):
    keys = [
        "in/b.ndjson",
        "in/a/2.ndjson",
        "in/a b.ndjson",
        "in/a#1?.ndjson",
        "in/a.ndjson",
        "in/_x/1.ndjson",
        "in/ü.ndjson",
    ]
    for number, key in enumerate(keys):
        lake.put(key, rows(number, number + 1))
    read = [int(row["customer_id"].removeprefix("user-")) for row in listed("in")]
    assert [keys[number] for number in read] == sorted(key for key in keys if "_x" not in key)


def test_ten_thousand_objects_take_ten_requests_to_list(sandbox: Sandbox, weather: Proxy):
    content = b"customer_id\nuser\n"
    weather.served = {
        f"in/day={n % 7}/{n:05d}.csv": (len(content), lambda first, end: content[first:end])
        for n in range(10_000)
    }
    source = FileSource(f"{LAKE}/in")
    source.prepare(lambda columns: None, threading.Event())
    assert weather.counts() == {"LIST": 10}
    weather.clear()
    # The files that were found are read, without another request for each; small ones are read once.
    source._found = source._found[:300] if source._found else None
    assert len(list(source.rows(lambda columns: None))) == 300
    assert weather.counts() == {"GET": 300}


@pytest.mark.parametrize("held", ["LIST", "GET"])
@pytest.mark.parametrize("resumes", [True, False], ids=["listed before", "listed late"])
def test_a_store_that_hangs_does_not_hold_a_task_that_is_told_to_end(
    sandbox: Sandbox, weather: Proxy, lake: S3Server, held: str, resumes: bool
):
    lake.put("in/a.ndjson", rows(0, 200))
    task = reading("in")
    if not resumes:
        task.store = None
    weather.fault(held, after=4 if held == "GET" else 0, held=True)
    told: list[float] = []

    def kill() -> None:
        weather.waiting.wait(30)
        told.append(time.monotonic())
        assert task.running is not None
        task.running.on_kill()

    thread = threading.Thread(target=kill)
    thread.start()
    error = task.fails()
    assert time.monotonic() - told[0] < ENDS
    thread.join()
    assert "told to end" in str(error)
    assert (task.report["accepted"] > 0) is (held == "GET")
    weather.clear()
    task.store = task.store or TaskStateStore()
    assert task.attempt()["accepted"] == 200
