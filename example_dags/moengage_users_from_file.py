"""
Update MoEngage users from files: CSV, TSV, JSON, NDJSON (each also with .gz) or Parquet.

The path is a file, a folder or a glob, local or in object storage, with the storage's connection in the URL
(``s3://lake_conn@lake/customers/*.csv.gz``). Trigger the DAG with another path to read other files.

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

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

SAMPLE = Path(__file__).resolve().parent / "data" / "customers.csv"


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update MoEngage users from files",
    doc_md=__doc__,
    params={
        "path": Param(
            SAMPLE.as_uri(),
            type="string",
            description="File, folder or glob to read: s3://lake_conn@lake/customers/*.csv.gz",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_users_from_file():
    MoEngageTrackUsersOperator(
        task_id="push_customers",
        path="{{ params.path }}",
        id_column="customer_no",
        # MoEngage reserves the name `status`, so the attribute has another name.
        attributes={
            "email": "email",
            "account_status": "status",
            "points": "points",
            "newsletter": "newsletter",
            "member_since": "member_since",
        },
        # A CSV file contains only text: these columns are converted, all others stay strings.
        types={"points": "number", "newsletter": "boolean", "member_since": "date"},
    )


dag = moengage_users_from_file()

if __name__ == "__main__":
    dag.test()
