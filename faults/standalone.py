"""
Deferral, kills, a cleared task, changed rows and their arrival under a real Airflow.

``python -m faults.standalone [NAME...]``: starts ``airflow standalone`` (3.3 or newer) and a sandbox, and checks the
outcome of runs; takes some minutes. A name is one of ``deferred``, ``worker``, ``machine``, ``cleared``, ``arrived``,
``bent``, ``changed``, ``cohort``, ``assets``, ``live``, which looks at the live page in Chromium, and ``quickstart``, which
follows the documentation's quick start with an Airflow that it installs. It prints each check, and its exit code is 1 if one
fails.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_moengage.sandbox.client import Sandbox, running_sandbox
from faults import quick_start
from faults.arrivals import arrived, bent
from faults.asset_events import assets
from faults.changes import changed, cohort
from faults.findings import Findings, say, step
from faults.live_page import live
from faults.real_airflow import DAGS, running_airflow
from faults.warehouse import Warehouse, customer_id
from faults.watching import (
    AT_MOST,
    PLENTY,
    Setup,
    check_deferrals,
    check_retried,
    ended,
    shortened,
    watch_and_kill,
    watch_deferrals,
)

DAG_IDS = ("deferred", "retried", "arrived", "bent", "changed", "cohort", "live", "profiles", "campaign")
#: The users of a run that is killed, and of one that is not.
USERS, FEW_USERS = 20_000, 3_000
#: The number of windows of the deferred run, and their length.
WINDOWS, WINDOW_SECONDS = 6, 20.0
#: Maximum share of users that may be sent twice after a kill.
REPEATED = 0.05


def deferred(setup: Setup, findings: Findings) -> None:
    """Six windows: the task is deferred in every wait, and has no process meanwhile."""
    sandbox = setup.sandbox
    sandbox.settings(users_per_minute=FEW_USERS // WINDOWS, window_seconds=WINDOW_SECONDS)
    task = setup.airflow.start_run("deferred", users=FEW_USERS)
    seen, looks = watch_deferrals(task, setup)
    report = ended(task, seen)
    deferrals = sum(state.startswith("deferred") for state in shortened(seen))
    rejected = sum(window["rejected_429"] for window in sandbox.state()["windows"])
    findings.expect(f"it succeeds ({seen[-1].state})", seen[-1].state == "success")
    findings.expect(
        f"it is deferred between windows and no more often: {deferrals} times", deferrals == WINDOWS - 1
    )
    findings.expect(
        f"the report counts as many deferrals: {report['deferrals']}", report["deferrals"] == deferrals
    )
    check_deferrals(findings, looks, deferrals)
    findings.expect(f"{rejected} requests got a 429, at most one per window", rejected <= WINDOWS)
    all_arrived(sandbox, findings, FEW_USERS, report)


def worker(setup: Setup, findings: Findings) -> None:
    """The worker's process is killed: its supervisor notices, and the task is retried."""
    killed(setup, findings, lambda pid: [pid])


def machine(setup: Setup, findings: Findings) -> None:
    """The worker's process and its supervisor are killed, as in a machine failure: heartbeats stop."""
    killed(setup, findings, lambda pid: [psutil.Process(pid).ppid(), pid])


def killed(setup: Setup, findings: Findings, victims: Callable[[int], list[int]]) -> None:
    """Kill a run halfway, and check that a second try completes it."""
    sandbox = setup.sandbox
    sandbox.settings(users_per_minute=PLENTY)
    task = setup.airflow.start_run("retried", users=USERS)
    once = watch_and_kill(task, lambda: int(sandbox.state()["users"]), USERS, victims)
    report = ended(task, once.seen)
    check_retried(findings, once, USERS)
    updates = all_arrived(sandbox, findings, USERS, report)
    repeated = sum(count > 1 for count in updates.values()) / USERS
    findings.expect(
        f"{repeated:.2%} of the users were sent more than once, fewer than {REPEATED:.0%}",
        repeated < REPEATED,
    )


