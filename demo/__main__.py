"""
The demo: creates a warehouse, starts a sandbox, runs a DAG, and prints its report and a profile.

All its files are in ``demo/.run``, which each run empties first.
"""

from __future__ import annotations

import json
import os
import shutil
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
DAG_FILE = ROOT / "example_dags" / "moengage_users_from_sql.py"
TASK = "push_customers"


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

        step(f"Running {shown(DAG_FILE)} on Airflow")
        started = time.monotonic()
        result = run_dag(sandbox)
        task = result["tasks"][TASK]
        say(f"The run ended in state {result['state']!r} after {time.monotonic() - started:.0f} seconds.")
        say(f"Airflow's log: {shown(LOG)}")

        step("The report of the task")
        report = task["report"] or {}
        for name, value in report.items():
            if name != "reasons":
                say(f"{name:19}{value}")

        step("The rejected rows, each with its reason")
        show_rejected_rows()

        step("One profile in the sandbox: the customer who spent most")
        show_best_customer(sandbox)

    complete = report and report["read"] == report["accepted"] + report["rejected"]
    return 0 if result["state"] == "success" and complete else 1


def run_dag(sandbox: Sandbox) -> dict[str, Any]:
    """Run the example in an Airflow home of its own, and return the state of the run and its tasks."""
    result = RUN / "result.json"
    own_settings = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment = {
        **own_settings,
        "AIRFLOW_HOME": str(RUN / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": sandbox.connection_json,
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse.connection(WAREHOUSE)),
    }
    conf = {"rejected_path": REJECTED.as_uri()}
    commands = [
        [sys.executable, "-m", "airflow", "db", "migrate"],
        [sys.executable, ROOT / "demo" / "run_dag.py", DAG_FILE, result, json.dumps(conf)],
    ]
    with LOG.open("w") as log:
        for command in commands:
            done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
            if done.returncode != 0:
                log.flush()
                last_lines = "\n".join(LOG.read_text().splitlines()[-20:])
                raise SystemExit(f"Airflow failed; the end of {shown(LOG)}:\n{last_lines}")
    outcome: dict[str, Any] = json.loads(result.read_text())
    return outcome


def show_rejected_rows() -> None:
    parts = sorted(path for path in REJECTED.rglob("*") if path.is_file())
    for part in parts:
        for line in part.read_text().splitlines():
            rejected = json.loads(line)
            row = rejected["row"]
            name, last_order = textwrap.shorten(row["customer_name"], 34), row["last_order_at"]
            say(f"row {rejected['position']}: {row['customer_id']!r}, {name}, last order {last_order}")
            reason = textwrap.wrap(rejected["reason"], 94, break_on_hyphens=False)
            print(textwrap.indent("\n".join(reason), " " * 6))
        say(f"Stored for repair in {shown(part)}")


def show_best_customer(sandbox: Sandbox) -> None:
    users = sandbox.users().values()
    best = max(users, key=lambda user: user["attributes"].get("lifetime_value", 0), default=None)
    if best:
        say(f"{'customer_id':19}{best['customer_id']}")
        for name, value in best["attributes"].items():
            say(f"{name:19}{value} ({best['types'][name]})")


def shown(path: Path) -> str:
    """Return a path relative to the checkout."""
    return str(path.relative_to(ROOT))


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
