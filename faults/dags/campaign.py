"""
Sends users as an asset, and an event once they are there: the second DAG is scheduled on the asset.

For ``python -m faults.standalone``, as the other DAGs here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from airflow.sdk import DAG

from airflow_provider_moengage.assets import create_asset
from airflow_provider_moengage.decorators.events import moengage_track_events_task
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

PROFILES = create_asset(data_center="1", workspace="WORKSPACE")

with DAG("profiles", schedule=None):
    MoEngageTrackUsersOperator(
        task_id="push",
        sql="select customer_id, number, case when number % 100 = 7 then x'00ff' end as photo from customers "
        "order by number limit {{ dag_run.conf['users'] }}",
        sql_conn_id="warehouse",
        staging_path=os.environ["FAULTS_STAGING"],
        max_rejected=0.1,
        # The counts of the part before the deferral are among those of the event.
        deferrable=True,
        defer_threshold=3.0,
        outlets=[PROFILES],
    )

with DAG("campaign", schedule=[PROFILES]):

    @moengage_track_events_task(time_column=None)
    def push(triggering_asset_events: Any = None) -> Iterator[dict[str, Any]]:
        for event in triggering_asset_events[PROFILES]:
            yield {"customer_id": "campaign", "action": "Profiles arrived", **event.extra}

    push()
