"""
Start a MoEngage campaign when the profiles are there: the DAG runs when another one has updated the users.

The example `moengage_users_from_sql` names the users of the workspace as its outlet. Each of its successful runs starts this DAG,
and passes on how many users were accepted. If none was, there is nothing new to talk about, and no event is sent.

A campaign of MoEngage that is triggered by the event *Loyalty offer* then finds profiles that are up to date.

Needs the connections ``moengage_default`` and ``warehouse``.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import Asset, Param, dag, task
except ImportError:  # Airflow 2.11
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import dag, task
    from airflow.models.param import Param

from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator

# Data centre and Workspace ID of your connection.
PROFILES = Asset("moengage://01/WORKSPACE/users")


@dag(
    schedule=[PROFILES],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    description="Send the event that triggers a campaign, once the profiles are up to date",
    doc_md=__doc__,
    params={
        # Only a number is accepted, because the value becomes part of the query.
        "orders": Param(2, type="integer", minimum=1, description="Orders that make a customer loyal"),
    },
    tags=["example", "moengage"],
)
def moengage_campaign_after_profiles():
    @task.short_circuit
    def profiles_have_changed(**context):
        # Airflow 2.11 calls assets datasets. A run that somebody starts by hand has none.
        events = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        counts = [event.extra.get("accepted", 0) for of_one in events.values() for event in of_one]
        return not counts or sum(counts) > 0

    offers = MoEngageTrackEventsOperator(
        task_id="send_offers",
        sql="""
            select customer as customer_id, 'Loyalty offer' as action, count(*) as orders
            from orders group by customer having count(*) >= {{ params.orders }}
        """,
        sql_conn_id="warehouse",
        # MoEngage uses the time of receipt.
        time_column=None,
        # The shop has orders of unknown customers; the event must not create them.
        update_existing_only=True,
        # Without a response, MoEngage may or may not have stored the event: better one offer too few than a second one.
        on_unknown="reject",
        max_rejected=0.01,
        retries=0,
    )
    profiles_have_changed() >> offers


dag = moengage_campaign_after_profiles()

if __name__ == "__main__":
    dag.test()
