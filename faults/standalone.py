"""
Deferral, kills and a cleared task under a real Airflow.

``python -m faults.standalone [NAME...]``: starts ``airflow standalone`` (3.3 or newer) and a sandbox, and checks the
outcome of runs; takes some minutes. A name is one of ``deferred``, ``worker``, ``machine``, ``cleared`` and
``quickstart``, which follows the documentation's quick start with an Airflow that it installs. It prints each check, and
its exit code is 1 if one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
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
from faults.findings import Findings, say, step
from faults.real_airflow import RealAirflow, Seen, TaskOfRun, running_airflow

DAGS = Path(__file__).resolve().parent / "dags"
#: The users of a run that is killed, and of one that is not.
USERS, FEW_USERS = 20_000, 3_000
#: The number of windows of the deferred run, and their length.
WINDOWS, WINDOW_SECONDS = 6, 20.0
#: Maximum share of users that may be sent twice after a kill.
REPEATED = 0.05
#: Units of a window that is never used up.
PLENTY = 10_000_000
#: Maximum seconds that a task's process may live after its deferral.
CLEANUP = 3.0
#: Time-out of a run in seconds.
AT_MOST = 300.0


def deferred(airflow: RealAirflow, sandbox: Sandbox, findings: Findings) -> None:
    """Six windows: the task is deferred in every wait, and has no process meanwhile."""
    sandbox.settings(users_per_minute=FEW_USERS // WINDOWS, window_seconds=WINDOW_SECONDS)
    task = airflow.start_run("deferred", users=FEW_USERS)
    seen: list[Seen] = []
    # For each look at a deferred task: when it was deferred, whether its process is alive, and the requests until then.
    looks: list[tuple[float, bool, int]] = []
    since = None
    for now in task.watch(AT_MOST):
        seen.append(now)
        since = None if now.state != "deferred" else since or now.at
        if since is not None and now.pid is not None and now.at - since > CLEANUP:
            looks.append((since, airflow.owns(now.pid), sandbox.state()["requests"]))
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
    waits = {since for since, _, _ in looks}
    findings.expect(
        f"it has no process while it is deferred (looked {len(looks)} times)",
        len(waits) == deferrals and not any(there for _, there, _ in looks),
    )
    findings.expect(
        "and nothing is sent", len(waits) == len({(since, requests) for since, _, requests in looks})
    )
    findings.expect(f"{rejected} requests got a 429, at most one per window", rejected <= WINDOWS)
    all_arrived(sandbox, findings, FEW_USERS, report)


def worker(airflow: RealAirflow, sandbox: Sandbox, findings: Findings) -> None:
    """The worker's process is killed: its supervisor notices, and the task is retried."""
    killed(airflow, sandbox, findings, lambda pid: [pid])


def machine(airflow: RealAirflow, sandbox: Sandbox, findings: Findings) -> None:
    """The worker's process and its supervisor are killed, as in a machine failure: heartbeats stop."""
    killed(airflow, sandbox, findings, lambda pid: [psutil.Process(pid).ppid(), pid])


def killed(
    airflow: RealAirflow, sandbox: Sandbox, findings: Findings, victims: Callable[[int], list[int]]
) -> None:
    """Kill a run halfway, and check that a second try completes it."""
    sandbox.settings(users_per_minute=PLENTY)
    task = airflow.start_run("retried", users=USERS)
    seen: list[Seen] = []
    done, killed_at = 0, 0.0
    for now in task.watch(AT_MOST):
        seen.append(now)
        if not killed_at and now.state == "running" and now.pid is not None:
            done = sandbox.state()["users"]
            if done >= 0.45 * USERS:
                for pid in victims(now.pid):
                    say(f"killing {pid} ({psutil.Process(pid).name()}) after {done} users")
                    os.kill(pid, signal.SIGKILL)
                killed_at = now.at
    report = ended(task, seen)
    again = [now.at for now in seen if now.state == "running" and now.try_number == 2]
    if again:
        say(f"the second try runs {again[0] - killed_at:.1f} s after the kill")
    last = seen[-1]
    findings.expect("it was killed halfway", 0 < done < 0.9 * USERS)
    findings.expect(
        f"the second try succeeds ({last.state}, {last.try_number})",
        (last.state, last.try_number) == ("success", 2),
    )
    updates = all_arrived(sandbox, findings, USERS, report)
    repeated = sum(count > 1 for count in updates.values()) / USERS
    findings.expect(
        f"{repeated:.2%} of the users were sent more than once, fewer than {REPEATED:.0%}",
        repeated < REPEATED,
    )


