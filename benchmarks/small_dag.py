"""The DAG of :mod:`benchmarks.small`: one contender sends one user and notes when it began."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import requests
from airflow.sdk import DAG, BaseHook, task

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from benchmarks.processes import KEY, WORKSPACE

CONTENDER = os.environ.get("BENCHMARK_CONTENDER", "ours")
URL = f"{os.environ.get('BENCHMARK_SINK')}/v1/customer/{WORKSPACE}"
FOLDER = Path(os.environ.get("BENCHMARK_FOLDER", "."))
BODY = {"type": "customer", "customer_id": "a1", "attributes": {"plan": "gold"}}


class Timed(MoEngageTrackUsersOperator):
    """The operator, which notes when it began."""

    def execute(self, context: Any) -> Any:
        """Deliver the rows."""
        began = time.time()
        report = super().execute(context)
        (FOLDER / "times").write_text(repr(began))
        return report


with DAG("small", schedule=None) as dag:
    if CONTENDER in ("ours", "changed"):
        Timed(
            task_id="push",
            users=[{"customer_id": "a1", "plan": "gold"}],
            rejected_path=f"{FOLDER}/rejected",
            staging_path=f"{FOLDER}/staged",
            changed_only=CONTENDER == "changed",
            snapshot_path=f"{FOLDER}/snapshots",
        )
    else:

        @task
        def push() -> None:
            """Post the user."""
            began = time.time()
            url, auth = URL, (WORKSPACE, KEY)
            if CONTENDER == "looked-up":
                found = BaseHook.get_connection("moengage_default")
                url = f"http://{found.host}:{found.port}/v1/customer/{found.login}"
                auth = (found.login or "", found.password or "")
            requests.post(url, json=BODY, auth=auth, timeout=30).raise_for_status()
            (FOLDER / "times").write_text(repr(began))

        push()
