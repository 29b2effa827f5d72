"""
The demo: creates a warehouse, starts a sandbox, runs a DAG on two nights, and prints its reports and two profiles.

All its files are in ``demo/.run``, which each run empties first.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from airflow_provider_moengage.sandbox import warehouse
from airflow_provider_moengage.sandbox.client import Sandbox, running_sandbox
from airflow_provider_moengage.sandbox.shop import BLEMISHES

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "demo" / ".run"
WAREHOUSE = RUN / "warehouse.db"
LOG = RUN / "airflow.log"
REJECTED = RUN / "rejected"
SNAPSHOTS = RUN / "snapshots"
DAG_FILE = ROOT / "example_dags" / "moengage_users_changed_only.py"
TASK = "push_customers"

LEFT = "c-0101"
#: What happens in the warehouse between the two nights, and the statements that do it; each changes the row of one customer.
DAY = {
    "the seven customers whose rows were rejected are repaired": (
        "update customers set customer_id = 'c-9001' where customer_id = 'unknown'",
        "update customers set customer_id = 'c-9002' where customer_id = '7'",
        "update customers set customer_id = 'c-9003' where customer_id is null",
        "update customers set last_order_at = '2019-02-28T12:15:00' where last_order_at = '2019-02-30T12:15:00'",
        "update customers set last_order_at = '2019-08-31T18:05:00' where last_order_at = '31/08/2019 18:05'",
        "update customers set name = substr(name, 1, instr(name, ' > ') - 1) where name like '% > %'",
        "update customers set name = 'Party of twelve' where name like '2019-%'",
    ),
    "three customers place an order": tuple(
        "update customers set lifetime_value = lifetime_value + 29, last_order_at = '2020-01-02T09:30:00' "
        f"where customer_id = '{customer_id}'"
        for customer_id in ("c-0201", "c-0202", "c-0203")
    ),
    f"one customer, {LEFT}, leaves and is deleted": (f"delete from customers where customer_id = '{LEFT}'",),
}
#: The counts of a report that are printed, and what they mean.
COUNTS = {
    "read": "rows of the query",
    "accepted": "sent, and accepted by MoEngage",
    "unchanged": "not sent: MoEngage has them already",
    "rejected": "not sent: MoEngage would reject or alter them",
    "unsent": "left over",
    "removed": "left the query; their is_customer is set to false",
    "requests": "requests to MoEngage",
}


def main() -> int:
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()

    step("Creating a shop's warehouse: a year of customers, orders, items and products")
    warehouse.provide(WAREHOUSE)
    say(f"{shown(WAREHOUSE)} (SQLite), with errors as in real tables:")
    for what in BLEMISHES:
        say(f"  - {what}")

    with running_sandbox(workspace_id="DEMO_WORKSPACE", api_key="demo-key") as sandbox:
        step("Starting the sandbox, a local MoEngage")
        say(f"{sandbox.url}, workspace {sandbox.workspace_id}")

        step(f"The first night: {shown(DAG_FILE)} runs on Airflow, and sends every row")
        airflow(sandbox, sys.executable, "-m", "airflow", "db", "migrate")
        succeeded = [run_night(sandbox)]

        step("The rejected rows, each with its reason")
        show_rejected_rows()

        step("One profile in the sandbox: the customer who spent most")
        show_best_customer(sandbox)

        step("A day passes in the shop")
        for what in spend_day():
            say(f"  - {what}")

        step("The second night: the same DAG sends ten customers who changed, and one who left")
        succeeded.append(run_night(sandbox))

        step(f"The profile of {LEFT}, who left: the other attributes stay")
        show_customer(sandbox.users(LEFT)[LEFT])
    return 0 if all(succeeded) else 1


def run_night(sandbox: Sandbox) -> bool:
    """Run the example, print its report, and return whether it succeeded and its rows add up."""
    started = time.monotonic()
    result = run_dag(sandbox)
    report = result["tasks"][TASK]["report"] or {}
    say(f"The run ended in state {result['state']!r} after {time.monotonic() - started:.0f} seconds.")
    say(f"Airflow's log: {shown(LOG)}")
    say("The report of the task:")
    for name, meaning in COUNTS.items():
        say(f"{name:11}{report.get(name, 0):>5}   {meaning}")
    settled = sum(report.get(name, 0) for name in ("accepted", "unchanged", "rejected"))
    return result["state"] == "success" and report["read"] == settled


def spend_day() -> list[str]:
    """Change the warehouse, and return what happened."""
    with contextlib.closing(sqlite3.connect(WAREHOUSE)) as database, database:
        for statements in DAY.values():
            for statement in statements:
                changed = database.execute(statement).rowcount
                if changed != 1:
                    raise SystemExit(f"{statement} changed {changed} rows, not one")
    return list(DAY)


def run_dag(sandbox: Sandbox) -> dict[str, Any]:
    """Run the example, and return the state of the run and its tasks."""
    result = RUN / "result.json"
    conf = {"rejected_path": REJECTED.as_uri(), "snapshot_path": SNAPSHOTS.as_uri()}
    airflow(sandbox, sys.executable, ROOT / "demo" / "run_dag.py", DAG_FILE, result, json.dumps(conf))
    outcome: dict[str, Any] = json.loads(result.read_text())
    return outcome


def airflow(sandbox: Sandbox, *command: str | Path) -> None:
    """Run a program that uses Airflow, in an Airflow home of its own."""
    own_settings = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment = {
        **own_settings,
        "AIRFLOW_HOME": str(RUN / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": sandbox.connection_json,
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse.connection(WAREHOUSE)),
    }
    with LOG.open("a") as log:
        done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        last_lines = "\n".join(LOG.read_text().splitlines()[-20:])
        raise SystemExit(f"Airflow failed; the end of {shown(LOG)}:\n{last_lines}")


def show_rejected_rows() -> None:
    parts = sorted(path for path in REJECTED.rglob("*") if path.is_file())
    for part in parts:
        for line in part.read_text().splitlines():
            rejected = json.loads(line)
            row = rejected["row"]
            name, last_order = textwrap.shorten(row["name"], 34), row["last_order_at"]
            say(f"row {rejected['position']}: {row['customer_id']!r}, {name}, last order {last_order}")
            reason = textwrap.wrap(rejected["reason"], 94, break_on_hyphens=False)
            print(textwrap.indent("\n".join(reason), " " * 6))
        say(f"Stored for repair in {shown(part)}")


def show_best_customer(sandbox: Sandbox) -> None:
    users = sandbox.users().values()
    best = max(users, key=lambda user: user["attributes"].get("lifetime_value", 0), default=None)
    if best:
        show_customer(best)


def show_customer(user: dict[str, Any]) -> None:
    say(f"{'customer_id':19}{user['customer_id']}")
    for name, value in user["attributes"].items():
        say(f"{name:19}{value} ({user['types'][name]})")


def shown(path: Path) -> str:
    """Return a path relative to the checkout."""
    return str(path.relative_to(ROOT))


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
