"""
Sends the customers of a table in PostgreSQL, in eight shards that run on several machines.

For ``python -m faults.cluster``, which sets the folders of staged and rejected rows and of snapshots in
``FAULTS_STAGING`` and ``FAULTS_SNAPSHOTS``.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

SHARDS = 8
CUSTOMERS = """
select number, customer_id, plan, city, points, spent, vip, joined, birthday
from customers
where abs(hashtext(coalesce(customer_id, '')) % {shards}) = {shard}
"""

with DAG("cluster", schedule=None):
    MoEngageTrackUsersOperator.partial(
        task_id="push",
        sql_conn_id="warehouse",
        staging_path=os.environ["FAULTS_STAGING"] + "/staged",
        rejected_path=os.environ["FAULTS_STAGING"] + "/rejected",
        snapshot_path=os.environ["FAULTS_SNAPSHOTS"],
        changed_only=True,
        bulk=True,
        # Eight tasks share a window of a few dozen requests. What a killed task has in flight is sent again.
        concurrency=4,
        max_rejected=0.01,
        retries=2,
        retry_delay=timedelta(seconds=1),
    ).expand(sql=[CUSTOMERS.format(shards=SHARDS, shard=shard) for shard in range(SHARDS)])
