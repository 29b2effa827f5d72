"""The names that other people's DAGs, connections and tests rely on."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_moengage.assets import create_asset
from airflow_provider_moengage.delivery.changes.arrival import Arrival
from airflow_provider_moengage.get_provider_info import FORM_FIELDS, get_provider_info
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations import QUOTAS
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor
from airflow_provider_moengage.typing import Report

SHARED = [
    "sql", "sql_conn_id", "parameters", "sql_hook_params", "path", "encoding", "delimiter", "null_values", "fold_columns",
    "moengage_conn_id", "project_code", "concurrency", "max_rejected", "rejected_path", "on_empty", "validate_only",
    "staging_path", "durable", "deferrable", "defer_threshold",
]  # fmt: skip
#: Operator → the parameters that not all of them have.
OPERATORS = {
    "users.MoEngageTrackUsersOperator": "users id_column attributes types timezone nulls update_existing_only identifiers "
    "add_to_arrays remove_from_arrays on_bad_attribute bulk max_bytes changed_only snapshot_path full_resync resync_every "
    "on_removed removed_attributes max_removed sample",
    "users.MoEngageUnsetAttributesOperator": "users unset unset_column id_column update_existing_only bulk max_bytes "
    "changed_only snapshot_path full_resync resync_every",
    "users.MoEngageGetUsersOperator": "users id_column identifier_type identifier_type_column fields xcom_limit output_path "
    "output_table output_conn_id csv_formulas missing_path on_missing",
    "users.MoEngageMergeUsersOperator": "pairs",
    "users.MoEngageDeleteUsersOperator": "users id_column identity_type on_missing max_users",
    "events.MoEngageTrackEventsOperator": "events id_column action_column time_column attributes types timezone "
    "update_existing_only identifiers on_bad_attribute on_unknown on_restart bulk max_bytes",
    "devices.MoEngageTrackDevicesOperator": "devices id_column changed_only snapshot_path full_resync resync_every",
    "devices.MoEngageOptOutDevicesOperator": "devices action id_column",
    "cohorts.MoEngageSyncCohortOperator": "members cohort_id cohort_name partner cohort_description mode max_removed "
    "id_column snapshot_path full_resync resync_every",
    "bulk.MoEngageBulkImportOperator": "elements types timezone identifiers add_to_arrays remove_from_arrays "
    "on_bad_attribute on_restart max_bytes",
}
#: Decorator → the operator whose parameters it accepts, but for those of its source.
DECORATORS = {
    "moengage_track_users": "users.MoEngageTrackUsersOperator",
    "moengage_unset_attributes": "users.MoEngageUnsetAttributesOperator",
    "moengage_track_events": "events.MoEngageTrackEventsOperator",
    "moengage_bulk_import": "bulk.MoEngageBulkImportOperator",
    "moengage_sync_cohort": "cohorts.MoEngageSyncCohortOperator",
}
SENSOR = "sample_path max_missing max_different moengage_conn_id project_code deferrable"
HOOK = {
    "get_conn": "",
    "test_connection": "",
    "deliver": "operation rows mapping bulk max_bytes responses on_unknown options",
    "track_users": "users mapping bulk max_bytes options",
    "unset_attributes": "users mapping bulk max_bytes options",
    "get_users": "users sink mapping on_missing on_missing_ids options",
    "track_events": "events mapping on_unknown bulk max_bytes options",
    "track_devices": "devices mapping options",
    "opt_out_devices": "devices mapping options",
    "bulk_import": "elements mapping max_bytes options",
    "merge_users": "pairs options",
    "delete_users": "users mapping on_missing max_users options",
}
REPORT = (
    "read accepted rejected unsent unknown requests retried deferrals throttled_seconds duration_seconds source_exhausted "
    "rejected_path reasons dropped"
)
SANDBOX = "bent clear_faults cohorts connection connection_json connection_uri devices events fault faults requests reset settings state users"

#: Module → what else DAGs, tests and type checkers import from it.
IMPORTED = {
    "operators.base": "MoEngageSendOperator",
    "sensors.users": "MoEngageUsersArrivedSensor",
    "triggers.next_poke": "NextPokeTrigger",
    "hooks.moengage": "MoEngageHook",
    "hooks.options": "DeliveryArguments",
    "operations": "OPERATIONS",
    "operations.track_users": "UserMapping",
    "operations.unset_attributes": "UnsetMapping",
    "operations.get_users": "IdentifierMapping",
    "operations.delete_users": "DeletionMapping",
    "operations.merge_users": "PairMapping",
    "operations.track_events": "EventMapping",
    "operations.track_devices": "DeviceMapping",
    "operations.opt_out_devices": "OptOutMapping",
    "operations.bulk_import": "ElementMapping",
    "operations.sync_cohort": "MemberMapping",
    "operations.user_outputs": "Sink ListSink FileSink TableSink",
    "links": "MoEngageDashboardLink MoEngageRejectedRowsLink",
    "assets": "create_asset",
    "retry_policy": "moengage_retry_policy MoEngageRetryPolicy",
    "exceptions": "MoEngageTaskFailed MoEngageIncompleteRun",
    "api.errors": "MoEngageError MoEngageParameterError MoEngageRetryableError MoEngageNetworkError MoEngageServerError "
    "MoEngageRateLimited MoEngageStorageError MoEngageRequestRefused MoEngageAuthError MoEngageUnexpectedAnswer",
    "typing": "AttributeType DateFormat Report",
    "delivery.changes.arrival": "Arrival",
    "delivery.read.sources": "Source",
    "sandbox": "Sandbox SandboxNotStarted running_sandbox",
    "sandbox.pytest_plugin": "moengage_sandbox moengage_sandbox_connection moengage_sandbox_server",
}


def parameters_of(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "kwargs")]


@pytest.mark.parametrize("module", IMPORTED)
def test_what_is_imported_from_a_module(module: str):
    found = import_module(f"airflow_provider_moengage.{module}")
    assert [name for name in IMPORTED[module].split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", OPERATORS)
def test_the_parameters_of_an_operator(name: str):
    module, _, operator = name.partition(".")
    kind = getattr(import_module(f"airflow_provider_moengage.operators.{module}"), operator)
    found = parameters_of(kind.__init__)
    assert [one for one in found if one in SHARED] == SHARED
    assert [one for one in found if one not in SHARED] == OPERATORS[name].split()


def test_the_decorators():
    listed = {one["name"]: one["class-name"] for one in get_provider_info()["task-decorators"]}
    assert list(listed) == list(DECORATORS)
    for name, path in listed.items():
        module, _, task = path.rpartition(".")

        def rows() -> list[Any]:
            return []

        given = {"unset": ["plan"]} if name == "moengage_unset_attributes" else {}
        if name == "moengage_sync_cohort":
            given = {"cohort_id": "c", "cohort_name": "C", "partner": "p"}
        operator = getattr(import_module(module), task)(**given)(rows)().operator
        of, _, kind = DECORATORS[name].partition(".")
        assert isinstance(operator, getattr(import_module(f"airflow_provider_moengage.operators.{of}"), kind))


def test_the_parameters_of_the_sensor():
    assert parameters_of(MoEngageUsersArrivedSensor.__init__) == SENSOR.split()


def test_the_keys_of_an_arrival():
    assert list(Arrival.__annotations__) == ["sampled", "equal", "missing", "different", "attributes"]


def test_the_methods_of_the_hook_and_their_parameters():
    found = {
        name: parameters_of(method)
        for name, method in inspect.getmembers(MoEngageHook, inspect.isfunction)
        if method.__module__.startswith("airflow_provider_moengage.hooks") and not name.startswith("_")
    }
    assert found == {name: parameters.split() for name, parameters in HOOK.items()}


def test_the_keys_of_a_report(moengage_sandbox_connection: Sandbox):
    report = MoEngageTrackUsersOperator(task_id="t", users=[{"customer_id": "ann"}]).execute({})
    assert list(report) == REPORT.split()
    more = {
        "valid", "unchanged", "added", "changed", "removed", "removed_rejected", "removed_unsent", "sample_path", "missing", "found",
        "not_found", "users", "users_not_found",
    }  # fmt: skip
    assert set(Report.__annotations__) == {*REPORT.split(), *more}


def test_the_names_of_assets_and_links():
    assert parameters_of(create_asset) == ["data_center", "workspace", "what", "extra"]
    assert [(link.name, link.xcom_key) for link in MoEngageSendOperator.operator_extra_links] == [
        ("MoEngage dashboard", "moengage_dashboard"),
        ("Rejected rows", "moengage_rejected_rows"),
    ]


def test_the_options_of_the_deployment():
    options = get_provider_info()["config"]["moengage"]["options"]
    assert list(options) == ["staging_path", "snapshot_path", "lineage_sql", "max_line_bytes"]


def test_the_fields_of_a_connection():
    assert list(FORM_FIELDS) == [
        "data_center", "project_code", "forwarded_for", "limits", "rate_limit_share", "rate_limit_conn_id", "timeout",
        "allow_http",
    ]  # fmt: skip
    assert list(QUOTAS) == [
        "users", "events", "devices", "bulk_users", "bulk_events", "bulk_devices", "get_users", "merge_users",
        "delete_users", "opt_out_devices", "cohort_syncs",
    ]  # fmt: skip
    assert (MoEngageHook.conn_type, MoEngageHook.default_conn_name) == ("moengage", "moengage_default")


def test_the_methods_of_the_fixture():
    assert [name for name in dir(Sandbox) if not name.startswith("_")] == SANDBOX.split()
