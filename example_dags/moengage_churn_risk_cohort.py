"""
Keep a MoEngage cohort of the customers who have stopped ordering: churn risk, computed by the warehouse.

The query says who belongs to the cohort, and a snapshot says who did after the last run. Only the difference is sent: who
is new is added, and who orders again is removed.

Needs the connections ``moengage_default`` and ``warehouse``, and a folder that all workers can reach.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Param, dag
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag
    from airflow.models.param import Param

from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Of two runs at once, the second one to begin sends all members again.
    max_active_runs=1,
    description="Keep a MoEngage cohort of the customers who have stopped ordering",
    doc_md=__doc__,
    params={
        # Only a number is accepted, because the value becomes part of the query.
        "days": Param(90, type="integer", minimum=1, description="Days without an order"),
        "snapshot_path": Param(
            "file:///tmp/moengage/snapshots",
            type="string",
            description="Folder for the snapshots, which all workers can reach: "
            "s3://lake_conn@lake/moengage/snapshots",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_churn_risk_cohort():
    push = MoEngageTrackUsersOperator(
        task_id="push_customers",
        sql="select customer_id, name from customers",
        sql_conn_id="warehouse",
        changed_only=True,
        snapshot_path="{{ params.snapshot_path }}",
        max_rejected=0.01,
    )
    cohort = MoEngageSyncCohortOperator(
        task_id="sync_cohort",
        sql="sql/churn_risk.sql",
        sql_conn_id="warehouse",
        cohort_id="churn-risk",
        cohort_name="Churn risk",
        partner="warehouse",
        cohort_description="Customers without an order for months",
        snapshot_path="{{ params.snapshot_path }}",
        # If more than a fifth would be removed, the query is probably wrong: nobody is, and the task fails.
        max_removed=0.2,
        # MoEngage ignores members that it does not know. Each is sent again once in 30 runs, so those who came later are added.
        resync_every=30,
    )
    # A user must exist before it can be a member.
    push >> cohort


dag = moengage_churn_risk_cohort()

if __name__ == "__main__":
    dag.test()
