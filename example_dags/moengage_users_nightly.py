"""
Update MoEngage users for hours, and lose nothing on the way: what dies goes on where it was.

Needs the connections ``moengage_default`` and ``warehouse``, and a folder that all workers reach. Two million users at
10,000 a minute take over three hours: the warehouse is read in minutes, the worker's slot is free while the rate
window is spent, and whatever ends a try, the next one goes on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Folders on a disk serve where there is one machine; with more, a bucket: s3://lake_conn@lake/moengage/staged
    params={
        "staging_path": "file:///tmp/moengage/staged",
        "rejected_path": "file:///tmp/moengage/rejected",
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
        # Many users a call; their limit a minute stays the same.
        bulk=True,
        # The query's rows are copied here first: every try sends the very same ones.
        staging_path="{{ params.staging_path }}",
        # A wait of more than 15 seconds gives the slot back; nothing is sent from the triggerer.
        deferrable=True,
        # A try that dies costs minutes: it goes on at the last checkpoint. From Airflow 3.3 on,
        # retry_policy=moengage_retry_policy() lets it come back just when the window resets.
        retries=5,
        retry_delay=timedelta(minutes=2),
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
    )


dag = moengage_users_nightly()

if __name__ == "__main__":
    dag.test()
