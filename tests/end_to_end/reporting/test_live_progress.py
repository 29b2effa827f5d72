"""The progress that others read while a task runs: in Airflow's task state store, or in XCom."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_moengage.decorators.users import _TrackUsersDecoratedOperator
from airflow_provider_moengage.delivery.account import live_progress
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import TaskInstance, Tracker
from tests.end_to_end.tries import Task
from tests.support.leaks import EXCEPTION, LOG, MARKED_VALUE, OUTPUT, PERSON
from tests.support.task_state_store import TaskStateStore

try:
    from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
except ImportError:
    from airflow.exceptions import AirflowSkipException, TaskDeferred


class History(TaskStateStore):
    """A store that remembers every progress."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def set(self, key: str, value: Any) -> None:
        super().set(key, value)
        if key == live_progress.PROGRESS_KEY:
            self.seen.append(value)


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST", "INTERVAL"):
        monkeypatch.setattr(live_progress, name, 0.05)


def progress(task: Task, history: History, **changes: Any) -> dict[str, Any]:
    """Run a task, and return the last progress."""
    task.attempt(**changes)
    return history.seen[-1]


def deferral_of(task: Task, *, resume: bool) -> TaskDeferred | None:
    """Run a task, and return its deferral; None: it ended."""
    try:
        task.attempt(resume=resume)
    except TaskDeferred as deferral:
        return deferral
    return None


def test_it_is_written_while_every_thread_waits_for_the_window(
    track: Tracker, history: History, every_moment: None
):
    track.sandbox.settings(users_per_minute=20, window_seconds=2.0)
    task = Task(MoEngageTrackUsersOperator, history, users=users(50))
    last = progress(task, history)
    waiting = [one for one in history.seen if one["state"] == "waiting"]
    assert len({one["updated_at"] for one in waiting}) > 1
    assert all(one["updated_at"] <= one["waiting_until"] for one in waiting)
    spent = [one for one in waiting if one["done"] == 20]
    assert {(one["of"], one["accepted"]) for one in spent} == {(50, 20)}
    windows = [window for one in spent for window in one["windows"]]
    assert {(one["quota"], one["limit"], one["period_seconds"]) for one in windows} == {("users", 20, 2.0)}
    # Once the window is over, and before a thread has woken up, the next one is whole.
    assert {(one["used"], one["left"]) for one in windows} - {(0, 20)} == {(20, 0)}
    assert [one["done"] for one in history.seen] == sorted(one["done"] for one in history.seen)
    assert (last["state"], last["done"], last["of"]) == ("success", 50, 50)
    assert last["finished_at"] is not None


def test_it_names_the_most_common_reasons_and_nobody(track: Tracker, history: History):
    bad: list[dict[str, Any]] = [
        {"customer_id": f"{PERSON}-{number}", f"column_{number % 7}": [PERSON, {"a": object()}]}
        for number in range(28)
    ]
    task = Task(
        MoEngageTrackUsersOperator,
        history,
        users=[*users(3), *bad, {"customer_id": "unknown", "plan": PERSON}],
        max_rejected=29,
    )
    task.deep = False
    last = progress(task, history)
    assert (last["done"], last["accepted"], last["rejected"]) == (32, 3, 29)
    assert len(last["reasons"]) == 5
    assert {reason["rows"] for reason in last["reasons"]} == {4}
    assert PERSON not in str(history.seen)


def test_it_goes_on_through_deferrals(sandboxed: Sandbox, history: History, every_moment: None):
    task = Task(MoEngageTrackUsersOperator, history, users=users(100), deferrable=True, defer_threshold=0.1)
    deferrals = 0
    while (deferral := deferral_of(task, resume=deferrals > 0)) is not None:
        deferrals += 1
        last = history.seen[-1]
        assert (last["state"], last["deferrals"], last["finished_at"]) == ("deferred", deferrals, None)
        assert last["waiting_until"].startswith(f"{deferral.trigger.moment:%Y-%m-%dT%H:%M:%S}")
        time.sleep(1.1)
    assert deferrals >= 2
    done = [one["done"] for one in history.seen]
    assert done == sorted(done)
    assert {one["of"] for one in history.seen} == {100}
    assert (history.seen[-1]["state"], history.seen[-1]["deferrals"]) == ("success", deferrals)
    # It began with the first process, not with the last.
    began = [one["started_at"] for one in history.seen]
    assert max(began) < history.seen[0]["updated_at"]


@pytest.fixture
def sandboxed(moengage_sandbox_connection: Sandbox) -> Sandbox:
    moengage_sandbox_connection.settings(users_per_minute=30, window_seconds=1.0)
    return moengage_sandbox_connection


