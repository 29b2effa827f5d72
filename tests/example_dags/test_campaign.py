"""The example DAG that starts when the profiles are there."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import Sandbox
from tests.support.dag_runs import ROOT

EXAMPLES = ROOT / "example_dags"
SHOP = """
create table orders (customer text);
insert into orders values ('c-1'), ('c-1'), ('c-2'), ('nobody'), ('nobody');
"""


def test_a_campaign_is_triggered_for_those_who_are_there(
    run_dag: Callable[..., dict[str, Any]],
    moengage_sandbox_connection: Sandbox,
    sqlite_warehouse: Callable[..., None],
    tmp_path: Path,
):
    moengage = moengage_sandbox_connection
    sqlite_warehouse(SHOP)
    MoEngageHook().track_users([{"customer_id": "c-1"}, {"customer_id": "c-2"}])
    outcome = run_dag(
        EXAMPLES / "moengage_campaign_after_profiles.py",
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert {name: task["state"] for name, task in outcome["tasks"].items()} == {
        "profiles_have_changed": "success",
        "send_offers": "success",
    }
    (event,) = moengage.events("c-1")
    assert (event["action"], event["attributes"]) == ("Loyalty offer", {"orders": 2})
    assert moengage.events("c-2") == []


def test_the_example_that_updates_users_starts_it():
    profiles = runpy.run_path(str(EXAMPLES / "moengage_users_from_sql.py"))["dag"]
    campaign = runpy.run_path(str(EXAMPLES / "moengage_campaign_after_profiles.py"))
    (outlet,) = profiles.get_task("push_customers").outlets
    assert outlet == campaign["PROFILES"]
    timetable = campaign["dag"].timetable
    condition = getattr(timetable, "asset_condition", None) or timetable.dataset_condition
    assert list(condition.objects) == [outlet]


class Arrived:
    def __init__(self, accepted: int) -> None:
        self.extra = {"accepted": accepted}


def test_no_event_is_sent_if_no_user_was_accepted():
    campaign = runpy.run_path(str(EXAMPLES / "moengage_campaign_after_profiles.py"))
    goes_on = campaign["dag"].get_task("profiles_have_changed").python_callable
    for key in ("triggering_asset_events", "triggering_dataset_events"):
        assert goes_on(**{key: {"profiles": [Arrived(0), Arrived(0)]}}) is False
        assert goes_on(**{key: {"profiles": [Arrived(0), Arrived(3)]}}) is True
    assert goes_on() is True
