"""
Send one event for each order of a range of days, in the order in which each customer placed them.

MoEngage cannot change or delete an event, and does not recognise duplicates: an event that is sent twice is stored
twice. So each run sends a range that no other run sends, and the task has no retries. If a run fails, check its report
and trigger the DAG for the missing range.

Needs the connections ``moengage_default`` and ``warehouse``.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Param, dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Send one event to MoEngage for each order of a range of days",
    doc_md=__doc__,
    # A scheduled DAG would use its data interval: {{ data_interval_start }} and {{ data_interval_end }}.
    params={
        "since": Param(
            "2018-01-01", type="string", format="date", description="First day of the orders to send"
        ),
        "until": Param(
            "2026-01-01", type="string", format="date", description="Day after the last orders to send"
        ),
        "rejected_path": Param(
            "file:///tmp/moengage/rejected",
            type="string",
            description="Folder for rejected rows, local or in a bucket: s3://lake_conn@lake/moengage/rejected",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_events_from_orders():
    MoEngageTrackEventsOperator(
        task_id="send_orders",
        sql="sql/orders.sql",
        sql_conn_id="warehouse",
        time_column="ordered_at",
        # The shop's time zone; MoEngage receives UTC.
        timezone="America/New_York",
        # Every other column of the query is an attribute of the event. The ids are strings, even if they look like numbers.
        types={"order_id": "string", "store_id": "string"},
        # Without a response, MoEngage may or may not have stored the event: better one order too few than a duplicate.
        on_unknown="reject",
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
        retries=0,
    )


dag = moengage_events_from_orders()

if __name__ == "__main__":
    dag.test()