def cleared(setup: Setup, findings: Findings) -> None:
    """A task that has succeeded is cleared: everything is sent again."""
    sandbox = setup.sandbox
    sandbox.settings(users_per_minute=PLENTY)
    task = setup.airflow.start_run("retried", users=FEW_USERS)
    first = list(task.watch(AT_MOST))
    ended(task, first)
    # A task that is cleared just before its run ends is never scheduled; no person clears that early.
    task.wait_for_run(AT_MOST)
    task.clear()
    second = list(task.watch(AT_MOST))
    report = ended(task, second)
    findings.expect(
        f"it succeeds both times ({first[-1].state}, {second[-1].state})",
        first[-1].state == second[-1].state == "success" and second[-1].try_number > first[-1].try_number,
    )
    updates = all_arrived(sandbox, findings, FEW_USERS, report)
    findings.expect(
        f"every user was sent twice ({dict(Counter(updates.values()))})", set(updates.values()) == {2}
    )


def quickstart(findings: Findings) -> None:
    """The quick start and the tutorial are followed literally, from an empty folder and pip install to the last run."""
    quick_start.follow(findings)


CHECKS = (deferred, worker, machine, cleared, arrived, bent, changed, cohort, assets, live)
#: Checks that start an Airflow of their own.
OWN_CHECKS = (quickstart,)


def all_arrived(sandbox: Sandbox, findings: Findings, count: int, report: dict[str, Any]) -> dict[str, int]:
    """Check the users against the table and the report, and return how often each was sent."""
    users = sandbox.users()
    right = {customer_id(number): number for number in range(count)}
    arrived = {name: user["attributes"].get("number") for name, user in users.items()}
    findings.expect(f"all {count} users are stored, each as in the table", arrived == right)
    counted = (report["read"], report["accepted"], report["rejected"], report["unsent"])
    findings.expect(f"the report counts every row once: {counted}", counted == (count, count, 0, 0))
    return {name: user["updates"] for name, user in users.items()}


def main() -> int:
    names = [check.__name__ for check in (*CHECKS, *OWN_CHECKS)]
    parser = argparse.ArgumentParser(prog="python -m faults.standalone")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; none: all")
    chosen = parser.parse_args().names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(names)}")
    # On SIGTERM, end all child processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    findings = Findings()
    began = time.monotonic()
    for own in OWN_CHECKS:
        if own.__name__ in chosen:
            step(title(own))
            own(findings)
    checks = [check for check in CHECKS if check.__name__ in chosen]
    if checks:
        with_one_airflow(checks, findings)
    say(f"{time.monotonic() - began:.0f} s, {len(findings.failed)} findings")
    return int(bool(findings.failed))


def with_one_airflow(checks: Sequence[Callable[[Setup, Findings], None]], findings: Findings) -> None:
    """Start an Airflow and a sandbox, and run these checks with them."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name, running_sandbox() as sandbox:
        folder = Path(name)
        staging, snapshots = folder / "staging", folder / "snapshots"
        warehouse = Warehouse(folder / "warehouse.db")
        warehouse.make_customers(USERS)
        variables = {
            "FAULTS_STAGING": staging.as_uri(),
            "FAULTS_SNAPSHOTS": snapshots.as_uri(),
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": sandbox.connection_json,
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse.path)}),
        }
        step("Starting airflow standalone and a sandbox")
        with running_airflow(DAGS, DAG_IDS, variables) as airflow:
            say(f"{airflow.url}, {sandbox.url}: ready after {time.monotonic() - began:.0f} s")
            setup = Setup(airflow, sandbox, warehouse, snapshots)
            for check in checks:
                step(title(check))
                began = time.monotonic()
                sandbox.reset()
                check(setup, findings)
                say(f"{time.monotonic() - began:.0f} s")
        left = [path for path in staging.rglob("*") if path.is_file()]
        step("In the end")
        findings.expect(f"nothing is left of what was staged ({len(left)} files)", not left)


def title(check: Callable[..., None]) -> str:
    return f"{check.__name__}: {(check.__doc__ or '').strip()}"


if __name__ == "__main__":
    sys.exit(main())
