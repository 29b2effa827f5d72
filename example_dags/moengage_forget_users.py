"""
Delete users who asked to be forgotten, from a list in a file.

A deletion cannot be taken back, so the list has a guard: more users than it allows, and not one of them is deleted.
MoEngage deletes a user within a day; until then it can still be read.

The path is a file, a folder or a glob, local or in object storage (``s3://lake_conn@lake/forget/*.csv``). Trigger the
DAG with another path to read something else. Needs the connection ``moengage_default``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

from airflow_provider_moengage.operators.users import MoEngageDeleteUsersOperator

SAMPLE = Path(__file__).resolve().parent / "data" / "forget_users.csv"


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"path": SAMPLE.as_uri(), "rejected_path": "file:///tmp/moengage/rejected"},
    tags=["example", "moengage"],
)
def moengage_forget_users():
    MoEngageDeleteUsersOperator(
        task_id="delete_users",
        path="{{ params.path }}",
        # The guard: a list as long as this is read by a person first, who then raises it.
        max_users=100,
        # Who is gone already, because an earlier run deleted them, is as wanted: counted under missing.
        on_missing="ignore",
        # Whoever could not be deleted is kept below with the reason: somebody owes them an answer.
        rejected_path="{{ params.rejected_path }}",
    )


dag = moengage_forget_users()

if __name__ == "__main__":
    dag.test()
