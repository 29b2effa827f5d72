"""
Unset attributes of customers who have stopped ordering, so that campaigns no longer use them.

The query selects the customers: here, those whose last order is before a given day. All other attributes stay as they
are.

Needs the connections ``moengage_default`` and ``warehouse``, and a MoEngage workspace in which the early-access feature
of unsetting attributes is enabled.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Param, dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.users import MoEngageUnsetAttributesOperator


@dag(
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Unset attributes at MoEngage of customers who have stopped ordering",
    doc_md=__doc__,
    # Only a date is accepted, because the value becomes part of the query.
    params={
        "last_order_before": Param(
            "2019-06-01",
            type="string",
            format="date",
            description="Customers whose last order is before this day",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_unset_after_churn():
    MoEngageUnsetAttributesOperator(
        task_id="unset_attributes",
        sql="sql/churned.sql",
        sql_conn_id="warehouse",
        # Names and rules: every attribute that begins with "offer_" is unset too.
        unset=["favourite_product", {"type": "prefix", "attr": "offer_"}],
        # Customers that MoEngage does not have are not created.
        update_existing_only=True,
    )


dag = moengage_unset_after_churn()

if __name__ == "__main__":
    dag.test()
