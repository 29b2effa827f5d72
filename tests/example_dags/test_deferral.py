"""A deferral as Airflow carries it out: the task leaves, a trigger waits, the task comes back."""

from __future__ import annotations

import json
import sqlite3

DAG = """
from datetime import datetime
try:
    from airflow.sdk import dag
except ImportError:
    from airflow.decorators import dag
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"staging_path": ""})
def deferred():
    MoEngageTrackUsersOperator(
        task_id="push",
        sql="select customer_id from customers",
        sql_conn_id="warehouse",
        staging_path="{{ params.staging_path }}",
        deferrable=True,
        defer_threshold=0.5,
    )

dag = deferred()
"""


def test_a_task_comes_back_from_every_deferral_and_goes_on(run_dag, moengage_sandbox, tmp_path):
    warehouse = sqlite3.connect(tmp_path / "warehouse.db")
    with warehouse:
        warehouse.execute("create table customers (customer_id text)")
        warehouse.executemany("insert into customers values (?)", [[f"user-{n}"] for n in range(50)])
    warehouse.close()
    moengage_sandbox.settings(users_per_minute=20, window_seconds=3.0)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "deferred.py").write_text(DAG)
    outcome = run_dag(
        tmp_path / "dags" / "deferred.py",
        conf={"staging_path": (tmp_path / "staged").as_uri()},
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert outcome["state"] == "success"
    report = outcome["tasks"]["push"]["report"]
    assert (report["read"], report["accepted"], report["unsent"]) == (50, 50, 0)
    assert report["deferrals"] >= 1
    assert {len(user["history"]) for user in moengage_sandbox.users().values()} == {1}
