"""The sensor of arrived users under a real Airflow: users that arrive late, and users that arrive altered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from faults.findings import Findings, say
from faults.real_airflow import TaskOfRun
from faults.warehouse import ATTRIBUTES, Warehouse
from faults.watching import (
    AT_MOST,
    Setup,
    check_deferrals,
    ended,
    shortened,
    show_end,
    watch_deferrals,
)

USERS, SAMPLED = 500, 100
#: Seconds until Get User shows a user: far more than the sensor's process needs to start after the push.
INGESTION = 20.0
#: The attributes that the sandbox stores altered; ``city`` is stored as it is sent.
BENT = ("plan", "points")


def arrived(setup: Setup, findings: Findings) -> None:
    """Users arrive late: the sensor is deferred until then, and succeeds."""
    setup.warehouse.make_profiles(USERS)
    setup.sandbox.settings(ingest_delay_seconds=INGESTION)
    push = setup.airflow.start_run("arrived")
    sensor = push.other("arrived")
    seen, looks = watch_deferrals(sensor, setup)
    report = ended(push, list(push.watch(AT_MOST)))
    show_end(sensor, seen)
    result = sensor.pushed("return_value")
    say(f"result: {result}")
    pokes = pokes_of(sensor)
    deferrals = sum(state.startswith("deferred") for state in shortened(seen))
    findings.expect(f"every user was accepted ({report['accepted']})", report["accepted"] == USERS)
    findings.expect("the sample is where the report says", is_sample(setup.snapshots, push, report))
    findings.expect(f"the sensor succeeds ({seen[-1].state})", seen[-1].state == "success")
    findings.expect(f"it was deferred while users were missing: {deferrals} times", deferrals >= 1)
    findings.expect(
        f"once after every poke that found some missing ({len(pokes)} pokes)",
        len(pokes) == deferrals + 1
        and all(" 0 missing" not in poke for poke in pokes[:-1])
        and " 0 missing" in pokes[-1],
    )
    check_deferrals(findings, looks, deferrals)
    equal = {"sampled": SAMPLED, "equal": SAMPLED, "missing": 0, "different": 0, "attributes": {}}
    findings.expect("it returns that all users of the sample are as they were sent", result == equal)
    check_privacy(findings, setup.warehouse, (push, sensor))


def bent(setup: Setup, findings: Findings) -> None:
    """Two attributes are stored altered: the sensor fails, and names them."""
    setup.warehouse.make_profiles(USERS)
    setup.sandbox.settings(bend=list(BENT))
    push = setup.airflow.start_run("bent")
    sensor = push.other("arrived")
    seen = list(sensor.watch(AT_MOST))
    report = ended(push, list(push.watch(AT_MOST)))
    show_end(sensor, seen)
    errors = sensor.errors()
    last = seen[-1]
    findings.expect(f"every user was accepted ({report['accepted']})", report["accepted"] == USERS)
    findings.expect(
        f"the sensor fails without a retry ({last.state}, {last.try_number})",
        (last.state, last.try_number) == ("failed", 1),
    )
    named = f"{SAMPLED} different ({', '.join(f'{name} {SAMPLED}' for name in BENT)})"
    findings.expect(f"its error says {named!r}", bool(errors) and named in errors[-1])
    pokes = pokes_of(sensor)
    findings.expect(
        f"so does every poke ({len(pokes)})", bool(pokes) and all(named in poke for poke in pokes)
    )
    deferrals = sum(state.startswith("deferred") for state in shortened(seen))
    findings.expect(f"it was deferred in between ({deferrals} times)", deferrals == len(pokes) - 1 > 0)
    check_privacy(findings, setup.warehouse, (push, sensor))


def pokes_of(sensor: TaskOfRun) -> list[str]:
    """Print and return the line of each poke in a sensor's log."""
    pokes = [line["event"] for line in sensor.log() if line["event"].startswith("Of ")]
    for poke in pokes:
        say(f"log: {poke}")
    return pokes


def is_sample(snapshots: Path, push: TaskOfRun, report: dict[str, Any]) -> bool:
    """Whether the sample of a run exists where a report says, in the folder of the run's task."""
    path = Path(url2pathname(urlsplit(report["sample_path"]).path))
    return path.is_file() and path.parent == snapshots / "arrived" / push.run_id / "push"


def check_privacy(findings: Findings, warehouse: Warehouse, tasks: Sequence[TaskOfRun]) -> None:
    """Check that the logs of tasks have neither an id nor a value of a user."""
    text = "".join(json.dumps(task.log()) for task in tasks)
    profiles = warehouse.profiles()
    values = {str(profile[name]) for profile in profiles.values() for name in ATTRIBUTES}
    shown = [one for one in {*profiles, *values} if one in text]
    findings.expect(f"no log has an id or a value ({len(shown)})", bool(text) and not shown)
