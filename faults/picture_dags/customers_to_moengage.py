"""
Sends customers from a table, of whom some have values that MoEngage does not take.

For ``python -m faults.pictures``, which sets the staging folder in ``PICTURES_STAGING``; a run's conf has the number of
``users`` to send.
"""

from __future__ import annotations

import os

from airflow.sdk import DAG

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

with DAG("customers_to_moengage", schedule=None):
    MoEngageTrackUsersOperator(
        task_id="push_customers",
        sql="""
            select case when number % 1999 = 17 then null when number % 997 = 5 then 'unknown' else customer_id end
                       as customer_id,
                   case number % 3 when 0 then 'gold' when 1 then 'silver' end as plan,
                   number * 1.5 as lifetime_value,
                   case when number % 487 = 5 then 'yesterday' else '2026-01-31' end as last_order
            from customers order by number limit {{ dag_run.conf['users'] }}
        """,
        sql_conn_id="warehouse",
        staging_path=os.environ["PICTURES_STAGING"],
        types={"last_order": "date:%Y-%m-%d"},
        max_rejected=0.01,
    )