def test_a_retry_goes_on_with_the_counts_of_the_first_try(track: Tracker, history: History):
    track.sandbox.fault(kind="status", status=500, after=10)
    task = Task(MoEngageTrackUsersOperator, history, users=users(40), concurrency=1)
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    first = history.seen[-1]
    assert (first["state"], first["attempt"], first["done"], first["of"]) == ("failed", 1, 10, 40)
    assert first["error"].startswith("The run ended early: ")
    track.sandbox.clear_faults()
    last = progress(task, history)
    assert (last["state"], last["attempt"], last["done"], last["accepted"]) == ("success", 2, 40, 40)


@pytest.mark.parametrize(
    ("parameters", "state", "says"),
    [
        ({"users": [{"customer_id": ""}]}, "failed", "The only row was rejected"),
        ({"path": "file:///nowhere/at/all.csv"}, "failed", "all.csv"),
        ({"users": [], "on_empty": "skip"}, "skipped", None),
        ({"users": [], "on_empty": "fail"}, "failed", "The source has no rows"),
    ],
)
def test_it_says_how_a_task_ended(
    track: Tracker, history: History, parameters: dict[str, Any], state: str, says: str | None
):
    task = Task(MoEngageTrackUsersOperator, history, **parameters)
    with pytest.raises((MoEngageTaskFailed, AirflowSkipException)):
        task.attempt()
    last = history.seen[-1]
    assert last["state"] == state
    assert says is None or says in last["error"]


def test_of_an_error_that_may_quote_a_row_only_the_type_is_told(
    track: Tracker, history: History, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt("a value")

    monkeypatch.setattr(MoEngageTrackUsersOperator, "_send", fail)
    with pytest.raises(KeyboardInterrupt):
        Task(MoEngageTrackUsersOperator, history, users=users(1)).attempt()
    assert history.seen[-1]["error"] == "KeyboardInterrupt"


@pytest.mark.shows(MARKED_VALUE, EXCEPTION, reason="the exception of a function has a text of its own")
@pytest.mark.shows(MARKED_VALUE, LOG, reason="as that of any task")
@pytest.mark.shows(MARKED_VALUE, OUTPUT, reason="as that of any task")
def test_the_text_of_a_function_s_exception_is_not_written(track: Tracker, history: History):
    def customers() -> Any:
        yield {"customer_id": "ann"}
        raise KeyError(PERSON)

    task = Task(_TrackUsersDecoratedOperator, history, python_callable=customers)
    task.deep = False
    assert PERSON in str(task.fails())
    assert (history.seen[-1]["state"], history.seen[-1]["done"]) == ("failed", 1)
    assert history.seen[-1]["error"] == "The run ended early: KeyError"


def test_without_a_state_store_it_is_in_xcom(track: Tracker):
    track(users=users(5))
    last = track.ti.xcoms["progress"]
    assert (last["state"], last["done"], last["of"]) == ("success", 5, 5)


def test_where_threads_may_not_talk_to_airflow_the_task_writes_between_requests(
    track: Tracker, every_moment: None, monkeypatch: pytest.MonkeyPatch
):
    """As on Airflow 3.0 and 3.1: what connects a task to its supervisor has no lock."""
    runner = SimpleNamespace(SUPERVISOR_COMMS=object())
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.task_runner", runner)  # type: ignore[arg-type]
    pushed: list[str] = []
    monkeypatch.setattr(TaskInstance, "xcom_push", lambda self, key, value: pushed.append(key))
    track.sandbox.settings(users_per_minute=20, window_seconds=1.0)
    operator = MoEngageTrackUsersOperator(task_id="t", users=users(50), concurrency=1)
    operator.execute({"ti": TaskInstance()})
    assert pushed.count("progress") > 2
    assert pushed[-2:] == ["report", "progress"]


def test_a_task_without_an_instance_writes_nothing(track: Tracker):
    report = MoEngageTrackUsersOperator(task_id="t", users=users(2)).execute({})
    assert outcome(report) == (2, 0, 0)


def test_a_store_that_fails_costs_no_row(track: Tracker, every_moment: None):
    class Broken(TaskStateStore):
        def set(self, key: str, value: Any) -> None:
            if key == live_progress.PROGRESS_KEY:
                raise ConnectionError("no answer")
            super().set(key, value)

    track.sandbox.settings(users_per_minute=20, window_seconds=1.0)
    assert outcome(Task(MoEngageTrackUsersOperator, Broken(), users=users(50)).attempt()) == (50, 0, 0)
