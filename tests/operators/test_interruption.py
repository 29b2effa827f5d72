"""A time-out or a signal that arrives while the last requests are in flight."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox


class TimeIsUp(BaseException):
    """As Airflow's own task time-out: no Exception."""


def test_what_is_in_flight_is_settled_before_the_report(
    moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    sandbox = moengage_sandbox_connection
    reports: list[dict[str, Any]] = []
    operator = MoEngageTrackUsersOperator(
        task_id="push", users=[{"customer_id": f"user-{n}"} for n in range(5)], concurrency=4
    )
    monkeypatch.setattr(operator, "_publish", lambda report, context: reports.append(report))
    sandbox.settings(latency_seconds=0.5)

    def interrupt(number: int, frame: Any) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        # The first request goes alone and takes half a second; the other four are in flight then.
        signal.setitimer(signal.ITIMER_REAL, 0.8)
        with pytest.raises(TimeIsUp):
            operator.execute({})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (report,) = reports
    assert report["read"] == report["accepted"] + report["rejected"] + report["unsent"] == 5
    # Whatever the sandbox was still working on would be there by now.
    time.sleep(1)
    assert report["accepted"] == len(sandbox.users()) == 5
