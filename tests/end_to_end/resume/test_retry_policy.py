"""When a failed task comes back: what the policy makes of the exceptions of real runs, and what Airflow makes of it."""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_moengage._compat import RetryDecision
from airflow_provider_moengage.api.errors import MoEngageAuthError, MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations import TRACK_USERS
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.retry_policy import moengage_retry_policy
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker

with_policies = pytest.mark.skipif(RetryDecision is None, reason="Airflow 3.3 brought retry policies")


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 429 ends a run, and not the fifth window."""
    monkeypatch.setattr("airflow_provider_moengage.api.rate_limit.window.STARVED_WINDOWS", 0)


def decide(
    exception: BaseException, retry_delay: timedelta | None = None
) -> tuple[str, timedelta | None, str]:
    """Ask the policy as Airflow does; gives action, delay and reason."""
    context = None if retry_delay is None else {"task": SimpleNamespace(retry_delay=retry_delay)}
    decision: Any = moengage_retry_policy().evaluate(
        exception=exception, try_number=1, max_tries=3, context=context
    )
    return decision.action.value, decision.retry_delay, decision.reason


@with_policies
@pytest.mark.parametrize("reset_style", ["ceil", "floor", "epoch"])
def test_a_spent_window_brings_the_task_back_after_its_reset(
    track: Tracker, no_patience: None, reset_style: str
):
    track.sandbox.settings(window_seconds=60.0, reset_style=reset_style)
    track.sandbox.fault(kind="status", status=429)
    began = time.monotonic()
    error = track.fails(MoEngageIncompleteRun, users=users(3))
    # The sandbox said 60 s; of it went what rounding takes, and the time of the run.
    assert 59 - (time.monotonic() - began) <= error.retry_after <= 61
    # However long its own delay is: there is no doubt about when the window is free.
    action, delay, reason = decide(error, timedelta(minutes=5))
    assert (action, delay) == ("retry", timedelta(seconds=error.retry_after + 1))
    assert reason == f"MoEngageRateLimited (429): a retry makes sense in {delay.total_seconds():.0f} s"


@with_policies
@pytest.mark.parametrize(("asked", "given"), [("7", timedelta(seconds=8)), ("86400", timedelta(hours=1))])
def test_what_the_answer_asks_for_goes_first_within_reason(
    track: Tracker, no_patience: None, asked: str, given: timedelta
):
    track.sandbox.fault(kind="status", status=429, headers={"retry-after": asked})
    assert decide(track.fails(MoEngageIncompleteRun, users=users(3)))[:2] == ("retry", given)


@with_policies
def test_a_429_that_says_nothing_leaves_the_tasks_own_delay(track: Tracker, no_patience: None):
    track.sandbox.fault(kind="status", status=429, body="empty")
    assert decide(track.fails(MoEngageIncompleteRun, users=users(3))) == (
        "retry",
        None,
        "MoEngageRateLimited (429): a retry makes sense after the task's retry_delay",
    )


@with_policies
def test_a_server_error_comes_back_after_both_the_reset_and_the_tasks_own_delay(track: Tracker):
    track.sandbox.settings(window_seconds=60.0)
    track.sandbox.fault(kind="status", status=503)
    began = time.monotonic()
    error = track.fails(MoEngageIncompleteRun, users=users(3))
    after_the_reset = timedelta(seconds=error.retry_after + 1)
    assert 59 - (time.monotonic() - began) <= error.retry_after <= 61
    assert decide(error)[:2] == decide(error, timedelta(0))[:2] == ("retry", after_the_reset)
    assert decide(error, timedelta(minutes=5)) == (
        "retry",
        None,
        "MoEngageServerError (503): a retry makes sense after the task's retry_delay",
    )


@with_policies
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"kind": "drop_before"}, "MoEngageNetworkError"),
        ({"kind": "drop_after"}, "MoEngageNetworkError"),
        ({"kind": "status", "status": 502, "body": "html"}, "MoEngageServerError (502)"),
    ],
)
def test_where_nobody_says_when_it_is_after_the_tasks_own_delay(
    track: Tracker, fault: dict[str, Any], name: str
):
    track.sandbox.fault(**fault)
    assert decide(track.fails(MoEngageIncompleteRun, users=users(3))) == (
        "retry",
        None,
        f"{name}: a retry makes sense after the task's retry_delay",
    )


@with_policies
def test_refused_credentials_fail_at_once(track: Tracker):
    # What MoEngage says may quote a row, so it is no part of the reason.
    track.sandbox.fault(kind="status", status=401, message="user-0")
    assert decide(track.fails(MoEngageTaskFailed, users=users(3))) == (
        "fail",
        None,
        "MoEngageTaskFailed: a retry would not help",
    )
    with pytest.raises(MoEngageAuthError) as caught:
        MoEngageHook().get_conn().send(TRACK_USERS.endpoint, b'{"customer_id": "user-0"}', {}).response()
    assert decide(caught.value)[::2] == ("fail", "MoEngageAuthError (401): a retry would not help")


@with_policies
def test_refused_rows_and_parameters_fail_at_once(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    refused = track.fails(MoEngageTaskFailed, users=[{"plan": "gold"}])
    assert decide(refused)[::2] == ("fail", "MoEngageTaskFailed: a retry would not help")
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps({"conn_type": "moengage", "login": "W"}))
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageHook().get_conn()
    assert decide(caught.value)[::2] == ("fail", "MoEngageParameterError: a retry would not help")


@with_policies
def test_what_is_not_moengages_is_left_to_airflow(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", '{"conn_type": "sqlite", "host": "/nowhere/shop.db"}')
    broken = track.fails(MoEngageIncompleteRun, sql="select 1", sql_conn_id="warehouse")
    assert broken.retry_after is None
    assert decide(broken) == decide(ValueError("user-0")) == ("default", None, None)


@with_policies
def test_a_dag_with_the_policy_is_stored_without_a_warning():
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = moengage_retry_policy()
        with DAG("d", schedule=None, default_args={"retry_policy": policy}) as dag:
            MoEngageTrackUsersOperator(task_id="one", users=users(1))
            MoEngageTrackUsersOperator.partial(task_id="many", retry_policy=policy).expand(users=[users(1)])
        stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        restored = DagSerialization.from_dict(stored)
    assert [restored.get_task(task_id).has_retry_policy for task_id in ("one", "many")] == [True, True]
    assert type(policy.deserialize(json.loads(json.dumps(policy.serialize())))) is type(policy)


DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_moengage.api import client
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.retry_policy import moengage_retry_policy

client.FIRST_BACKOFF = 0.01

with DAG("comes_back", schedule=None) as dag:
    MoEngageTrackUsersOperator(
        task_id="push",
        users=[{"customer_id": "a1", "plan": "gold"}],
        retries=1,
        retry_delay=timedelta(0),
        retry_policy=moengage_retry_policy(),
    )
"""


