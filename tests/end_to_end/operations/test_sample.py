"""The operator keeps a sample of what it sent, over all attempts of its task, for the sensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.changes.sample import read_sample
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore


def sense(report: dict[str, Any]) -> Any:
    return MoEngageUsersArrivedSensor(task_id="arrived", sample_path=report["sample_path"]).execute({})


@pytest.mark.parametrize("bulk", [False, True])
def test_a_sensor_finds_what_the_operator_has_sent(track: Tracker, tmp_path: Path, bulk: bool):
    report = track(users=users(50), sample=20, snapshot_path=f"file://{tmp_path}", bulk=bulk)
    assert track.ti.xcoms["sample_path"] == report["sample_path"]
    assert sense(report)["equal"] == 20


def test_only_accepted_users_are_sampled(track: Tracker, tmp_path: Path):
    track.sandbox.fault(kind="status", status=400, customer_id="user-3")
    rows = [*users(5), {"customer_id": "bad", "at": "31/12/2025 10:00"}]
    report = track(users=rows, sample=300, max_rejected=2, snapshot_path=f"file://{tmp_path}")
    assert {user.id for user in read_sample(report["sample_path"]).users} == {
        f"user-{n}" for n in (0, 1, 2, 4)
    }


def test_a_retry_continues_the_sample(track: Tracker, tmp_path: Path):
    store = TaskStateStore()
    task = Task(
        MoEngageTrackUsersOperator, store, users=users(20), sample=300, snapshot_path=f"file://{tmp_path}"
    )
    track.sandbox.fault(kind="status", status=500, customer_id="user-15")
    task.fails()
    assert 0 < len(read_sample(task.report["sample_path"]).users) < 20
    track.sandbox.clear_faults()
    assert len(read_sample(task.attempt()["sample_path"]).users) == 20


def test_unchanged_users_are_not_sampled(track: Tracker, tmp_path: Path):
    more = {"changed_only": True, "sample": 300, "snapshot_path": f"file://{tmp_path}"}
    track(users=users(5), **more)
    report = track(users=users(6), **more)
    assert [user.id for user in read_sample(report["sample_path"]).users] == ["user-5"]


def test_a_folder_is_needed(track: Tracker):
    error = track.fails(MoEngageTaskFailed, users=users(1), sample=1)
    assert "sample is given, but there is no folder for it; set snapshot_path=" in str(error)


def test_a_wrong_size_is_refused():
    with pytest.raises(MoEngageParameterError, match="sample is -1; use a whole number from 0"):
        MoEngageTrackUsersOperator(task_id="push", users=[], sample=-1)


def test_nothing_is_sampled_when_nothing_is_sent(track: Tracker, tmp_path: Path):
    report = track(users=users(1), sample=1, snapshot_path=f"file://{tmp_path}", validate_only=True)
    assert "sample_path" not in report
