"""
Update MoEngage users from a query: its columns become attributes of each customer.

The rows are streamed: a million rows need no more memory than a thousand.

Needs the connections ``moengage_default`` and ``warehouse`` (any database that Airflow has a SQL hook for).
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Asset, Param, dag
except ImportError:  # Airflow 2.11
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update MoEngage users from a SQL query",
    doc_md=__doc__,
    params={
        "rejected_path": Param(
            "file:///tmp/moengage/rejected",
            type="string",
            description="Folder for rejected rows, local or in a bucket: s3://lake_conn@lake/moengage/rejected",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_users_from_sql():
    MoEngageTrackUsersOperator(
        task_id="push_customers",
        sql="sql/customers.sql",  # relative to this file; templated, like every .sql file of an operator
        sql_conn_id="warehouse",
        # Attribute in MoEngage: column of the query.
        attributes={
            "name": "customer_name",
            "orders": "number_of_orders",
            "lifetime_value": "lifetime_value",
            "last_order": "last_order_at",
            "favourite_product": "favourite_product",
        },
        # If a database has no datetime type (SQLite), its text is parsed as a datetime, in the shop's time zone;
        # otherwise MoEngage would store a string, which campaigns cannot compare.
        types={"last_order": "datetime"},
        timezone="America/New_York",
        # For a customer without orders, MoEngage keeps the old values: a NULL is left out of the update.
        nulls="skip",
        # Up to 1 % of the rows may be rejected; they are stored here, each with its reason. More fail the task.
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
        # Data centre and Workspace ID of your connection: DAGs that are scheduled on it start when the users are there, such as
        # moengage_campaign_after_profiles.
        outlets=[Asset("moengage://01/WORKSPACE/users")],
    )


dag = moengage_users_from_sql()

if __name__ == "__main__":
    dag.test()