@with_policies
def test_airflow_follows_the_policy(track: Tracker, run_dag: Callable[..., dict[str, Any]], tmp_path: Path):
    file = tmp_path / "dags" / "comes_back.py"
    file.parent.mkdir()
    file.write_text(DAG_FILE)
    # The first request and its five repetitions.
    track.sandbox.fault(kind="status", status=503, times=6)
    outcome = run_dag(file, AIRFLOW_CONN_MOENGAGE_DEFAULT=track.sandbox.connection_json)
    assert outcome["state"] == "success"
    database = sqlite3.connect(tmp_path / "airflow" / "airflow.db")
    (failed,) = database.execute(
        "select end_date, retry_delay_override, retry_reason from task_instance_history"
    )
    ((started,),) = database.execute("select start_date from task_instance")
    database.close()
    end, delay, reason = failed
    # The reset that was published, up to the window's one second, and one more.
    assert 1 <= delay <= 3
    assert reason.startswith("MoEngageServerError (503): ")
    assert datetime.fromisoformat(started) - datetime.fromisoformat(end) >= timedelta(seconds=delay)


@pytest.mark.skipif(RetryDecision is not None, reason="Airflow 3.3 brought retry policies")
def test_an_older_airflow_is_told_what_its_exceptions_do():
    with pytest.raises(
        MoEngageParameterError, match=r"needs Airflow 3\.3 .* MoEngageTaskFailed is never retried"
    ):
        moengage_retry_policy()
