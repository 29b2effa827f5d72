"""The sensor as Airflow carries it out: deferred until the users have arrived, red or skipped if they do not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airflow_provider_moengage.delivery.changes.sample import Sample
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import users
from tests.support.samples import batch_of, send_with_sample
from tests.support.waiting import wait_until

DAG = """
from datetime import datetime
try:
    from airflow.sdk import dag
except ImportError:
    from airflow.decorators import dag
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor

@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"late": "", "altered": ""})
def arrivals():
    late = MoEngageUsersArrivedSensor(
        task_id="late", sample_path="{{ params.late }}", poke_interval=0.5, timeout=300, deferrable=True
    )
    altered = MoEngageUsersArrivedSensor(
        task_id="altered", sample_path="{{ params.altered }}", poke_interval=0.5, timeout=1, deferrable=True
    )
    skipped = MoEngageUsersArrivedSensor(
        task_id="skipped", sample_path="{{ params.altered }}", poke_interval=0.5, timeout=1, deferrable=True, soft_fail=True
    )
    late >> [altered, skipped]

dag = arrivals()
"""


def test_a_deferred_task_ends_as_the_users_do(
    run_dag: Callable[..., dict[str, Any]], moengage_sandbox_connection: Sandbox, tmp_path: Path
):
    sandbox, rows = moengage_sandbox_connection, users(20)
    sandbox.settings(bend=["plan"])
    altered = send_with_sample([{"customer_id": "altered", "plan": "gold"}], f"{tmp_path}/altered")
    sample = Sample(300)
    sample.record(batch_of(rows))
    late = sample.write(f"{tmp_path}/late", MoEngageHook().workspace, "track_users")

    def reads() -> int:
        return sum(request["path"].endswith("/customers/export") for request in sandbox.requests())

    def arrive() -> None:
        wait_until(lambda: reads() > 0, "the sensor has poked")
        MoEngageHook().track_users(rows)

    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "arrivals.py").write_text(DAG)
    with ThreadPoolExecutor(1) as pool:
        arrived = pool.submit(arrive)
        outcome = run_dag(
            tmp_path / "dags" / "arrivals.py",
            conf={"late": late, "altered": altered},
            AIRFLOW_CONN_MOENGAGE_DEFAULT=sandbox.connection_json,
        )
        arrived.result()
    states = {task_id: task["state"] for task_id, task in outcome["tasks"].items()}
    assert states == {"late": "success", "altered": "failed", "skipped": "skipped"}
    returned = outcome["tasks"]["late"]["returned"]
    assert returned == {"sampled": 20, "equal": 20, "missing": 0, "different": 0, "attributes": {}}
    # Two pokes at least, of each of the tasks.
    assert reads() >= 6
