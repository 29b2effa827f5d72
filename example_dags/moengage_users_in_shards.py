"""
Update MoEngage users in shards: several tasks send a part of the customers each, and the last one sums up.

One task fills MoEngage's rate window by itself in most cases, and more tasks do not widen it: see docs/scaling.md. What
shards bring besides is that a failed one repeats its own part only.

Needs the connections ``moengage_default`` and ``warehouse``.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

SHARDS = 8
# Cut by user, so that all rows of one user are in one shard and keep their order. The ids here end in a hexadecimal
# digit, and this SQL runs on every database; where there is a hash function, `abs(hash(customer_id)) % 8` is all it takes.
# What ends otherwise, and what is NULL, belongs to shard 0: every row is in one shard and in one only.
DIGITS = " ".join(f"when '{digit}' then {number % SHARDS}" for number, digit in enumerate("0123456789abcdef"))
SHARD = f"case lower(substr(customer_id, length(customer_id), 1)) {DIGITS} else 0 end"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"rejected_path": "file:///tmp/moengage/rejected"},
    tags=["example", "moengage"],
)
def moengage_users_in_shards():
    push = MoEngageTrackUsersOperator.partial(
        task_id="push_customers",
        sql_conn_id="warehouse",
        bulk=True,
        # Of each shard; every shard has a folder of its own below the path.
        max_rejected=0.01,
        rejected_path="{{ params.rejected_path }}",
        # Shards at a time. A pool would limit these tasks together with others; neither limits requests a minute.
        max_active_tis_per_dag=4,
    ).expand(
        sql=[f"select customer_id, name from customers where {SHARD} = {shard}" for shard in range(SHARDS)],
    )

    @task
    def sum_up(reports):
        reports = list(reports)
        counts = ("read", "accepted", "rejected", "unsent")
        return {name: sum(report[name] for report in reports) for name in counts}

    # Runs once every shard has succeeded: where one failed, the run is red, and the shard says why.
    sum_up(push.output)


dag = moengage_users_in_shards()

if __name__ == "__main__":
    dag.test()
