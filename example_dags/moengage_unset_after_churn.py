"""
Unset what no longer holds of customers who are gone, so that no campaign goes on addressing them by it.

Who is gone is a query over the orders: here everyone whose last order lies before a day. The other attributes stay.

Needs the connections ``moengage_default`` and ``warehouse``, and a MoEngage workspace that has the early-access
feature of unsetting attributes.
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
    # A date and nothing else: it stands in the text of the query.
    params={"last_order_before": Param("2019-06-01", type="string", format="date")},
    tags=["example", "moengage"],
)
def moengage_unset_after_churn():
    MoEngageUnsetAttributesOperator(
        task_id="unset_attributes",
        sql="sql/churned.sql",
        sql_conn_id="warehouse",
        # Names, and rules: every attribute that begins with "offer_" goes too.
        unset=["favourite_product", {"type": "prefix", "attr": "offer_"}],
        # A customer MoEngage has never heard of is not created just to have nothing.
        update_existing_only=True,
    )


dag = moengage_unset_after_churn()

if __name__ == "__main__":
    dag.test()
