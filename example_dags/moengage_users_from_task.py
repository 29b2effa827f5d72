"""
Update MoEngage users from the rows that an upstream task returns.

Put your own logic into the upstream task, such as a request to an API or a prediction of a model; here it returns
constant rows. The rows are passed through XCom, which suits thousands of them. For millions, read SQL or files.

Needs the connection ``moengage_default``.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update MoEngage users from the rows of an upstream task",
    doc_md=__doc__,
    tags=["example", "moengage"],
)
def moengage_users_from_task():
    @task
    def customers_with_a_new_plan() -> list[dict]:
        # One dict per user: its id, and every other key an attribute. Datetimes end in Z (UTC).
        return [
            {"customer_id": "c-1001", "plan": "gold", "points": 120, "renewed": "2026-01-30T09:30:00Z"},
            {"customer_id": "c-1002", "plan": "silver", "points": 40, "renewed": "2026-01-31T18:05:00Z"},
            {"customer_id": "c-1003", "plan": "gold", "points": 365, "renewed": "2026-02-01T00:00:00Z"},
        ]

    MoEngageTrackUsersOperator(
        task_id="push_users",
        # Calling the task returns its output, like `.output` of an operator.
        users=customers_with_a_new_plan(),
    )


dag = moengage_users_from_task()

if __name__ == "__main__":
    dag.test()