def cleared(airflow: RealAirflow, sandbox: Sandbox, findings: Findings) -> None:
    """A task that has succeeded is cleared: everything is sent again."""
    sandbox.settings(users_per_minute=PLENTY)
    task = airflow.start_run("retried", users=FEW_USERS)
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
    """The quick start is followed literally, from an empty folder and pip install to a successful run."""
    quick_start.follow(findings)


CHECKS = (deferred, worker, machine, cleared)
#: Checks that start an Airflow of their own.
OWN_CHECKS = (quickstart,)


def ended(task: TaskOfRun, seen: list[Seen]) -> dict[str, Any]:
    """Print how a task ended, and return its report."""
    say(" -> ".join(shortened(seen)))
    report = task.report()
    say(f"report: {report}")
    if seen[-1].state == "failed":
        for error in task.errors():
            say(error)
    return report


def all_arrived(sandbox: Sandbox, findings: Findings, count: int, report: dict[str, Any]) -> dict[str, int]:
    """Check the users against the table and the report, and return how often each was sent."""
    users = sandbox.users()
    right = {customer_id(number): number for number in range(count)}
    arrived = {name: user["attributes"].get("number") for name, user in users.items()}
    findings.expect(f"all {count} users are stored, each as in the table", arrived == right)
    counted = (report["read"], report["accepted"], report["rejected"], report["unsent"])
    findings.expect(f"the report counts every row once: {counted}", counted == (count, count, 0, 0))
    return {name: user["updates"] for name, user in users.items()}


def shortened(seen: list[Seen]) -> list[str]:
    """Return the sequence of states, each with its duration."""
    states: list[str] = []
    begun = 0
    for place, now in enumerate(seen):
        last = place + 1 == len(seen)
        if last or seen[place + 1].state != now.state:
            until = now.at if last else seen[place + 1].at
            states.append(f"{now.state} {until - seen[begun].at:.1f} s")
            begun = place + 1
    return states


def customer_id(number: int) -> str:
    return f"customer-{number}"


def make_warehouse(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table customers (customer_id text, number integer)")
        rows = [(customer_id(number), number) for number in range(USERS)]
        connection.executemany("insert into customers values (?, ?)", rows)
    connection.close()


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


def with_one_airflow(
    checks: Sequence[Callable[[RealAirflow, Sandbox, Findings], None]], findings: Findings
) -> None:
    """Start an Airflow and a sandbox, and run these checks with them."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name, running_sandbox() as sandbox:
        folder = Path(name)
        make_warehouse(folder / "warehouse.db")
        variables = {
            "FAULTS_STAGING": (folder / "staging").as_uri(),
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": sandbox.connection_json,
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(
                {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
            ),
        }
        step("Starting airflow standalone and a sandbox")
        with running_airflow(DAGS, ("deferred", "retried"), variables) as airflow:
            say(f"{airflow.url}, {sandbox.url}: ready after {time.monotonic() - began:.0f} s")
            for check in checks:
                step(title(check))
                sandbox.reset()
                check(airflow, sandbox, findings)
        left = [path for path in (folder / "staging").rglob("*") if path.is_file()]
        step("In the end")
        findings.expect(f"nothing is left of what was staged ({len(left)} files)", not left)


def title(check: Callable[..., None]) -> str:
    return f"{check.__name__}: {(check.__doc__ or '').strip()}"


if __name__ == "__main__":
    sys.exit(main())
