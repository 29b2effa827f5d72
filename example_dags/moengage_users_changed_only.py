"""
Update only those MoEngage users whose rows have changed since the last run, and mark those who have left.

The query returns all customers. A folder keeps a fingerprint of each record that MoEngage has accepted, so the first run
sends everybody, and the next one only what differs. Trigger the DAG with ``full_resync`` to send everybody again.

Needs the connections ``moengage_default`` and ``warehouse``, and a folder that all workers can reach.
"""

from __future__ import annotations

from datetime import datetime

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
    # Of two runs at once, the second one to begin sends every row.
    max_active_runs=1,
    description="Update only those MoEngage users whose rows have changed",
    doc_md=__doc__,
    params={
        "full_resync": Param(False, type="boolean", description="Send all customers, changed or not"),
        "snapshot_path": Param(
            "file:///tmp/moengage/snapshots",
            type="string",
            description="Folder for the snapshots, which all workers can reach: "
            "s3://lake_conn@lake/moengage/snapshots",
        ),
        "rejected_path": Param(
            "file:///tmp/moengage/rejected",
            type="string",
            description="Folder for rejected rows, local or in a bucket: s3://lake_conn@lake/moengage/rejected",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_users_changed_only():
    MoEngageTrackUsersOperator(
        task_id="push_customers",
        sql="""
            select customer_id, name, plan_name, lifetime_value, last_order_at, 1 as is_customer
            from customers
        """,
        sql_conn_id="warehouse",
        # Attribute in MoEngage: column of the query. Other columns may change without an update.
        attributes={
            "name": "name",
            "plan": "plan_name",
            "lifetime_value": "lifetime_value",
            "last_order": "last_order_at",
            "is_customer": "is_customer",
        },
        types={"last_order": "datetime", "is_customer": "boolean"},
        timezone="America/New_York",
        changed_only=True,
        snapshot_path="{{ params.snapshot_path }}",
        full_resync="{{ params.full_resync }}",
        # Customers whom the query does not return any more. The query sends the attribute too, so that it is undone when
        # they are back.
        on_removed="update",
        removed_attributes={"is_customer": False},
        # If more than 5 % have left, the query is probably wrong: none is marked, and the task fails.
        max_removed=0.05,
        # Rejected rows are tried again in every run. While there are any, nobody counts as having left.
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
    )


dag = moengage_users_changed_only()

if __name__ == "__main__":
    dag.test()
