"""Runs under a real Airflow that send what has changed: profiles, and the members of a cohort."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from faults.findings import Findings
from faults.warehouse import ATTRIBUTES
from faults.watching import AT_MOST, PLENTY, Setup, check_retried, ended, watch_and_kill

PROFILES = 8_000
#: Of these profiles, the second run changes some and adds some.
FEW_CHANGED, ADDED = 200, 50
#: The run that is killed has as many changed profiles.
MANY_CHANGED = 4_000
#: Members of the cohort, and how many of them leave and come between two runs.
MEMBERS, MOVED = 1_000, 40
COHORT_SYNC = "/v1/integrations/cohortsync"
#: Maximum requests that a run sends again after a kill: what was sent since its last checkpoint, of every 500 rows.
REPEATED = 1_000


def changed(setup: Setup, findings: Findings) -> None:
    """A DAG runs four times over a source that changes: each run sends what has changed, also one that is killed."""
    warehouse, sandbox = setup.warehouse, setup.sandbox
    warehouse.make_profiles(PROFILES)
    sandbox.settings(users_per_minute=PLENTY)
    first = run(setup)
    check_counts(findings, "the first run sends every profile", first, accepted=PROFILES, unchanged=0)
    warehouse.change("update profiles set points = points + 1 where number < ?", [FEW_CHANGED])
    warehouse.add_profiles(PROFILES, ADDED)
    second = run(setup)
    total = PROFILES + ADDED
    sent = FEW_CHANGED + ADDED
    check_counts(findings, "the second sends what has changed", second, accepted=sent, unchanged=total - sent)
    findings.expect(f"in as many requests ({second['requests']})", second["requests"] == sent)
    updates = Counter(user["updates"] for user in sandbox.users().values())
    findings.expect(
        f"the sandbox got each of them once ({dict(updates)})",
        updates == {1: total - FEW_CHANGED, 2: FEW_CHANGED},
    )
    check_equal(setup, findings)
    check_snapshot(setup.snapshots / "changed" / "push", findings, total)
    warehouse.change(
        "update profiles set city = city || '-new' where number % 2 = 0 and number < ?", [PROFILES]
    )
    killed(setup, findings, total)
    last = run(setup)
    check_counts(findings, "the next run finds nothing changed", last, accepted=0, unchanged=total)
    findings.expect(f"and sends no request ({last['requests']})", last["requests"] == 0)


def killed(setup: Setup, findings: Findings, total: int) -> None:
    """Kill a run of changed profiles halfway, and check that a second try completes it."""
    sandbox = setup.sandbox
    before = sandbox.state()["requests"]
    task = setup.airflow.start_run("changed")
    once = watch_and_kill(task, lambda: sandbox.state()["requests"] - before, MANY_CHANGED, lambda pid: [pid])
    report = ended(task, once.seen)
    sent = sandbox.state()["requests"] - before
    check_retried(findings, once, MANY_CHANGED)
    check_counts(
        findings, "a killed run ends as others", report, accepted=MANY_CHANGED, unchanged=total - MANY_CHANGED
    )
    findings.expect(
        f"its tries send {sent} requests together, at most {REPEATED} more than have changed",
        MANY_CHANGED <= sent <= MANY_CHANGED + REPEATED,
    )
    check_equal(setup, findings)
    check_snapshot(setup.snapshots / "changed" / "push", findings, total)


def cohort(setup: Setup, findings: Findings) -> None:
    """The members of a cohort are those of a query: 4% leave and as many come."""
    warehouse, sandbox = setup.warehouse, setup.sandbox
    warehouse.make_profiles(2 * MEMBERS)
    warehouse.change("update profiles set plan = 'gold' where number < ?", [MEMBERS])
    first = synced(setup, findings)
    check_counts(findings, "the first run adds all members", first, accepted=MEMBERS, removed=0)
    warehouse.change("update profiles set plan = 'none' where number < ?", [MOVED])
    warehouse.change(
        "update profiles set plan = 'gold' where number >= ? and number < ?", [MEMBERS, MEMBERS + MOVED]
    )
    before = sandbox.state()["requests"]
    second = synced(setup, findings)
    check_counts(
        findings,
        "the second sends the difference",
        second,
        accepted=MOVED,
        unchanged=MEMBERS - MOVED,
        removed=MOVED,
        requests=2,
    )
    sent = [one for one in sandbox.requests()[before:] if one["path"] == COHORT_SYNC]
    actions = sorted(one["body"]["action"] for one in sent)
    findings.expect(f"in two requests {actions}", actions == ["add_members", "remove_members"])


def run(setup: Setup) -> dict[str, Any]:
    """Run the DAG of changed profiles, and return the report."""
    task = setup.airflow.start_run("changed")
    report = ended(task, list(task.watch(AT_MOST)))
    task.wait_for_run(AT_MOST)
    return report


def synced(setup: Setup, findings: Findings) -> dict[str, Any]:
    """Run the DAG of the cohort, check its members against the query, and return the report."""
    task = setup.airflow.start_run("cohort").other("sync")
    report = ended(task, list(task.watch(AT_MOST)))
    task.wait_for_run(AT_MOST)
    members = setup.sandbox.cohorts("gold-customers").get("gold-customers", {}).get("members", [])
    gold = [id_ for id_, profile in setup.warehouse.profiles().items() if profile["plan"] == "gold"]
    findings.expect(f"its {len(members)} members are those of the query", sorted(members) == sorted(gold))
    return report


def check_counts(findings: Findings, what: str, report: dict[str, Any], **counts: int) -> None:
    """Check counts of a report, and that it counts every row once."""
    found = {name: report.get(name) for name in counts}
    findings.expect(f"{what}: {found}", found == counts)
    kinds = ("accepted", "rejected", "unsent", "unchanged")
    findings.expect(
        f"it counts all {report['read']} rows", report["read"] == sum(report[kind] for kind in kinds)
    )


def check_equal(setup: Setup, findings: Findings) -> None:
    """Check that the sandbox has the users of the source as they are there."""
    stored = {
        id_: {name: user["attributes"].get(name) for name in ATTRIBUTES}
        for id_, user in setup.sandbox.users().items()
    }
    findings.expect(
        f"the sandbox equals the source ({len(stored)} users)", stored == setup.warehouse.profiles()
    )


def check_snapshot(folder: Path, findings: Findings, rows: int) -> None:
    """Check that a folder has one generation of a snapshot and nothing else."""
    names = sorted(path.name for path in folder.iterdir())
    kinds = [name.partition("-")[0] for name in names]
    found = [
        json.loads((folder / name).read_bytes())["rows"] for name in names if name.startswith("manifest")
    ]
    findings.expect(
        f"the snapshot of {rows} profiles is in changed/push, alone {kinds}",
        (kinds, found) == (["entries", "manifest"], [rows]),
    )
