"""
Update MoEngage users with the rows that a Python function yields, written with decorators.

``@task.moengage_track_users`` sends each row as the function yields it: none passes through XCom, and no more than a few
thousand are in memory, however many there are. The report is the task's output. ``.expand`` runs the function once for each
region, in parallel.

Needs the connection ``moengage_default``, and a folder that all workers can reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.models.param import Param

PLANS = ("free", "silver", "gold")


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update MoEngage users with the rows that a function yields",
    doc_md=__doc__,
    params={
        # A local folder works only if all workers run on one machine.
        "staging_path": Param(
            "file:///tmp/moengage/staged",
            type="string",
            description="Folder for the copy of the rows, which all workers can reach: s3://lake_conn@lake/moengage/staged",
        ),
    },
    tags=["example", "moengage"],
)
def moengage_taskflow():
    @task.moengage_track_users(
        types={"renewed": "datetime"},
        timezone="Asia/Kolkata",
        # The rows are copied here first: a retry sends the rest of them and does not call the function again.
        staging_path="{{ params.staging_path }}",
        retries=3,
        retry_delay=timedelta(minutes=2),
    )
    def push_customers(region: str, count: int, ds: str | None = None) -> Iterator[dict]:
        # Put your own logic here, such as the pages of an API or the predictions of a model.
        for number in range(count):
            yield {
                "customer_id": f"{region}-{number:04}",
                "plan": PLANS[number % len(PLANS)],
                "region": region,
                "renewed": f"{ds}T09:30:00",
            }

    @task
    def sum_up(reports: list[dict]) -> int:
        return sum(report["accepted"] for report in reports)

    sum_up(push_customers.partial(count=100).expand(region=["north", "south"]))


dag = moengage_taskflow()

if __name__ == "__main__":
    dag.test()
