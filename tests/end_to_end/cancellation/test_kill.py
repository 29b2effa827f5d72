"""A task that is told to end: what is in flight settles, what was done is written down, and it raises."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from urllib3.util import connection

from airflow_provider_moengage.api.workspace import DEFAULT_TIMEOUT
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import users
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore
from tests.support.waiting import wait_until

try:
    from airflow.sdk.exceptions import AirflowTaskTimeout
except ImportError:
    from airflow.exceptions import AirflowTaskTimeout

#: Longer than any of these tests may take, and shorter than anybody waits.
FOR_EVER = 40.0


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, events_per_minute=1_000_000)
    return moengage_sandbox_connection


def to_the_process() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def to_another_thread() -> None:
    """Send the signal so that it does not wake the main thread, as one does not that comes just before that waits."""
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)


@contextmanager
def signalled(
    when: Callable[[], bool], act: Callable[[], None], send: Callable[[], None] = to_the_process
) -> Iterator[None]:
    """Interrupt the main thread, as Airflow does, once something is so."""

    def wait() -> None:
        wait_until(when, "the run has come to where the signal is sent")
        send()

    before = signal.signal(signal.SIGUSR1, lambda *_: act())
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(FOR_EVER)
        signal.signal(signal.SIGUSR1, before)


def orders(count: int) -> list[dict[str, Any]]:
    return [
        {"customer_id": f"user-{n}", "action": "Seen", "event_time": 1_700_000_000 + n, "number": n}
        for n in range(count)
    ]


def ended(
    task: Task, when: Callable[[], bool], send: Callable[[], None] = to_the_process, **changes: Any
) -> MoEngageIncompleteRun:
    """Begin a try and kill it as Airflow 3 does: the handler of the signal calls ``on_kill`` and returns."""
    began = time.monotonic()

    def kill() -> None:
        assert task.running is not None
        task.running.on_kill()

    with signalled(when, kill, send), pytest.raises(MoEngageIncompleteRun) as caught:
        task.attempt(**changes)
    assert time.monotonic() - began < FOR_EVER
    assert "told to end" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("send", [to_the_process, to_another_thread])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_task_that_waits_for_its_rate_window_ends_and_its_retry_goes_on(
    sandbox: Sandbox, concurrency: int, send: Callable[[], None]
):
    sandbox.settings(users_per_minute=30, window_seconds=60.0)
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(100), concurrency=concurrency)
    ended(task, lambda: len(sandbox.users()) == 30, send)
    assert (task.report["read"], task.report["accepted"], task.report["unsent"]) == (100, 30, 70)
    sandbox.settings(users_per_minute=1_000_000)
    report = task.attempt()
    assert (report["accepted"], report["requests"]) == (100, 70)


@pytest.mark.parametrize("send", [to_the_process, to_another_thread])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_task_that_waits_between_repetitions_ends(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, concurrency: int, send: Callable[[], None]
):
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 60.0)
    monkeypatch.setattr("airflow_provider_moengage.api.client.MAX_BACKOFF", 60.0)
    sandbox.fault(kind="status", status=503, customer_id="user-20")
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(100), concurrency=concurrency)
    ended(task, lambda: len(sandbox.users()) >= 20, send)
    sandbox.clear_faults()
    assert task.attempt()["accepted"] == 100
    assert len(sandbox.users()) == 100


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_is_in_flight_settles(sandbox: Sandbox, concurrency: int):
    sandbox.settings(latency_seconds=0.3)
    task = Task(MoEngageTrackEventsOperator, TaskStateStore(), events=orders(60), concurrency=concurrency)
    ended(task, lambda: len(sandbox.requests()) > concurrency)
    report = task.report
    assert report["unknown"] == 0
    assert report["accepted"] == len(sandbox.events()) < 60
    sandbox.settings(latency_seconds=0.0)
    assert task.attempt()["accepted"] == 60
    assert len(sandbox.events()) == 60


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_does_not_settle_in_time_is_cut_and_in_doubt(
    sandbox: Sandbox, concurrency: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("airflow_provider_moengage.delivery.send.cancellation.GRACE", 0.5)
    sandbox.fault(kind="slow", seconds=FOR_EVER, customer_id="user-20", times=1)
    task = Task(MoEngageTrackEventsOperator, TaskStateStore(), events=orders(60), concurrency=concurrency)
    began = time.monotonic()
    ended(task, lambda: len(sandbox.events()) >= 20)
    assert time.monotonic() - began < FOR_EVER / 2
    report = task.report
    assert report["unknown"] == 1
    assert report["accepted"] == len(sandbox.events())
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["accepted"], report["unknown"]) == (60, 1)


def test_hundreds_of_requests_that_do_not_settle_are_cut_and_in_doubt(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("airflow_provider_moengage.delivery.send.cancellation.GRACE", 0.5)
    sandbox.settings(latency_seconds=0.3, events_per_minute=60_000)
    sandbox.fault(kind="slow", seconds=FOR_EVER, after=600)
    task = Task(MoEngageTrackEventsOperator, TaskStateStore(), events=orders(2_000))
    ended(task, lambda: len(sandbox.requests()) >= 800)
    report = task.report
    assert report["unknown"] >= 200
    assert report["accepted"] == len(sandbox.events())
    assert report["read"] == report["accepted"] + report["unsent"]
    sandbox.clear_faults()
    assert task.attempt()["accepted"] == 2_000


def test_a_request_whose_connection_is_still_being_opened_is_cut_too(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("airflow_provider_moengage.delivery.send.cancellation.GRACE", 0.2)
    for user in ("user-1", "user-2"):
        sandbox.fault(kind="slow", seconds=FOR_EVER, customer_id=user)
    connect, opening = connection.create_connection, threading.Event()

    def open_slowly(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            opening.set()
            time.sleep(1.0)
        return connect(*args, **kwargs)

    monkeypatch.setattr(connection, "create_connection", open_slowly)
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(3), concurrency=2)
    began = time.monotonic()
    ended(task, opening.is_set)
    # Less than the time-out of a request.
    assert time.monotonic() - began < DEFAULT_TIMEOUT
    assert (task.report["accepted"], task.report["unsent"]) == (1, 2)


def test_a_time_out_comes_to_the_same_end(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow_provider_moengage.delivery.send.cancellation.GRACE", 0.5)

    def time_out() -> None:
        raise AirflowTaskTimeout("time is up")

    def slow_request_arrived() -> bool:
        return any("user-20" in str(request["body"]) for request in sandbox.requests())

    for concurrency in (1, 8):
        sandbox.reset()
        sandbox.fault(kind="slow", seconds=FOR_EVER, customer_id="user-20", times=1)
        task = Task(MoEngageTrackEventsOperator, TaskStateStore(), events=orders(60), concurrency=concurrency)
        # Once it has arrived, a single sender has read the response to every event before it.
        with signalled(slow_request_arrived, time_out), pytest.raises(AirflowTaskTimeout):
            task.attempt()
        report = task.report
        assert report["unknown"] == 1
        assert report["accepted"] == len(sandbox.events())
        report = task.attempt()
        assert (report["accepted"], report["unknown"]) == (60, 1)
        doubled = len(sandbox.events()) - 60
        assert doubled <= 1


def test_a_kill_when_all_is_done_fails_the_try_and_costs_the_retry_nothing(sandbox: Sandbox):
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), users=users(20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MoEngageTrackUsersOperator, "_publish", lambda self, report, context: self.on_kill())
        assert "told to end" in str(task.fails())
    assert task.attempt()["requests"] == 0


def test_an_operator_that_does_not_run_has_nothing_to_end():
    MoEngageTrackUsersOperator(task_id="push", users=[]).on_kill()
