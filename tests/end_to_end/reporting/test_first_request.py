"""What a task asks of Airflow before its first request: no more than a retry needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import users
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

EVENT = {"customer_id": "ann", "action": "Order placed", "event_time": 1_700_000_000}


class Watched(TaskStateStore):
    """A store that remembers what it was asked before the first request."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._sandbox = sandbox
        self.before: list[tuple[str, str]] = []

    def get(self, key: str, default: Any = None) -> Any:
        self._note("get", key)
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._note("set", key)
        super().set(key, value)

    def _note(self, call: str, key: str) -> None:
        if not self._sandbox.state()["requests"]:
            self.before.append((call, key))


@pytest.mark.parametrize(
    ("operator", "parameters", "writes"),
    [
        (MoEngageTrackUsersOperator, {"users": users(1)}, False),
        # A retry has to know that there was an attempt that may have sent something.
        (MoEngageTrackUsersOperator, {"users": users(1), "changed_only": True}, True),
        (MoEngageTrackEventsOperator, {"events": [EVENT]}, True),
    ],
)
def test_the_checkpoint_is_read_once_and_written_only_where_a_crash_would_cost_something(
    moengage_sandbox_connection: Sandbox,
    tmp_path: Path,
    operator: type[MoEngageSendOperator],
    parameters: dict[str, Any],
    writes: bool,
):
    if "changed_only" in parameters:
        parameters = {**parameters, "snapshot_path": tmp_path.as_uri()}
    store = Watched(moengage_sandbox_connection)
    rejected = (tmp_path / "rejected").as_uri()
    assert Task(operator, store, rejected_path=rejected, **parameters).attempt()["accepted"] == 1
    calls = ["get", "set"] if writes else ["get"]
    assert store.before == [(call, "moengage_checkpoint") for call in calls]
