"""
Sends profiles from a table that changes between runs, proves their arrival, and keeps a cohort.

For ``python -m faults.standalone``, which sets the folders of staged rows and snapshots in ``FAULTS_STAGING`` and
``FAULTS_SNAPSHOTS``.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor

SHARED: dict[str, Any] = {
    "sql_conn_id": "warehouse",
    "staging_path": os.environ["FAULTS_STAGING"],
    "snapshot_path": os.environ["FAULTS_SNAPSHOTS"],
}
SENT: dict[str, Any] = {
    "task_id": "push",
    "sql": "select customer_id, plan, city, points from profiles order by number",
    **SHARED,
}

# Users that arrive, and users of whom it is known after a few seconds that they do not.
for dag_id, pause, timeout in (("arrived", 8, 120), ("bent", 2, 4)):
    with DAG(dag_id, schedule=None):
        push = MoEngageTrackUsersOperator(**SENT, sample=100)
        push >> MoEngageUsersArrivedSensor(
            task_id="arrived",
            sample_path="{{ ti.xcom_pull(task_ids='push', key='report')['sample_path'] }}",
            poke_interval=pause,
            timeout=timeout,
            retries=1,
            deferrable=True,
        )

with DAG("changed", schedule=None):
    MoEngageTrackUsersOperator(**SENT, changed_only=True, retries=2, retry_delay=timedelta(seconds=1))

with DAG("cohort", schedule=None):
    push = MoEngageTrackUsersOperator(**SENT, changed_only=True)
    push >> MoEngageSyncCohortOperator(
        task_id="sync",
        sql="select customer_id from profiles where plan = 'gold' order by number",
        **SHARED,
        cohort_id="gold-customers",
        cohort_name="Gold customers",
        partner="warehouse",
        mode="mirror",
    )
