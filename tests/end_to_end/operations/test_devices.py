"""Devices are created, updated, blocked and unblocked; what MoEngage would drop is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

GOOD = {"customer_id": "user-1", "device_id": "device-1", "platform": "iOS", "push_id": "push-1"}


@pytest.fixture
def devices(track: Tracker) -> Tracker:
    track(users=[{"customer_id": "user-1"}, {"customer_id": "12345"}])
    return track.using(MoEngageTrackDevicesOperator)


@pytest.fixture
def opt_out(devices: Tracker) -> Tracker:
    devices(devices=[GOOD, {**GOOD, "device_id": "device-2", "push_id": "push-2"}])
    return devices.using(MoEngageOptOutDevicesOperator)


def sent(track: Tracker) -> list[dict[str, Any]]:
    return [call for call in track.sandbox.requests() if "/customer/" not in call["path"]]


def blocked(track: Tracker) -> set[str]:
    return {device["device_id"] for device in track.sandbox.devices() if device["blocked"]}


def test_flat_rows_and_the_apis_own_shape_become_devices(devices: Tracker):
    more = {
        "model": "X",
        "moe_push_opted": True,
        "app_version": "1",
        "os_version": "2",
        "moe_gaid": "g",
        "idfv": "i",
    }
    own = {"type": "device", "customer_id": 12345, "device_id": UUID(int=5)}
    rows = [{**GOOD, **more, "empty": None}, {**own, "attributes": {"platform": "web", "push_id": "p"}}]
    rows[0].pop("empty")
    assert outcome(devices(devices=rows)) == (2, 0, 0)
    first, second = devices.sandbox.devices()
    assert first["attributes"] == {"platform": "iOS", "push_id": "push-1", **more, "moe_push_opted": "True"}
    assert (second["customer_id"], second["device_id"]) == ("12345", str(UUID(int=5)))
    devices(devices=[{**GOOD, "model": "Y", "idfv": None}])
    assert devices.sandbox.devices()[0]["attributes"]["model"] == "Y"
    assert "idfv" not in sent(devices)[-1]["body"]["attributes"]


@pytest.mark.parametrize(
    "change",
    [
        {"platform": "symbian"}, {"platform": None}, {"platform": "unknown"}, {"push_id": None}, {"push_id": ""},
        {"device_id": None}, {"device_id": ""}, {"device_id": " "}, {"device_id": "d" * 513}, {"device_id": b"d"},
        {"customer_id": None}, {"customer_id": "unknown"}, {"customer_id": "x"}, {"customer_id": 1.5},
        {"model": 5}, {"moe_push_opted": "yes"}, {"plan": "gold"}, {"type": "Device"}, {"model": "half \ud83d"},
        {"attributes": {"platform": "iOS", "push_id": "p"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_moengage_would_drop_is_refused(devices: Tracker, change: dict[str, Any]):
    report = devices(devices=[{**GOOD, **change}], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert sent(devices) == []


def test_a_whole_number_is_a_device_id_too(devices: Tracker):
    """An id is always a text."""
    devices(devices=[{**GOOD, "device_id": 12345}])
    assert devices.sandbox.devices()[0]["device_id"] == "12345"


def test_a_column_that_means_nothing_ends_the_task_first(
    devices: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse(
        "create table d (customer_id text, device_id text, platform text, push_id text, plan text);"
    )
    error = devices.fails(MoEngageTaskFailed, sql="select * from d", sql_conn_id="warehouse")
    assert "'plan'" in str(error)
    error = devices.fails(MoEngageTaskFailed, sql="select device_id from d", sql_conn_id="warehouse")
    assert "'customer_id'" in str(error)
    assert sent(devices) == []


def test_all_devices_of_a_user_are_blocked_and_unblocked(opt_out: Tracker):
    assert outcome(opt_out(devices=[{"customer_id": "user-1"}], action="block")) == (1, 0, 0)
    assert blocked(opt_out) == {"device-1", "device-2"}
    opt_out(devices=[{"user": "user-1"}], action="unblock", id_column="user")
    assert blocked(opt_out) == set()


def test_a_row_names_its_devices_and_its_action(opt_out: Tracker):
    row = {"customer_id": "user-1", "device_identifiers": [{"push_id": "push-2"}], "reason": "asked"}
    opt_out(devices=[{**row, "client_reference_id": "r1"}], action="block")
    assert blocked(opt_out) == {"device-2"}
    moengage_id = opt_out.sandbox.users()["user-1"]["id"]
    rows = [
        {
            "user_identifier_type": "moengage_id",
            "user_identifier_value": moengage_id,
            "action_type": "unblock",
            "device_identifiers": [{"unique_id": "device-2"}],
        },
        {"customer_id": "user-1", "device_identifiers": [{"device_unique_id": "device-1"}]},
    ]
    opt_out(devices=rows, action="block")
    assert blocked(opt_out) == {"device-1"}


def test_a_database_may_hold_device_identifiers_as_json_text(
    opt_out: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table d (customer_id text, device_identifiers text);")
    sqlite_warehouse("insert into d values (?, ?)", [("user-1", json.dumps([{"push_id": "push-1"}]))])
    opt_out(sql="select * from d", sql_conn_id="warehouse", action="block")
    assert blocked(opt_out) == {"device-1"}


@pytest.mark.parametrize(
    "change",
    [
        {"action_type": "Block"}, {"action_type": None}, {"reason": 5}, {"plan": "gold"}, {"customer_id": None},
        {"customer_id": "unknown"}, {"device_identifiers": []}, {"device_identifiers": [{}]},
        {"device_identifiers": [{"imei": "1"}]}, {"device_identifiers": [{"push_id": ""}]},
        {"device_identifiers": "push-1"}, {"user_identifier_value": "user-1"}, {"customer_id": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_an_opt_out_that_is_none_is_refused_before_it_leaves(opt_out: Tracker, change: dict[str, Any]):
    before = opt_out.requests
    row = {"customer_id": "user-1", "action_type": "block", **change}
    report = opt_out(devices=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert opt_out.requests == before


@pytest.mark.parametrize(
    ("operator", "parameters", "named"),
    [
        (MoEngageTrackDevicesOperator, {"devices": None}, ("devices=", "sql=", "path=")),
        (MoEngageTrackDevicesOperator, {"id_column": ""}, ("id_column",)),
        (MoEngageOptOutDevicesOperator, {"action": "Block"}, ("action", "'block'")),
        (MoEngageOptOutDevicesOperator, {"id_column": None}, ("id_column",)),
    ],
)
def test_wrong_parameters_are_named(operator: Any, parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        operator(task_id="devices", **{"devices": [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)
