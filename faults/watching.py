"""Watches a task of a run under a real Airflow, and kills it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_moengage.sandbox.client import Sandbox
from faults.findings import Findings, say
from faults.real_airflow import RealAirflow, Seen, TaskOfRun
from faults.warehouse import Warehouse

#: Maximum seconds that a task's process may live after its deferral.
CLEANUP = 3.0
#: Time-out of a run in seconds.
AT_MOST = 300.0
#: Units of a window that is never used up.
PLENTY = 10_000_000
#: The share of a run's work after which it is killed.
HALFWAY = 0.45


@dataclass(frozen=True)
class Setup:
    """
    What all checks share.

    :param snapshots: the folder of snapshots and samples.
    """

    airflow: RealAirflow
    sandbox: Sandbox
    warehouse: Warehouse
    snapshots: Path


@dataclass(frozen=True)
class Look:
    """
    One look at a deferred task.

    :param since: when it was deferred.
    :param has_process: whether the process that ran it last is alive.
    :param requests: the requests that the sandbox had got until then.
    """

    since: float
    has_process: bool
    requests: int


def watch_deferrals(task: TaskOfRun, setup: Setup) -> tuple[list[Seen], list[Look]]:
    """Watch a task until it has ended; return its states, and looks at it while it was deferred."""
    seen: list[Seen] = []
    looks: list[Look] = []
    since = None
    for now in task.watch(AT_MOST):
        seen.append(now)
        since = None if now.state != "deferred" else since or now.at
        if since is not None and now.pid is not None and now.at - since > CLEANUP:
            looks.append(Look(since, setup.airflow.owns(now.pid), setup.sandbox.state()["requests"]))
    return seen, looks


def check_deferrals(findings: Findings, looks: list[Look], deferrals: int) -> None:
    """Check that a task had no process and sent nothing while it was deferred."""
    waits = {look.since for look in looks}
    findings.expect(
        f"it has no process while it is deferred (looked {len(looks)} times)",
        len(waits) == deferrals and not any(look.has_process for look in looks),
    )
    findings.expect("and nothing is sent", len(waits) == len({(look.since, look.requests) for look in looks}))


@dataclass(frozen=True)
class Killed:
    """
    A task that was killed once.

    :param seen: its states until it has ended.
    :param done: the progress at which it was killed; the last one, if it was not.
    """

    seen: list[Seen]
    done: int


def watch_and_kill(
    task: TaskOfRun, progress: Callable[[], int], total: int, victims: Callable[[int], list[int]]
) -> Killed:
    """
    Watch a task until it has ended, and kill it once, halfway.

    :param progress: returns how much of its work is done.
    :param total: the whole of its work.
    :param victims: returns the processes to kill, given the task's.
    """
    seen: list[Seen] = []
    done, killed_at = 0, None
    for now in task.watch(AT_MOST):
        seen.append(now)
        if killed_at is None and now.state == "running" and now.pid is not None:
            done = progress()
            if done >= HALFWAY * total:
                for pid in victims(now.pid):
                    say(f"killing {pid} ({psutil.Process(pid).name()}) after {done} of {total}")
                    os.kill(pid, signal.SIGKILL)
                killed_at = now.at
    again = [now.at for now in seen if now.state == "running" and now.try_number == 2]
    if again and killed_at is not None:
        say(f"the second try runs {again[0] - killed_at:.1f} s after the kill")
    return Killed(seen, done)


def check_retried(findings: Findings, killed: Killed, total: int) -> None:
    """Check that a task was killed halfway, and that its second try succeeded."""
    last = killed.seen[-1]
    findings.expect("it was killed halfway", 0 < killed.done < 0.9 * total)
    findings.expect(
        f"the second try succeeds ({last.state}, {last.try_number})",
        (last.state, last.try_number) == ("success", 2),
    )


def ended(task: TaskOfRun, seen: list[Seen]) -> dict[str, Any]:
    """Print how a task ended, and return its report."""
    show_end(task, seen)
    report = task.report()
    say(f"report: {report}")
    return report


def show_end(task: TaskOfRun, seen: list[Seen]) -> None:
    """Print the states of a task, and its errors if it has failed."""
    say(" -> ".join(shortened(seen)))
    if seen[-1].state == "failed":
        for error in task.errors():
            say(error)


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
