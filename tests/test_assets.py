"""Assets of the scheme ``moengage``: their URIs, and the counts that their events have."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_moengage._compat import Asset
from airflow_provider_moengage.assets import convert_asset_to_openlineage, create_asset
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox

WORKSPACE = {"conn_type": "moengage", "login": "W1", "password": "key-of-w1", "extra": {"data_center": "3"}}


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("moengage://01/W1/users", "moengage://01/W1/users"),
        ("MoEngage://dc-1/W1/users/", "moengage://01/W1/users"),
        ("moengage://101/W1/events", "moengage://101/W1/events"),
        ("moengage://3/W1/events/Order%20placed", "moengage://03/W1/events/Order%20placed"),
        ("moengage://03/W1/cohorts/churn-risk", "moengage://03/W1/cohorts/churn-risk"),
        ("moengage://proxy.example:8443/W1/devices", "moengage://proxy.example:8443/W1/devices"),
        ("moengage://Proxy.Example:8443/W1/devices", "moengage://proxy.example:8443/W1/devices"),
        ("moengage://03/W1/events/Order placed", "moengage://03/W1/events/Order%20placed"),
        ("moengage://03/W1/events/Plus+1", "moengage://03/W1/events/Plus%2B1"),
        ("moengage://03/W1/events/gr%c3%b6%c3%9fer%2b1", "moengage://03/W1/events/gr%C3%B6%C3%9Fer%2B1"),
    ],
)
def test_one_dataset_has_one_uri(written: str, uri: str):
    assert Asset(written).uri == uri


@pytest.mark.airflow_3
@pytest.mark.parametrize(
    "uri",
    [
        "moengage://01/W1", "moengage://01/W1/segments", "moengage:///W1/users", "moengage://01/W1/cohorts",
        "moengage://01/W1/users/c-1", "moengage://01/W1/events/", "moengage://07/W1/users",
        "moengage://01/W1/users?day=1", "moengage://01/W1/events/a/b", "moengage://01//users",
    ],
)  # fmt: skip
def test_a_uri_that_names_nothing_fails_the_dag(uri: str):
    if uri == "moengage://01/W1/events/":
        # Airflow removes the slash.
        assert Asset(uri).uri == "moengage://01/W1/events"
        return
    with pytest.raises(ValueError, match="unknown" if "07" in uri else "use moengage://"):
        Asset(uri)


def test_a_data_centre_that_is_written_in_two_ways_makes_one_asset():
    made = [create_asset(data_center=one, workspace="W1", what="events/A b") for one in ("1", "01", "dc_01")]
    assert {one.uri for one in made} == {"moengage://01/W1/events/A%20b"}
    # To Airflow 3, two names of one URI are a conflict.
    assert len({getattr(one, "name", None) for one in made}) == 1
    assert create_asset(data_center="u:p@proxy", workspace="W1").uri == "moengage://proxy/W1/users"


@pytest.mark.parametrize(
    "arguments",
    [
        {"data_center": "07"}, {"data_center": ""}, {"workspace": ""}, {"what": ""}, {"what": "events/"}, {"what": "cohorts"},
        {"what": "cohorts/"}, {"what": "users/x"}, {"what": "Users"}, {"what": "/users"},
    ],
)  # fmt: skip
def test_arguments_that_name_nothing_fail_the_dag_on_every_airflow(arguments: dict[str, str]):
    with pytest.raises(ValueError, match="unknown" if "07" in arguments.values() else "use moengage://"):
        create_asset(**{"data_center": "01", "workspace": "W1", **arguments})


def test_airflow_finds_handler_factory_and_converter():
    manager = ProvidersManager()
    for kind in ("uri_handlers", "factories", "to_openlineage_converters"):
        found = getattr(manager, f"asset_{kind}", None) or getattr(manager, f"dataset_{kind}")
        assert found["moengage"].__module__ == "airflow_provider_moengage.assets"


def test_an_asset_is_what_lineage_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(WORKSPACE))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", '{"conn_type": "sqlite", "host": "/warehouse.db"}')
    source = {"sql": "select 'Order placed/shop' as action from t", "sql_conn_id": "warehouse"}
    operators: list[tuple[str, Any]] = [
        ("users", MoEngageTrackUsersOperator(task_id="t", **source)),
        ("events/Order placed/shop", MoEngageTrackEventsOperator(task_id="t", **source)),
        (
            "cohorts/churn risk",
            MoEngageSyncCohortOperator(
                task_id="t", **source, cohort_id="churn risk", cohort_name="Churn", partner="warehouse"
            ),
        ),
    ]
    for what, operator in operators:
        dataset = convert_asset_to_openlineage(create_asset(data_center="3", workspace="W1", what=what), None)
        (output,) = operator.get_openlineage_facets_on_start().outputs
        assert (dataset.namespace, dataset.name) == (output.namespace, output.name)


class Event:
    def __init__(self) -> None:
        self.extra: dict[str, Any] = {"own": 1}


def test_only_assets_of_moengage_get_counts(moengage_sandbox_connection: Sandbox, tmp_path: Path):
    users, other = Asset("moengage://01/W1/users"), Asset("s3://lake/users")
    events: Any = {users: Event(), other: Event()}
    push = MoEngageTrackUsersOperator(
        task_id="t",
        users=[{"customer_id": "ann"}, {"customer_id": None}],
        max_rejected=1,
        outlets=[users, other],
    )
    report = push.execute({"outlet_events": events})
    extra = events[users].extra
    assert (extra["own"], extra["read"], extra["accepted"], extra["rejected"]) == (1, 2, 1, 1)
    assert {type(value) for value in extra.values()} == {int}
    assert extra["requests"] == report["requests"]
    assert events[other].extra == {"own": 1}
    # What is read back is not written there.
    events[users].extra = {}
    MoEngageGetUsersOperator(task_id="t", users=["ann"], outlets=[users]).execute({"outlet_events": events})
    assert events[users].extra == {}


DAG = """
from datetime import datetime
try:
    from airflow.sdk import DAG, Asset
except ImportError:
    from airflow import DAG, Dataset as Asset
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

with DAG("profiles", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    MoEngageTrackUsersOperator(
        task_id="push", users=[{"customer_id": "ann"}], outlets=[Asset("moengage://01/W1/users")]
    )
"""


@pytest.mark.airflow_3
def test_airflow_keeps_the_counts_with_the_event(
    run_dag: Callable[..., dict[str, Any]], moengage_sandbox: Sandbox, tmp_path: Path
):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "profiles.py").write_text(DAG)
    outcome = run_dag(
        tmp_path / "dags" / "profiles.py", AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json
    )
    assert outcome["state"] == "success"
    connection = sqlite3.connect(tmp_path / "airflow" / "airflow.db")
    rows = connection.execute(
        "select uri, asset_event.extra from asset_event join asset on asset.id = asset_event.asset_id"
    ).fetchall()
    connection.close()
    ((uri, extra),) = rows
    assert uri == "moengage://01/W1/users"
    assert (json.loads(extra)["read"], json.loads(extra)["accepted"]) == (1, 1)
