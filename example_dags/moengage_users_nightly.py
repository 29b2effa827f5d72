"""
Update millions of MoEngage users over several hours, in a task that resumes after an interruption.

Two million users at 10,000 per minute take more than three hours. The query's rows are first copied to a folder, which
takes minutes; the worker's slot is free while the task waits for the rate limit; and a retry resumes where the
previous try ended, whatever the reason.

Needs the connections ``moengage_default`` and ``warehouse``, and a folder that all workers can reach.
"""

from __future__ import annotations

from datetime import datetime, timedelta

try:
    from airflow.sdk import Param, dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update millions of MoEngage users, and resume after an interruption",
    doc_md=__doc__,
    # Local folders work only if all workers run on one machine.
    params={
        "staging_path": Param(
            "file:///tmp/moengage/staged",
            type="string",
            description="Folder for the copy of the query's rows, which all workers can reach: "
            "s3://lake_conn@lake/moengage/staged",
        ),
        "rejected_path": Param(
            "file:///tmp/moengage/rejected",
            type="string",
            description="Folder for rejected rows, local or in a bucket: s3://lake_conn@lake/moengage/rejected",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_users_nightly():
    MoEngageTrackUsersOperator(
        task_id="push_customers",
        sql="sql/customers.sql",
        sql_conn_id="warehouse",
        attributes={"name": "customer_name", "orders": "number_of_orders", "last_order": "last_order_at"},
        types={"last_order": "datetime"},
        timezone="America/New_York",
        # Many users per request; the limit of users per minute stays the same.
        bulk=True,
        # The query's rows are copied here first, so that every try sends the same rows.
        staging_path="{{ params.staging_path }}",
        # The task defers for waits of more than 15 seconds; nothing is sent from the triggerer.
        deferrable=True,
        # A retry resumes at the last checkpoint. With Airflow 3.3 or later, retry_policy=moengage_retry_policy()
        # starts it when the rate window resets.
        retries=5,
        retry_delay=timedelta(minutes=2),
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
    )


dag = moengage_users_nightly()

if __name__ == "__main__":
    dag.test()
