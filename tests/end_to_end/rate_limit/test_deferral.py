"""A task whose rate window is spent gives its slot back, and goes on when the window has reset."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.cancellation.test_kill import orders
from tests.end_to_end.rows import users
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox) -> Sandbox:
    moengage_sandbox_connection.settings(users_per_minute=30, events_per_minute=30, window_seconds=1.0)
    return moengage_sandbox_connection


def run(task: Task, deferring: Callable[[], None] = lambda: None) -> tuple[dict[str, Any], int]:
    """
    Run a task through all its deferrals, as a triggerer does; gives its report and their number.

    :param deferring: called after each deferral, before the wait.
    """
    deferred: list[TaskDeferred] = []
    while True:
        try:
            return task.attempt(resume=bool(deferred)), len(deferred)
        except TaskDeferred as deferral:
            deferred.append(deferral)
        deferring()
        wait = wait_of(deferred[-1])
        assert wait < 2.0
        time.sleep(max(0.0, wait))


def wait_of(deferral: TaskDeferred) -> float:
    """Seconds until a trigger lets its task go on, as the triggerer reads them."""
    assert deferral.method_name == "resume"
    path, arguments = deferral.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**arguments)
    seconds: float = (trigger.moment - datetime.now(timezone.utc)).total_seconds()
    return seconds


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_over_several_windows_is_deferred_between_them(sandbox: Sandbox, concurrency: int):
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        users=users(100),
        deferrable=True,
        defer_threshold=0.1,
        concurrency=concurrency,
    )
    report, deferrals = run(task)
    assert report["deferrals"] == deferrals >= 2
    assert (report["accepted"], report["read"]) == (100, 100)
    # A window's first call may come a moment early, and is then refused once.
    assert 100 <= report["requests"] <= 100 + deferrals + 1
    assert report["throttled_seconds"] >= 1.0
    assert report["duration_seconds"] >= report["throttled_seconds"]
    assert {len(user["history"]) for user in sandbox.users().values()} == {1}


def test_events_are_not_doubled_by_deferrals(sandbox: Sandbox):
    task = Task(
        MoEngageTrackEventsOperator,
        TaskStateStore(),
        events=orders(100),
        deferrable=True,
        defer_threshold=0.1,
    )
    report, deferrals = run(task)
    assert deferrals >= 2
    assert (report["accepted"], report["unknown"]) == (100, 0)
    assert sorted(event["attributes"]["number"] for event in sandbox.events()) == list(range(100))


def test_a_short_wait_is_not_worth_a_deferral(sandbox: Sandbox):
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(60), deferrable=True)
    report, deferrals = run(task)
    assert (report["deferrals"], deferrals) == (0, 0)
    assert report["throttled_seconds"] > 0


def test_a_deferral_that_cannot_be_written_down_is_an_error(sandbox: Sandbox):
    class Full(TaskStateStore):
        def set(self, key: str, value: Any) -> None:
            raise ConnectionError("no answer")

    task = Task(MoEngageTrackUsersOperator, Full(), users=users(60), deferrable=True, defer_threshold=0.1)
    error = task.fails()
    assert "cannot be written" in str(error)
    assert task.report["accepted"] == len(sandbox.users()) < 60
    assert task.report["deferrals"] == 0


def test_a_deferral_whose_refused_rows_cannot_be_written_is_an_error(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Any, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("airflow_provider_moengage.delivery.account.rejected_rows.write_whole", full)
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        users=[{"customer_id": "unknown"}, *users(60)],
        deferrable=True,
        defer_threshold=0.1,
        rejected_path=str(tmp_path),
    )
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "No space left on device" in str(error)
    assert task.report["deferrals"] == 0


def test_a_window_that_never_grants_anything_ends_the_run_after_five_deferrals(sandbox: Sandbox):
    sandbox.settings(users_per_minute=0)
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), users=users(5), deferrable=True, defer_threshold=0.0
    )
    with pytest.raises(MoEngageIncompleteRun, match="granted nothing after 5 deferrals in a row"):
        run(task)
    assert (task.report["accepted"], task.report["unsent"], task.report["deferrals"]) == (0, 5, 4)


def test_a_row_that_is_settled_after_four_deferrals_without_one_lets_the_run_go_on(sandbox: Sandbox):
    sandbox.settings(users_per_minute=40)
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), users=users(90), deferrable=True, defer_threshold=0.0
    )
    with pytest.raises(TaskDeferred) as caught:
        task.attempt()
    # Another sender of the workspace takes the windows in between.
    sandbox.settings(users_per_minute=0)
    for _ in range(4):
        time.sleep(max(0.0, wait_of(caught.value)))
        with pytest.raises(TaskDeferred) as caught:
            task.attempt(resume=True)
    sandbox.settings(users_per_minute=40)
    time.sleep(max(0.0, wait_of(caught.value)))
    with pytest.raises(TaskDeferred):
        task.attempt(resume=True)


def test_a_task_that_is_told_to_end_is_not_deferred(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        MoEngageTrackUsersOperator, "_publish", lambda operator, report, context: operator.on_kill()
    )
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), users=users(60), deferrable=True, defer_threshold=0.1
    )
    assert "told to end" in str(task.fails())


def test_asked_for_without_rows_that_can_be_gone_on_with_it_is_refused(sandbox: Sandbox):
    task = Task(MoEngageTrackUsersOperator, users=users(60), deferrable=True)
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "set staging_path=" in str(error)
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), sql="select 1", sql_conn_id="warehouse", deferrable=True
    )
    assert "set staging_path=" in str(task.fails())
    assert sandbox.state()["requests"] == 0


def test_where_it_is_only_the_deployment_s_default_the_worker_waits_and_says_so(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    caplog.set_level(logging.INFO)
    task = Task(MoEngageTrackUsersOperator, users=users(60), defer_threshold=0.1)
    assert task.attempt()["accepted"] == 60
    assert "waited for in the worker" in caplog.text
    report, deferrals = run(
        Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(60), defer_threshold=0.1)
    )
    assert report["deferrals"] == deferrals >= 1


@pytest.mark.parametrize(
    ("operator", "parameters", "says"),
    [
        (MoEngageGetUsersOperator, {"deferrable": True}, "keeps what it reads"),
        (MoEngageTrackUsersOperator, {"deferrable": True, "durable": False}, "durable is False"),
        (MoEngageTrackUsersOperator, {"deferrable": "yes"}, "deferrable is 'yes'"),
        (MoEngageTrackUsersOperator, {"defer_threshold": -1}, "defer_threshold is -1"),
        (MoEngageTrackUsersOperator, {"durable": "yes"}, "durable is 'yes'"),
    ],
)
def test_what_cannot_be_is_said_when_the_dag_is_read(operator: Any, parameters: dict[str, Any], says: str):
    with pytest.raises(MoEngageParameterError, match=says):
        operator(task_id="push", users=[], **parameters)


def test_a_window_is_used_up_before_its_task_is_deferred(sandbox: Sandbox):
    # Which answers overtake one another is chance: some tries, so that units left over would be seen.
    for _ in range(6):
        sandbox.reset()
        sandbox.settings(users_per_minute=200, window_seconds=60.0)
        task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(300), deferrable=True)
        with pytest.raises(TaskDeferred):
            task.attempt()
        assert sandbox.state()["windows"][0]["remaining"] == 0
