"""
Read users from MoEngage into a table of the warehouse, including changes by campaigns and support.

Users are inserted in batches, and a retry after a failure inserts some of them again. So they are loaded into a staging
table first. Once it is complete, its distinct rows replace those of the final table.

Needs the connections ``moengage_default`` and ``warehouse``, and a MoEngage workspace in which Get User is enabled.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag

from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator

# The attributes in MoEngage, and the columns of the table.
FIELDS = ["customer_id", "name", "orders", "lifetime_value", "last_order"]
COLUMNS = "customer_id text, name text, orders integer, lifetime_value numeric, last_order text"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Read users from MoEngage into a table of the warehouse",
    doc_md=__doc__,
    tags=["example", "moengage"],
)
def moengage_users_to_warehouse():
    empty = SQLExecuteQueryOperator(
        task_id="empty_staging",
        conn_id="warehouse",
        sql=[
            f"create table if not exists moengage_users_staging ({COLUMNS})",
            f"create table if not exists moengage_users ({COLUMNS})",
            "delete from moengage_users_staging",
        ],
    )
    read = MoEngageGetUsersOperator(
        task_id="read_users",
        # MoEngage has no endpoint that lists all users: each is read by id.
        sql="select customer_id from customers order by customer_id",
        sql_conn_id="warehouse",
        fields=FIELDS,
        output_table="moengage_users_staging",
        output_conn_id="warehouse",
        # Customers that MoEngage does not have are counted in the report as not_found.
        on_missing="ignore",
    )
    publish = SQLExecuteQueryOperator(
        task_id="publish",
        conn_id="warehouse",
        autocommit=False,  # both statements or neither
        sql=[
            "delete from moengage_users",
            "insert into moengage_users select distinct * from moengage_users_staging",
        ],
    )
    empty >> read >> publish


dag = moengage_users_to_warehouse()

if __name__ == "__main__":
    dag.test()
