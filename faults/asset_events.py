"""A DAG that is scheduled on an asset of MoEngage, under a real Airflow."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from faults.findings import Findings, say
from faults.real_airflow import RealAirflow, TaskOfRun
from faults.watching import AT_MOST, PLENTY, Setup, ended, shortened

#: Users, units of a window and its seconds: the run is deferred once.
USERS, UNITS, WINDOW_SECONDS = 1_500, 1_000, 10.0
#: The asset, however its data centre is written in the DAG.
URI = "moengage://01/WORKSPACE/users"
#: Seconds: the scheduler looks for new events every few seconds.
UNTIL_STARTED, BETWEEN_LOOKS = 60.0, 0.5


def assets(setup: Setup, findings: Findings) -> None:
    """The scheduler starts the campaign's DAG once the profiles are there, and passes on their counts."""
    sandbox, airflow = setup.sandbox, setup.airflow
    sandbox.settings(users_per_minute=UNITS, events_per_minute=PLENTY, window_seconds=WINDOW_SECONDS)
    before = len(_runs(airflow))
    task = airflow.start_run("profiles", users=USERS)
    seen = list(task.watch(AT_MOST))
    report = ended(task, seen)
    findings.expect(f"the profiles are sent ({seen[-1].state})", seen[-1].state == "success")
    counts = {name: value for name, value in report.items() if type(value) is int}
    findings.expect(
        f"the task was deferred, and some rows were rejected ({report['deferrals']}, {report['rejected']})",
        counts["deferrals"] >= 1 and counts["rejected"] == USERS // 100,
    )
    source = f"source_dag_id=profiles&source_run_id={quote(task.run_id, safe='')}"
    events = airflow.ask("GET", f"/assets/events?{source}")["asset_events"]
    found = [(event["uri"], event["extra"]) for event in events]
    findings.expect(f"one event has the counts, that of {URI}", found == [(URI, counts)])
    runs = _started(airflow, before)
    findings.expect(
        f"the scheduler has started the campaign ({[run['run_type'] for run in runs]})",
        [run["run_type"] for run in runs] == ["asset_triggered"],
    )
    if not runs:
        return
    sent = TaskOfRun(airflow, "campaign", runs[0]["dag_run_id"], "push")
    states = list(sent.watch(AT_MOST))
    say(" -> ".join(shortened(states)))
    findings.expect(f"the campaign's task succeeds ({states[-1].state})", states[-1].state == "success")
    passed = [one["attributes"] for one in sandbox.events("campaign")]
    findings.expect("it was passed the counts", passed == [counts])


def _runs(airflow: RealAirflow) -> list[dict[str, Any]]:
    return list(airflow.ask("GET", "/dags/campaign/dagRuns?order_by=run_after")["dag_runs"])


def _started(airflow: RealAirflow, before: int) -> list[dict[str, Any]]:
    """Return the runs of the campaign's DAG after the first ones, once there is one; empty: none was started."""
    deadline = time.monotonic() + UNTIL_STARTED
    while True:
        runs = _runs(airflow)[before:]
        if runs or time.monotonic() > deadline:
            return runs
        time.sleep(BETWEEN_LOOKS)
