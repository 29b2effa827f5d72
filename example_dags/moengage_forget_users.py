"""
Delete users who asked to be forgotten, from a list in a file.

A deletion cannot be undone, so the number of users is limited: if the list is longer than ``max_users``, nobody is
deleted. MoEngage deletes a user within a day; until then the user can still be read.

The path is a file, a folder or a glob, local or in object storage (``s3://lake_conn@lake/forget/*.csv``). Trigger the
DAG with another path to read another list.

Needs the connection ``moengage_default``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

try:
    from airflow.sdk import Param, dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.users import MoEngageDeleteUsersOperator

SAMPLE = Path(__file__).resolve().parent / "data" / "forget_users.csv"


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Delete users from MoEngage who asked to be forgotten",
    doc_md=__doc__,
    params={
        "path": Param(
            SAMPLE.as_uri(),
            type="string",
            description="File, folder or glob with the ids to delete: s3://lake_conn@lake/forget/*.csv",
        ),
        "rejected_path": Param(
            "file:///tmp/moengage/rejected",
            type="string",
            description="Folder for rejected rows, local or in a bucket: s3://lake_conn@lake/moengage/rejected",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_forget_users():
    MoEngageDeleteUsersOperator(
        task_id="delete_users",
        path="{{ params.path }}",
        # A longer list fails before the first deletion. Check it, and then raise the limit.
        max_users=100,
        # Users that an earlier run has deleted are counted as missing, and do not fail the task.
        on_missing="ignore",
        # Users that could not be deleted are stored here with the reason, so that somebody can follow up.
        rejected_path="{{ params.rejected_path }}",
    )


dag = moengage_forget_users()

if __name__ == "__main__":
    dag.test()
