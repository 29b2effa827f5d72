"""
Update MoEngage users in shards: several tasks each send a part of the customers, and the last task sums the reports.

In most cases one task uses up MoEngage's rate limit by itself, and more tasks do not raise it. Shards also limit what a
failure costs: a shard that fails resends only its own part.

Needs the connections ``moengage_default`` and ``warehouse``.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.models.param import Param

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

SHARDS = 8
# Partition by user, so that all rows of one user are in one shard and keep their order. The ids here end in a hexadecimal
# digit, and this SQL runs on every database; with a hash function, `abs(hash(customer_id)) % 8` is enough.
# Other endings and NULL belong to shard 0, so that every row is in exactly one shard.
DIGITS = " ".join(f"when '{digit}' then {number % SHARDS}" for number, digit in enumerate("0123456789abcdef"))
SHARD = f"case lower(substr(customer_id, length(customer_id), 1)) {DIGITS} else 0 end"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Update MoEngage users with several tasks, each for a part of the customers",
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
def moengage_users_in_shards():
    push = MoEngageTrackUsersOperator.partial(
        task_id="push_customers",
        sql_conn_id="warehouse",
        bulk=True,
        # Per shard; every shard has a folder of its own below the path.
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
        # The grid shows this instead of the map index.
        map_index_template="shard {{ ti.map_index }}",
        # Concurrent shards. A pool would limit these tasks together with others; neither limits requests per minute.
        max_active_tis_per_dag=4,
    ).expand(
        sql=[f"select customer_id, name from customers where {SHARD} = {shard}" for shard in range(SHARDS)],
    )

    @task
    def sum_up(reports):
        reports = list(reports)
        counts = ("read", "accepted", "rejected", "unsent")
        return {name: sum(report[name] for report in reports) for name in counts}

    # Runs only if every shard has succeeded; otherwise the run fails, and the failed shard's log says why.
    sum_up(push.output)


dag = moengage_users_in_shards()

if __name__ == "__main__":
    dag.test()
