"""A time-out or a signal that arrives while the last requests are in flight."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_moengage.delivery.send.workers import Workers
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.support.waiting import wait_until


class TimeIsUp(BaseException):
    """As Airflow's own task time-out: no Exception."""


def test_what_is_in_flight_is_settled_before_the_report(
    moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    sandbox = moengage_sandbox_connection
    sandbox.settings(latency_seconds=0.5)
    reports: list[dict[str, Any]] = []
    operator = MoEngageTrackUsersOperator(
        task_id="push", users=[{"customer_id": f"user-{n}"} for n in range(5)], concurrency=4
    )
    monkeypatch.setattr(operator, "_publish", lambda report, context: reports.append(report))
    finish = Workers.finish
    waits: list[Workers] = []

    def interrupted_at_first(workers: Workers) -> None:
        waits.append(workers)
        if len(waits) == 1:
            wait_until(lambda: len(sandbox.requests()) >= 5, "all five requests have arrived")
            raise TimeIsUp
        finish(workers)

    monkeypatch.setattr(Workers, "finish", interrupted_at_first)
    with pytest.raises(TimeIsUp):
        operator.execute({})
    (report,) = reports
    assert report["read"] == report["accepted"] + report["rejected"] + report["unsent"] == 5
    # Whatever was still in flight after the report would be stored by the end of this.
    finish(waits[0])
    assert report["accepted"] == len(sandbox.users()) == 5
