"""
Sends users from a table, with a task that defers and one that is killed or cleared.

For ``python -m faults.standalone``, which sets the staging folder in ``FAULTS_STAGING``; a run's conf has the number of
``users`` to send.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

SENT: dict[str, Any] = {
    "task_id": "push",
    "sql": "select customer_id, number from customers order by number limit {{ dag_run.conf['users'] }}",
    "sql_conn_id": "warehouse",
    "staging_path": os.environ["FAULTS_STAGING"],
}

with DAG("deferred", schedule=None):
    MoEngageTrackUsersOperator(**SENT, deferrable=True, defer_threshold=3.0)

# Some rows have values that MoEngage does not take.
with DAG("live", schedule=None):
    MoEngageTrackUsersOperator(
        **{
            **SENT,
            "sql": "select customer_id, number, case when number % 61 = 7 then x'00ff' end as photo, "
            "case when number % 97 = 3 then '2026-13-45' end as joined from customers "
            "order by number limit {{ dag_run.conf['users'] }}",
        },
        max_rejected=0.1,
        deferrable=True,
        defer_threshold=3.0,
    )

with DAG("retried", schedule=None):
    MoEngageTrackUsersOperator(**SENT, retries=2, retry_delay=timedelta(seconds=1))
