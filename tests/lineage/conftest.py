from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox

Event = dict[str, Any]

HEAD = """
from datetime import datetime, timedelta
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

with DAG("lineage", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
"""


@pytest.fixture
def run_with_lineage(
    run_dag: Callable[..., dict[str, Any]], moengage_sandbox: Sandbox, tmp_path: Path
) -> Callable[..., tuple[dict[str, Any], list[Event]]]:
    """Run tasks with ``dag.test()``; return the outcome, and the events of the tasks that OpenLineage wrote to a file."""

    def run(tasks: str, **variables: str) -> tuple[dict[str, Any], list[Event]]:
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / "lineage.py").write_text(HEAD + tasks)
        written = tmp_path / "events.ndjson"
        outcome = run_dag(
            tmp_path / "dags" / "lineage.py",
            **{
                "AIRFLOW_CONN_MOENGAGE_DEFAULT": moengage_sandbox.connection_json,
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                    {"type": "file", "log_file_path": str(written), "append": True}
                ),
                "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
                **variables,
            },
        )
        lines = written.read_text().splitlines() if written.exists() else []
        events = [json.loads(line) for line in lines]
        return outcome, [event for event in events if event["job"]["name"].startswith("lineage.")]

    return run
