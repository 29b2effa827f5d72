"""Users that were sent are read back until they are there as they were sent, or the time is over."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor
from tests.end_to_end.rows import users
from tests.support.deferrals import TaskDeferred, run_through_deferrals
from tests.support.leaks import watch
from tests.support.samples import send_with_sample


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, fast_retries: None) -> Sandbox:
    moengage_sandbox_connection.settings(get_users_per_minute=1_000_000, window_seconds=1.0)
    return moengage_sandbox_connection


def sensor(sample_path: str, **parameters: Any) -> MoEngageUsersArrivedSensor:
    given = {"poke_interval": 0.05, "timeout": 60, "deferrable": False, **parameters}
    return MoEngageUsersArrivedSensor(task_id="arrived", sample_path=sample_path, **given)


def counts(
    sampled: int, *, missing: int = 0, attributes: dict[str, int] | None = None, different: int = 0
) -> Any:
    return {
        "sampled": sampled,
        "equal": sampled - missing - different,
        "missing": missing,
        "different": different,
        "attributes": attributes or {},
    }


def reads(sandbox: Sandbox) -> int:
    """Return the number of Get User requests."""
    return sum(request["path"].endswith("/customers/export") for request in sandbox.requests())


def times_out(task: MoEngageUsersArrivedSensor) -> str:
    with pytest.raises(AirflowSensorTimeout) as caught:
        run_through_deferrals(task, {})
    watch.error(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("bulk", [False, True])
def test_users_that_have_arrived_are_found_with_the_first_poke(sandbox: Sandbox, tmp_path: Path, bulk: bool):
    path = send_with_sample(users(100), str(tmp_path), size=45, bulk=bulk)
    assert sensor(path).execute({}) == counts(45)
    # Twenty users a request.
    assert reads(sandbox) == 3


def test_only_the_attributes_that_were_sent_are_read(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample([{"customer_id": "user-1", "plan": "gold", "email": "a@b.c"}], str(tmp_path))
    sensor(path).execute({})
    (request,) = [one for one in sandbox.requests() if one["path"].endswith("/customers/export")]
    assert request["body"]["data"]["user_fields_to_export"] == ["customer_id", "email", "plan", "u_em"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_users_that_arrive_late_are_waited_for(sandbox: Sandbox, tmp_path: Path, deferrable: bool):
    sandbox.settings(ingest_delay_seconds=0.4)
    path = send_with_sample(users(30), str(tmp_path))
    arrived, deferrals = run_through_deferrals(sensor(path, deferrable=deferrable), {})
    assert arrived == counts(30)
    assert reads(sandbox) >= 4
    assert (deferrals > 0) is deferrable


def test_an_update_of_a_known_user_that_is_not_there_yet_is_different(sandbox: Sandbox, tmp_path: Path):
    MoEngageHook().track_users([{"customer_id": "user-1", "plan": "free"}])
    sandbox.settings(ingest_delay_seconds=60.0)
    path = send_with_sample([{"customer_id": "user-1", "plan": "gold"}], str(tmp_path))
    assert "0 missing, 1 different (plan 1)" in times_out(sensor(path, timeout=0))


@pytest.mark.parametrize("deferrable", [False, True])
def test_values_that_were_altered_fail_with_the_names_of_the_attributes(
    sandbox: Sandbox, tmp_path: Path, deferrable: bool
):
    sandbox.settings(bend=["name", "number"])
    rows = [*users(6), {"customer_id": "user-10", "plan": "gold"}, {"customer_id": "user-11", "number": 1}]
    path = send_with_sample(rows, str(tmp_path))
    text = times_out(sensor(path, timeout=0.1, deferrable=deferrable))
    assert (
        "Of 8 users of the sample 1 are as they were sent, 0 missing, 7 different (number 7, name 6)" in text
    )
    assert "max_missing=0 and max_different=0" in text
    assert reads(sandbox) >= 2


def test_users_that_never_arrive_fail_with_their_number(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample(users(5), str(tmp_path), size=300)
    sandbox.reset()
    assert "5 missing, 0 different" in times_out(sensor(path, timeout=0))


@pytest.mark.parametrize(
    ("allowed", "enough"),
    [
        ({"max_missing": 2, "max_different": 4}, True),
        ({"max_missing": 0.2, "max_different": 0.4}, True),
        ({"max_missing": 1, "max_different": 4}, False),
        ({"max_missing": 2, "max_different": 0.39}, False),
    ],
)
def test_so_many_may_be_missing_or_different(
    sandbox: Sandbox, tmp_path: Path, allowed: dict[str, Any], enough: bool
):
    path = send_with_sample(users(10), str(tmp_path))
    sandbox.reset()
    MoEngageHook().track_users([*users(4), *({**row, "number": 99} for row in users(4, first=4))])
    task = sensor(path, timeout=0, **allowed)
    if enough:
        assert task.execute({}) == counts(10, missing=2, different=4, attributes={"number": 4})
    else:
        assert "2 missing, 4 different (number 4)" in times_out(task)


def test_a_user_who_was_unset_must_not_have_the_attribute(sandbox: Sandbox, tmp_path: Path):
    MoEngageHook().track_users([{"customer_id": "user-1", "plan": "gold"}])
    path = send_with_sample([{"customer_id": "user-1", "plan": None, "age": 3}], str(tmp_path), nulls="unset")
    assert sensor(path).execute({}) == counts(1)
    MoEngageHook().track_users([{"customer_id": "user-1", "plan": "gold"}])
    assert "1 different (plan 1)" in times_out(sensor(path, timeout=0))


@pytest.mark.parametrize("deferrable", [False, True])
def test_soft_fail_skips(sandbox: Sandbox, tmp_path: Path, deferrable: bool):
    path = send_with_sample(users(3), str(tmp_path))
    sandbox.reset()
    for timeout in (0, 0.2):
        with pytest.raises(AirflowSkipException):
            run_through_deferrals(sensor(path, timeout=timeout, soft_fail=True, deferrable=deferrable), {})


def test_the_timeout_is_counted_from_the_first_poke(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample(users(3), str(tmp_path))
    sandbox.reset()
    task = sensor(path, deferrable=True, timeout=3600)
    with pytest.raises(AirflowSensorTimeout, match=r"timed out after 400\d seconds"):
        task.resume({}, {"since": time.time() - 4000, "pokes": 7})


def pause_of(task: MoEngageUsersArrivedSensor, pokes: int) -> float:
    """Return the seconds for which a task is deferred, after so many earlier pokes."""
    with pytest.raises(TaskDeferred) as caught:
        task.resume({}, {"since": time.time(), "pokes": pokes})
    assert caught.value.trigger.pokes == pokes + 1
    seconds: float = (caught.value.trigger.moment - datetime.now(timezone.utc)).total_seconds()
    return seconds


def test_the_pauses_of_a_deferred_task_are_those_of_any_sensor(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample(users(3), str(tmp_path))
    sandbox.reset()
    every = {"deferrable": True, "timeout": 36_000, "poke_interval": 600}
    assert 500 < pause_of(sensor(path, **every), 3) <= 600
    assert pause_of(sensor(path, **every, exponential_backoff=True), 3) > 1_000
    assert pause_of(sensor(path, **every, exponential_backoff=True, max_wait=90), 3) <= 90


def test_the_default_of_the_deployment_defers(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    sandbox.settings(ingest_delay_seconds=0.2)
    path = send_with_sample(users(3), str(tmp_path))
    _, deferrals = run_through_deferrals(sensor(path, deferrable=None), {})
    assert deferrals >= 1


def test_without_get_user_the_task_ends_at_once(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample(users(30), str(tmp_path))
    sandbox.settings(get_user=False)
    with pytest.raises(MoEngageTaskFailed, match="403"):
        sensor(path, timeout=3600).execute({})
    assert reads(sandbox) == 1


def test_users_that_cannot_be_read_are_left_to_a_retry(sandbox: Sandbox, tmp_path: Path):
    path = send_with_sample(users(3), str(tmp_path))
    sandbox.fault(kind="status", status=500)
    with pytest.raises(MoEngageIncompleteRun):
        sensor(path).execute({})


def test_an_empty_sample_is_a_success_with_a_warning(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = send_with_sample([], str(tmp_path))
    assert sensor(path, max_missing=0.0).execute({}) == counts(0)
    assert "The sample is empty" in caplog.text
    assert reads(sandbox) == 0


def test_the_rate_window_is_kept(sandbox: Sandbox, tmp_path: Path):
    sandbox.settings(get_users_per_minute=40, window_seconds=0.5)
    path = send_with_sample(users(100), str(tmp_path))
    assert sensor(path).execute({}) == counts(100)
    statuses = [one["status"] for one in sandbox.requests() if one["path"].endswith("/customers/export")]
    assert statuses.count(200) == 5


def test_a_task_that_is_told_to_end_sends_nothing_more(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = send_with_sample(users(100), str(tmp_path))
    task = sensor(path)
    read = MoEngageHook.get_users

    def told_to_end(*arguments: Any, **options: Any) -> Any:
        task.on_kill()
        return read(*arguments, **options)

    monkeypatch.setattr(MoEngageHook, "get_users", told_to_end)
    with pytest.raises(MoEngageIncompleteRun):
        task.execute({})
    assert reads(sandbox) == 0


def test_every_poke_logs_what_it_found_and_no_value(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    sandbox.settings(bend=["name"])
    path = send_with_sample(users(3), str(tmp_path))
    times_out(sensor(path, timeout=0))
    assert "0 missing, 3 different (name 3)" in caplog.text
