"""What each operator says of its lineage: where its rows come from, and where they go."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from airflow_provider_moengage.sandbox import Sandbox

WORKSPACE = {"conn_type": "moengage", "login": "W1", "password": "key-of-w1", "extra": {"data_center": "3"}}
DATABASE = {
    "conn_type": "postgres", "host": "warehouse.example", "login": "reader", "password": "hush-hush", "schema": "dwh",
}  # fmt: skip
TABLE = ("postgres://warehouse.example:5432", "dwh.public.t")
SQL: Mapping[str, Any] = {"sql_conn_id": "warehouse"}


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(WORKSPACE))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(DATABASE))


def names(datasets: list[Any]) -> list[tuple[str, str]]:
    return [(one.namespace, one.name) for one in datasets]


def fields_of(operator: MoEngageSendOperator) -> dict[str, list[str]]:
    """Return field → columns of the only output."""
    (output,) = operator.get_openlineage_facets_on_start().outputs
    facet = output.facets.get("columnLineage")
    return (
        {}
        if facet is None
        else {name: [one.field for one in field.inputFields] for name, field in facet.fields.items()}
    )


USERS, EVENTS, DEVICES = "W1/users", "W1/events", "W1/devices"


@pytest.mark.parametrize(
    ("operator", "arguments", "expected"),
    [
        (MoEngageTrackUsersOperator, {}, [USERS]),
        (MoEngageUnsetAttributesOperator, {"unset": ["plan"]}, [USERS]),
        (MoEngageMergeUsersOperator, {}, [USERS]),
        (MoEngageDeleteUsersOperator, {}, [USERS]),
        (MoEngageTrackEventsOperator, {}, [EVENTS]),
        (MoEngageTrackDevicesOperator, {}, [DEVICES]),
        (MoEngageOptOutDevicesOperator, {"action": "block"}, [DEVICES]),
        (MoEngageBulkImportOperator, {}, [USERS, EVENTS, DEVICES]),
        (
            MoEngageSyncCohortOperator,
            {"cohort_id": "churn/risk", "cohort_name": "Churn", "partner": "warehouse"},
            ["W1/cohorts/churn%2Frisk"],
        ),
    ],
)
def test_the_output_of_every_operator(
    operator: type[MoEngageSendOperator], arguments: dict[str, Any], expected: list[str]
):
    lineage = operator(
        task_id="t", sql="select * from t", **SQL, **arguments
    ).get_openlineage_facets_on_start()
    assert names(lineage.outputs) == [("moengage://03", name) for name in expected]
    assert names(lineage.inputs) == [TABLE]


def test_an_event_has_its_name_where_the_query_fixes_it():
    def outputs(sql: str) -> list[str]:
        task = MoEngageTrackEventsOperator(task_id="t", sql=sql, **SQL)
        return [name for _, name in names(task.get_openlineage_facets_on_start().outputs)]

    assert outputs("select id as customer_id, 'Order placed' as action, at as event_time from t") == [
        "W1/events/Order placed"
    ]
    assert outputs("select id as customer_id, kind as action from t") == [EVENTS]
    assert outputs("select 'One' as action, id from t union all select 'Two', id from u") == [EVENTS]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://lake_conn@lake/customers/*.csv", ("s3://lake", "customers")),
        ("s3://key:secret@lake/customers/today.csv", ("s3://lake", "customers/today.csv")),
        ("gcs://lake/customers/", ("gs://lake", "customers")),
        ("file:///data/customers.csv", ("file", "/data/customers.csv")),
        ("/data/[ab].ndjson", ("file", "/data")),
    ],
)
def test_files_are_named_without_their_connection(path: str, expected: tuple[str, str]):
    task = MoEngageTrackUsersOperator(task_id="t", path=path, attributes={"plan": "plan_name"})
    assert names(task.get_openlineage_facets_on_start().inputs) == [expected]
    assert fields_of(task) == {"customer_id": ["customer_id"], "plan": ["plan_name"]}


def test_a_list_has_no_input():
    lineage = MoEngageTrackUsersOperator(
        task_id="t", users=[{"customer_id": "ann"}]
    ).get_openlineage_facets_on_start()
    assert lineage.inputs == []
    assert lineage.outputs[0].facets == {}


def test_columns_lead_to_attributes_as_the_parameters_say():
    def fields(sql: str, **arguments: Any) -> dict[str, list[str]]:
        return fields_of(MoEngageTrackUsersOperator(task_id="t", sql=sql, **SQL, **arguments))

    assert fields("select id as customer_id, Plan, 1 as one, tags from t") == {
        "customer_id": ["id"],
        "plan": ["Plan"],
        "tags": ["tags"],
    }
    assert fields("select id, plan from t", id_column="ID", fold_columns="upper") == {
        "customer_id": ["id"],
        "PLAN": ["plan"],
    }
    assert fields("select id, tag from t", id_column="id", attributes={}, add_to_arrays={"tags": "tag"}) == {
        "customer_id": ["id"],
        "tags": ["tag"],
    }
    # The parser does not tell the second SELECT's columns from those of the result.
    assert fields("select customer_id, plan from t union select who, what from u") == {}
    assert fields("select * from t", attributes={"plan": "plan_name"}) == {}


def test_a_text_that_is_no_query_has_an_output_all_the_same():
    task = MoEngageTrackUsersOperator(task_id="t", sql="call customers()", **SQL)
    lineage = task.get_openlineage_facets_on_start()
    assert (names(lineage.inputs), names(lineage.outputs)) == ([], [("moengage://03", USERS)])


def test_a_connection_that_is_missing_costs_only_its_own_part():
    task = MoEngageTrackUsersOperator(task_id="t", sql="select id from t", sql_conn_id="nowhere")
    assert names(task.get_openlineage_facets_on_start().outputs) == [("moengage://03", USERS)]
    task = MoEngageTrackUsersOperator(task_id="t", sql="select id from t", **SQL, moengage_conn_id="nowhere")
    lineage = task.get_openlineage_facets_on_start()
    assert (names(lineage.inputs), lineage.outputs) == ([TABLE], [])


def test_an_error_of_anybody_s_code_costs_only_its_own_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("hush-hush")

    caplog.set_level(logging.INFO)
    task = MoEngageTrackUsersOperator(task_id="t", sql="select id from t", **SQL)
    monkeypatch.setattr("airflow_provider_moengage.lineage.sql.read_query", fail)
    lineage = task.get_openlineage_facets_on_start()
    assert (names(lineage.inputs), names(lineage.outputs)) == ([], [("moengage://03", USERS)])
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(DATABASE))
    monkeypatch.setattr(MoEngageHook, "workspace", property(fail))
    task.show_start(deferred=True)
    lineage = task.get_openlineage_facets_on_failure(
        SimpleNamespace(xcom_pull=fail, task_id="t", map_index=-1)
    )
    assert (names(lineage.inputs), lineage.outputs) == ([TABLE], [])
    assert "hush-hush" not in caplog.text


def test_users_that_are_read_back_come_from_moengage():
    def read(**arguments: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        task = MoEngageGetUsersOperator(task_id="t", sql="select customer_id from t", **SQL, **arguments)
        lineage = task.get_openlineage_facets_on_start()
        return names(lineage.inputs), names(lineage.outputs)

    inputs = [("moengage://03", USERS), TABLE]
    assert read() == (inputs, [])
    assert read(output_path="s3://lake_conn@lake/users.parquet") == (inputs, [("s3://lake", "users.parquet")])
    assert read(output_table="mart.users", output_conn_id="warehouse", fields=["plan"]) == (
        inputs,
        [(TABLE[0], "dwh.mart.users")],
    )
    task = MoEngageGetUsersOperator(
        task_id="t", users=["ann"], output_table="users", output_conn_id="warehouse", fields=["plan"]
    )
    assert fields_of(task) == {"plan": ["plan"]}


def test_the_users_found_are_the_rows_of_the_file(moengage_sandbox_connection: Sandbox, tmp_path: Path):
    MoEngageTrackUsersOperator(task_id="t", users=[{"customer_id": "ann", "plan": "gold"}]).execute({})
    task = MoEngageGetUsersOperator(
        task_id="t", users=["ann", "ben"], output_path=(tmp_path / "users.ndjson").as_uri()
    )
    task.execute({})
    (output,) = task.get_openlineage_facets_on_complete(None).outputs
    assert output.outputFacets["outputStatistics"].rowCount == 1


def test_each_attempt_has_the_counts_of_its_own_report(
    moengage_sandbox_connection: Sandbox, fast_retries: None, monkeypatch: pytest.MonkeyPatch
):
    def rows_and_success(lineage: Any) -> tuple[int, bool]:
        (output,) = lineage.outputs
        (assertion,) = output.facets["dataQualityAssertions"].assertions
        return output.outputFacets["outputStatistics"].rowCount, assertion.success

    task = MoEngageTrackUsersOperator(
        task_id="t", users=[{"customer_id": f"user-{n}"} for n in range(5)], concurrency=1
    )
    moengage_sandbox_connection.fault(kind="status", status=503, after=2, times=100)
    with pytest.raises(MoEngageIncompleteRun):
        task.execute({})
    assert rows_and_success(task.get_openlineage_facets_on_failure(None)) == (2, True)
    moengage_sandbox_connection.clear_faults()
    task.execute({})
    assert rows_and_success(task.get_openlineage_facets_on_complete(None)) == (5, True)
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", '{"conn_type": "http"}')
    with pytest.raises(MoEngageTaskFailed, match="of type 'http'"):
        task.execute({})
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", moengage_sandbox_connection.connection_json)
    assert rows_and_success(task.get_openlineage_facets_on_failure(None)) == (0, True)


PROGRAM = """
import sys
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator

MoEngageTrackUsersOperator(task_id="t", users=[{"customer_id": "ann"}]).execute({})
print([name for name in sys.modules if name.startswith("openlineage")])
print([name for name in sys.modules if name.startswith("airflow_provider_moengage.lineage.")])
"""


def test_a_task_imports_nothing_of_openlineage(moengage_sandbox_connection: Sandbox):
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed[-2:] == ["[]", "['airflow_provider_moengage.lineage.names']"]
