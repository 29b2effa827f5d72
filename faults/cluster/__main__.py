"""
Eight shards on a cluster, a worker of which is killed.

``python -m faults.cluster [--short]``: starts an Airflow (3.3 or newer) with the Celery executor on this machine, and
PostgreSQL, Redis, an S3 server and a sandbox for it; runs a DAG three times, and checks the outcome. It prints each
check, and its exit code is 1 if one fails. A whole run takes some seven minutes, a short one less than three.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import NoReturn

from faults.cluster import checks
from faults.cluster.runs import Run, kill_halfway, start_run
from faults.cluster.servers import Setup, missing, running_setup
from faults.findings import Findings, say, step


@dataclass(frozen=True)
class Size:
    """
    The size of a run.

    :param users: the rows of the table.
    :param limit: the users that may be sent in a window.
    :param seconds: the length of a window.
    """

    users: int
    limit: int
    seconds: float

    def with_users(self, users: int | None) -> Size:
        """Return it with another number of users in as many windows; None: the same."""
        return self if users is None else replace(self, users=users, limit=self.limit * users // self.users)


FULL = Size(users=400_000, limit=15_000, seconds=10.0)
SHORT = Size(users=80_000, limit=6_000, seconds=5.0)
#: Of the rows, the second run has one in so many changed, and so many added.
CHANGED, ADDED = 1_000, 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.cluster")
    parser.add_argument("--short", action="store_true", help="fewer users and shorter windows")
    parser.add_argument(
        "--users", type=int, help="the number of users; the limit of a window is in proportion"
    )
    arguments = parser.parse_args()
    size = (SHORT if arguments.short else FULL).with_users(arguments.users)
    if why_not := missing():
        print(why_not, file=sys.stderr)
        return 1
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _end)
    findings = Findings()
    began = time.monotonic()
    step("Starting PostgreSQL, Redis, S3, a sandbox, and an Airflow with two Celery workers")
    with running_setup(bulk_users_per_minute=size.limit, window_seconds=size.seconds) as setup:
        say(f"{setup.cluster.airflow.url}, {setup.sandbox.url}: ready after {time.monotonic() - began:.0f} s")
        setup.customers.create(size.users)
        first(setup, size, findings)
        second(setup, size, findings)
        third(setup, findings)
        step("In the end")
        checks.check_remains(setup, findings)
        checks.check_secrecy(setup, findings)
    say(f"{time.monotonic() - began:.0f} s, {len(findings.failed)} findings")
    return int(bool(findings.failed))


def first(setup: Setup, size: Size, findings: Findings) -> None:
    """Send all customers, and kill a worker halfway."""
    step(f"{size.users:,} customers, {size.limit:,} in {size.seconds:g} s; a worker is killed halfway")
    run = start_run(setup.cluster)
    death = kill_halfway(run, setup, size.users)
    run.wait()
    checks.check_retried(findings, run, death)
    checks.check_counts(setup, findings, run, len(setup.customers.profiles()))
    checks.check_equal(setup, findings)
    checks.check_windows(setup, findings, death.at)


def second(setup: Setup, size: Size, findings: Findings) -> None:
    """Change a few rows: only these are sent."""
    before = len(setup.customers.profiles())
    changed = setup.customers.change_every(CHANGED)
    setup.customers.add(size.users, ADDED)
    step(f"{changed} customers change, and {ADDED} are new")
    sent = changed + len(setup.customers.profiles()) - before
    checks.check_counts(setup, findings, completed(setup, findings), sent)
    checks.check_equal(setup, findings)


def third(setup: Setup, findings: Findings) -> None:
    """Change nothing: nothing is sent."""
    step("Nothing changes")
    requests = setup.sandbox.state()["requests"]
    checks.check_counts(setup, findings, completed(setup, findings), 0)
    sent = setup.sandbox.state()["requests"] - requests
    findings.expect(f"{sent} requests are sent", sent == 0)


def completed(setup: Setup, findings: Findings) -> Run:
    """Start a run, and wait until it has ended."""
    began = time.monotonic()
    run = start_run(setup.cluster)
    run.wait()
    findings.expect(f"it succeeds, after {time.monotonic() - began:.0f} s", run.succeeded)
    return run


def _end(signum: int, frame: object) -> NoReturn:
    # Whatever comes next would interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
