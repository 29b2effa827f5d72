"""What the log of a task says: where it begins, where it goes on, and how it ends."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rate_limit.test_deferral import TaskDeferred
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

Log = Callable[[], list[str]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Log:
    """Return the messages of this package that were logged since the last call, in their order."""
    caplog.set_level(logging.INFO)

    def messages() -> list[str]:
        found = [record.getMessage() for record in caplog.records if "moengage" in record.name]
        caplog.clear()
        # An operator of Airflow 3 logs to the standard output, and this is the last that it says.
        printed = re.sub(r"\x1b\[[\d;]*m", "", capfd.readouterr().out)
        deferred = re.findall(r"Deferred until .*?(?= *\[airflow| *\n)", printed)
        return found + [line for line in deferred if line not in found]

    return messages


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, fast_retries: None) -> Sandbox:
    return moengage_sandbox_connection


def opening(log: Log) -> list[str]:
    """Return the lines of the beginning."""
    return [
        line
        for line in log()
        if re.match(r"[A-Z][\w ]+(, validate_only)?: .* MoEngage |Workspace |A retry ", line)
    ]


def test_the_first_lines_name_rows_workspace_window_and_what_a_retry_does(sandbox: Sandbox, log: Log):
    Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(30), concurrency=4).attempt()
    first, second, third = opening(log)
    assert re.fullmatch(
        r"Track User: 30 rows of users to MoEngage at 127\.0\.0\.1:\d+, concurrency 4",
        first,
    )
    assert second == "A retry resumes where this try ends"
    assert third == "Workspace SANDBOX_WORKSPACE, rate window: 10,000 users a minute (MoEngage's default)"


@pytest.mark.parametrize(
    ("operator", "parameters", "retry"),
    [
        (
            MoEngageTrackUsersOperator,
            {"durable": False},
            "begins with the first row again, because durable is False",
        ),
        (
            MoEngageTrackUsersOperator,
            {"users": None, "sql": "select 'aa' as customer_id", "sql_conn_id": "warehouse"},
            "begins with the first row again, because a query may return other rows (set staging_path= to keep a copy)",
        ),
        (
            MoEngageTrackEventsOperator,
            {
                "sql": "select 'aa' as customer_id, 'b' as action, '2026-01-01T00:00:00Z' as event_time",
                "sql_conn_id": "warehouse",
            },
            "fails before it sends an event, because a query may return other rows (set staging_path= to keep a copy)",
        ),
        (
            MoEngageGetUsersOperator,
            {},
            "begins with the first row again, because the operator keeps what it reads in its process",
        ),
    ],
)
def test_why_a_retry_cannot_go_on_is_said_once(
    sandbox: Sandbox, sqlite_warehouse: Any, log: Log, operator: Any, parameters: dict[str, Any], retry: str
):
    sqlite_warehouse("create table people (customer_id text)")
    given = {**parameters} if "sql" in parameters else {"users": users(1), **parameters}
    Task(operator, TaskStateStore(), **given).attempt()
    (line,) = [line for line in log() if "a retry" in line.lower()]
    assert line == f"A retry {retry}"
    assert len(line) <= 120


def test_a_query_a_file_and_a_copy_are_named_without_their_words(
    sandbox: Sandbox, sqlite_warehouse: Any, tmp_path: Path, log: Log
):
    sqlite_warehouse("create table people (customer_id text)")
    sqlite_warehouse("insert into people values ('aa')")
    sql = {"sql": "select * from people where customer_id <> 'SOMEBODY'", "sql_conn_id": "warehouse"}
    Task(MoEngageTrackUsersOperator, **sql).attempt()
    said = log()
    assert any("Track User: sql of connection 'warehouse' to MoEngage" in line for line in said)
    Task(MoEngageTrackUsersOperator, staging_path=tmp_path.as_uri(), **sql).attempt()
    said += log()
    assert any("Track User: sql of connection 'warehouse', staged, to MoEngage" in line for line in said)
    file = tmp_path / "people.csv"
    file.write_text("customer_id\naa\n")
    Task(MoEngageTrackUsersOperator, path=file.as_uri()).attempt()
    assert any(f"Track User: path {file.as_uri()} to MoEngage" in line for line in log())
    assert "SOMEBODY" not in "".join(said)


def test_limits_and_share_of_the_connection_are_named(
    sandbox: Sandbox, log: Log, monkeypatch: pytest.MonkeyPatch
):
    extra = '{"limits": {"bulk_users": 500}, "rate_limit_share": 0.5}'
    workspace = MoEngageHook().workspace
    monkeypatch.setenv(
        "AIRFLOW_CONN_SMALL",
        f'{{"conn_type": "moengage", "login": "{workspace.app_id}", "password": "{workspace.api_key}", '
        f'"host": "{workspace.base_url.removesuffix("/v1")}", "extra": {extra}}}',
    )
    sandbox.settings(bulk_users_per_minute=500)
    Task(MoEngageTrackUsersOperator, users=users(3), bulk=True, moengage_conn_id="small").attempt()
    first, _, third = opening(log)
    assert first.startswith("Bulk Import: 3 rows of users to MoEngage")
    assert third.endswith(
        "rate window: 250 of 500 users a minute (limits of the connection, rate_limit_share 0.5)"
    )
    sandbox.settings(bulk_users_per_minute=10_000)
    Task(
        MoEngageBulkImportOperator,
        elements=[{"type": "customer", "customer_id": "aa", "attributes": {"plan": "gold"}}],
    ).attempt()
    assert opening(log)[-1].endswith(
        "rate window: 10,000 users, 30,000 events and 10,000 devices a minute (MoEngage's default)"
    )


def test_the_window_that_answers_publish_is_named(sandbox: Sandbox, log: Log):
    sandbox.settings(users_per_minute=300, window_seconds=20)
    Task(MoEngageTrackUsersOperator, users=users(3)).attempt()
    assert opening(log)[-1].endswith("rate window: 300 users in 20 s (published)")


def test_a_key_in_the_field_of_the_workspace_is_not_logged(
    sandbox: Sandbox, log: Log, monkeypatch: pytest.MonkeyPatch
):
    swapped = {**sandbox.connection, "login": sandbox.api_key, "password": sandbox.workspace_id}
    monkeypatch.setenv("AIRFLOW_CONN_SWAPPED", json.dumps(swapped))
    Task(MoEngageTrackUsersOperator, users=users(3), moengage_conn_id="swapped").fails()
    assert sandbox.api_key not in "".join(log())


def test_validating_only_says_that_nothing_is_sent(sandbox: Sandbox, log: Log):
    MoEngageTrackUsersOperator(task_id="push", users=users(3), validate_only=True).execute({})
    (line,) = opening(log)
    assert re.fullmatch(
        r"Track User, validate_only: 3 rows of users, nothing is sent to MoEngage at 127\.0\.0\.1:\d+", line
    )


def test_a_deferral_is_one_line_and_the_run_after_it_says_where_it_goes_on(sandbox: Sandbox, log: Log):
    sandbox.settings(users_per_minute=30, window_seconds=1.0)
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), users=users(80), deferrable=True, defer_threshold=0.1
    )
    with pytest.raises(TaskDeferred):
        task.attempt()
    *_, line = said = log()
    assert re.fullmatch(
        r"Deferred until \d\d:\d\d:\d\d UTC: 37 % \(30 of 80\), about [12](\.\d)? s to go", line
    )
    # The report is in XCom all the same.
    assert (task.report["accepted"], task.report["unsent"], task.report["deferrals"]) == (30, 50, 1)
    assert not [line for line in said if re.match(r"Stopped|Completed|read |accepted ", line)]
    time.sleep(1.0)
    with pytest.raises(TaskDeferred):
        task.attempt(resume=True)
    first, second, *_ = log()
    assert first.startswith("Track User: 80 rows of users to MoEngage ")
    assert second == "Resumed after a deferral: 30 of 80 rows are done, 0 of them rejected"
    time.sleep(1.0)
    assert task.attempt(resume=True)["accepted"] == 80


def test_a_task_that_is_stopped_when_it_was_to_be_deferred_has_the_lines_of_an_end(
    sandbox: Sandbox, log: Log, monkeypatch: pytest.MonkeyPatch
):
    sandbox.settings(users_per_minute=30, window_seconds=60.0)
    monkeypatch.setattr(
        MoEngageTrackUsersOperator, "_publish", lambda operator, report, context: operator.on_kill()
    )
    Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(80), deferrable=True).fails()
    said = log()
    assert any(
        re.fullmatch(r"Stopped after .*: 30 of 80 rows accepted, 0 rejected, 50 not sent", line)
        for line in said
    )
    assert not [line for line in said if line.startswith("Deferred")]


def test_time_to_go_counts_the_windows_to_come(sandbox: Sandbox, log: Log):
    sandbox.settings(users_per_minute=30, window_seconds=60.0)
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(150), deferrable=True)
    with pytest.raises(TaskDeferred):
        task.attempt()
    assert re.fullmatch(r"Deferred until \S+ UTC: 20 % \(30 of 150\), about 4 min to go", log()[-1])


def test_of_a_query_a_deferral_names_the_rows_alone(
    sandbox: Sandbox, log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    sandbox.settings(users_per_minute=30, window_seconds=60.0)
    file = tmp_path / "people.csv"
    file.write_text("customer_id\n" + "".join(f"user-{number}\n" for number in range(2_000)))
    with pytest.raises(TaskDeferred):
        Task(
            MoEngageTrackUsersOperator,
            TaskStateStore(),
            path=file.as_uri(),
            attributes=[],
            deferrable=True,
        ).attempt()
    assert re.fullmatch(r"Deferred until \S+ UTC: 30 rows done", log()[-1])


def test_a_retry_says_where_it_goes_on(sandbox: Sandbox, log: Log):
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(30), concurrency=1)
    sandbox.fault(kind="status", status=503, customer_id="user-20")
    task.fails()
    said = log()
    assert "MoEngage answered 503: a request is given up after 6 attempts" in said
    assert any(line.startswith("Stopped after ") and line.endswith("10 not sent") for line in said)
    sandbox.clear_faults()
    task.attempt()
    said = log()
    assert "Resumed where try 1 ended: 20 of 30 rows are done, 0 of them rejected" in said
    assert not [line for line in said if "Rate window" in line]


def test_the_end_is_a_line_a_table_and_the_folder_of_rejected_rows(track: Tracker, log: Log, tmp_path: Path):
    track(
        users=[*users(10), {"customer_id": None}, {"customer_id": None}],
        max_rejected=2,
        rejected_path=tmp_path.as_uri(),
    )
    said = log()
    end = next(number for number, line in enumerate(said) if line.startswith("Completed in "))
    assert said[end + 1 :][:7] == [
        "read      12",
        "accepted  10",
        "rejected   2",
        "unsent     0",
        "requests  10",
        "Rejected: 2 rows, customer_id is missing",
        f"Rejected rows: {tmp_path.as_uri()}/dag/manual__2026-01-01T00:00:00+00:00/push",
    ]
    assert "Row 10 rejected: customer_id is missing" in said


@pytest.mark.parametrize(
    ("parameters", "kind", "line"),
    [
        (
            {"users": [*users(2), {"plan": "gold"}]},
            MoEngageTaskFailed,
            "Failed after .*: 2 of 3 rows accepted, 1 rejected",
        ),
        ({"users": []}, None, "Completed in .*: no rows"),
        ({"users": [], "on_empty": "fail"}, MoEngageTaskFailed, "Completed in .*: no rows"),
        ({"path": "file:///nowhere.csv"}, MoEngageTaskFailed, "Stopped after .*: no row was read"),
    ],
)
def test_every_end_has_its_line(track: Tracker, log: Log, parameters: Any, kind: Any, line: str):
    if kind is None:
        track(**parameters)
    else:
        track.fails(kind, **parameters)
    assert len([said for said in log() if re.fullmatch(line, said)]) == 1


def test_a_host_that_is_not_there_is_named_within_the_first_pause(
    sandbox: Sandbox, log: Log, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv(
        "AIRFLOW_CONN_NOWHERE",
        f'{{"conn_type": "moengage", "login": "W", "password": "P", "host": "127.0.0.1", "port": {port}}}',
    )
    error = Task(MoEngageTrackUsersOperator, users=users(1), moengage_conn_id="nowhere").fails()
    assert isinstance(error, MoEngageIncompleteRun)
    said = log()
    (first,) = [line for line in said if "is repeated" in line]
    assert first.startswith(f"127.0.0.1:{port} could not be reached (ConnectionError): attempt 2 of 6 in ")
    assert (
        f"127.0.0.1:{port} could not be reached (ConnectionError): a request is given up after 6 attempts"
        in said
    )


def test_a_spent_window_is_no_line_a_request(sandbox: Sandbox, log: Log):
    sandbox.settings(users_per_minute=20, window_seconds=1.0)
    Task(MoEngageTrackUsersOperator, users=users(60)).attempt()
    assert not [line for line in log() if "repeated" in line]
