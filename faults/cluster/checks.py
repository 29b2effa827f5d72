"""What must hold of the runs on the cluster."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2

from faults.cluster.runs import Death, Run
from faults.cluster.servers import REJECTED, SNAPSHOTS, Setup
from faults.cluster.source import PERSONAL, SHARDS
from faults.cluster.windows import least_used, pauses, shown, windows_of
from faults.findings import Findings, say

#: Maximum seconds from the death of a worker until its tasks run again.
BACK_WITHIN = 60.0
#: The share of the units of a whole window that must be used at least.
USED = 0.97
#: The counts of a report, of which the first is the sum of the others.
COUNTS = ("read", "accepted", "unchanged", "rejected", "unsent")
#: The number of files, tables or objects that a failed check names.
NAMED = 5


def check_retried(findings: Findings, run: Run, death: Death) -> None:
    """Check that the tasks of the killed worker, and only these, were retried, and that all succeeded."""
    findings.expect(f"all {len(run.tasks)} shards succeed", run.succeeded and len(run.tasks) == SHARDS)
    tries = {index: task["try_number"] for index, task in sorted(run.tasks.items())}
    expected = {index: 2 if index in death.victims else 1 for index in tries}
    findings.expect(f"those of the killed worker in their second try: {tries}", tries == expected)
    back = [run.running_since.get((index, 2), float("inf")) - death.monotonic for index in death.victims]
    findings.expect(
        f"{len(back)} shards were on it; they run again {min(back, default=0):.1f} to {max(back, default=0):.1f} s "
        f"after its death, within {BACK_WITHIN:.0f} s",
        bool(back) and max(back) <= BACK_WITHIN,
    )


def check_counts(setup: Setup, findings: Findings, run: Run, sent: int) -> None:
    """
    Check the reports against the source, and the rejected rows on S3 against both.

    :param sent: the rows that must have been accepted.
    """
    reports = run.reports()
    totals = {name: sum(report[name] for report in reports.values()) for name in COUNTS}
    rejected = setup.customers.rejected()
    rows = {shard: setup.customers.count(shard) for shard in range(SHARDS)}
    # A task that was killed after it had sent everything, before Airflow knew, finds nothing to send in its second try.
    done = sum(
        report["unchanged"]
        for index, report in reports.items()
        if run.tasks[index]["try_number"] > 1 and not report["accepted"]
    )
    if done:
        say(f"{done:,} rows were sent by tasks that were killed at their very end")
    total = sum(rows.values())
    expected = (total, sent - done, total - sent - len(rejected) + done, len(rejected), 0)
    findings.expect(
        f"the reports count every row once: {_listed(totals)}", tuple(totals.values()) == expected
    )
    read = {index: report["read"] for index, report in reports.items()}
    findings.expect(f"each shard has read its own: {list(read.values())}", read == rows)
    kept = [
        json.loads(line)
        for key, content in setup.lake.objects(f"{REJECTED}/").items()
        if f"/{run.run_id}/" in key
        for line in content.splitlines()
    ]
    codes = {line["row"]["number"]: line["code"] for line in kept}
    findings.expect(
        f"the {len(kept)} rejected rows are on S3, each once: {dict(Counter(codes.values()))}",
        len(kept) == len(codes) and codes == rejected,
    )


def check_equal(setup: Setup, findings: Findings) -> None:
    """Check that the sandbox has every user of the source, as it is there."""
    users = setup.sandbox.users()
    stored = {id_: user["attributes"] for id_, user in users.items()}
    findings.expect(
        f"the sandbox equals the source ({len(stored):,} users)", stored == setup.customers.profiles()
    )
    updates = Counter(user["updates"] for user in users.values())
    again = sum(count * (times - 1) for times, count in updates.items())
    say(f"updates of a user: {dict(sorted(updates.items()))}, {again / len(users):.2%} more than users")
    findings.expect("MoEngage has changed none of what was sent", not setup.sandbox.bent())


def check_windows(setup: Setup, findings: Findings, killed_at: float) -> None:
    """
    Check that the rate windows were used, and no more than that.

    :param killed_at: the epoch second at which a worker was killed.
    """
    state = setup.sandbox.state()
    seconds = state["settings"]["window_seconds"]
    time.sleep(setup.bulk_window()["reset_seconds"] + 0.1)
    window = setup.bulk_window()
    limit = window["limit"]
    windows = windows_of(window["ended"], seconds, killed_at)
    for line in shown(windows, limit):
        say(line)
    whole = [one for one in windows if not one.excluded]
    least = least_used(windows, limit)
    total = sum(one.used for one in whole) / (limit * len(whole)) if whole else 0.0
    findings.expect(
        f"{len(whole)} whole windows are used to {total:.2%}, the least to {least:.2%}, which is {USED:.0%} or more",
        least >= USED,
    )
    typical, longest = pauses(windows, seconds)
    say(f"between two windows are {typical * 1000:.0f} ms (median), {longest * 1000:.0f} ms at most")
    over = max(one.used for one in windows)
    rejected = [one.rejected_429 for one in windows]
    findings.expect(
        f"no window is overrun: at most {over:,} of {limit:,} units, {sum(rejected)} requests got a 429",
        over <= limit and not any(rejected),
    )


def check_remains(setup: Setup, findings: Findings) -> None:
    """Check that no checkpoint and no staged row is left, and of each shard one snapshot."""
    names = sorted(setup.lake.objects())
    others = [name for name in names if not name.startswith((f"{REJECTED}/", f"{SNAPSHOTS}/"))]
    findings.expect(f"nothing of what was staged is left on S3{_named(others)}", not others)
    snapshots = Counter(
        name.rpartition("/")[2].partition("-")[0] for name in names if name.startswith(f"{SNAPSHOTS}/")
    )
    findings.expect(
        f"of each shard one snapshot: {dict(snapshots)}",
        snapshots == {"entries": SHARDS, "manifest": SHARDS},
    )
    uploads = setup.lake.unfinished_uploads()
    findings.expect(f"no upload is unfinished ({len(uploads)})", not uploads)
    with closing(psycopg2.connect(setup.metadata)) as connection, connection.cursor() as cursor:
        cursor.execute("select key, count(*) from task_state_store group by key")
        states = dict(cursor.fetchall())
    findings.expect(
        f"no checkpoint is left in the task state store ({states})", "moengage_checkpoint" not in states
    )


def check_secrecy(setup: Setup, findings: Findings) -> None:
    """Check that neither a value of a row nor the key is in any log file or in Airflow's database."""
    sandbox = setup.sandbox
    basic = base64.b64encode(f"{sandbox.workspace_id}:{sandbox.api_key}".encode())
    secret = re.compile(b"|".join((PERSONAL, sandbox.api_key.encode(), re.escape(basic))))
    logs = [path for path in setup.cluster.home.rglob("*") if path.is_file()] + [setup.postgres.log]
    size = sum(path.stat().st_size for path in logs)
    found = [path.name for path in logs if secret.search(path.read_bytes())]
    findings.expect(
        f"no value of a row and no key is in any of {len(logs)} log files ({size / 1e6:.1f} MB){_named(found)}",
        bool(logs) and not found,
    )
    tables = _tables_with(setup.metadata, secret)
    findings.expect(f"nor in a table of Airflow's database{_named(tables)}", not tables)


def _tables_with(uri: str, pattern: re.Pattern[bytes]) -> list[str]:
    """Return the tables of a database in which a value contains a pattern."""
    found = []
    with closing(psycopg2.connect(uri)) as connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        for (name,) in cursor.fetchall():
            cursor.execute(f'select * from "{name}"')
            values = (value for row in cursor for value in row)
            if any(pattern.search(_as_bytes(value)) for value in values):
                found.append(name)
    return found


def _as_bytes(value: Any) -> bytes:
    # PostgreSQL's text of bytes is hexadecimal, in which nothing would be found.
    return bytes(value) if isinstance(value, memoryview) else str(value).encode()


def _named(found: list[str]) -> str:
    return f": {', '.join(found[:NAMED])}" if found else ""


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
