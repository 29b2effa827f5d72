"""Each request as it is sent, header by header and key by key, and what each documented error comes to."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

JOHN = "john@example.com"
RULE = {"type": "equals", "attr": "first_name", "case_sensitive": False}
USER = {
    "type": "customer",
    "customer_id": JOHN,
    "update_existing_only": False,
    "attributes": {
        "name": "John",
        "points": 20,
        "expiry_date": "2020-05-31T03:47:35Z",
        "super_user": True,
        "platforms": [{"platform": "ANDROID", "active": "true"}],
    },
    "unset_attributes": [RULE],
}
EVENT = {
    "type": "event",
    "customer_id": JOHN,
    "device_id": "96bd03b6-defc-4203-83d3-dc1c73080232",
    "actions": [
        {
            "action": "Flight Booked",
            "attributes": {"price": 3999, "premium_seat": True},
            "platform": "iOS",
            "app_version": "1.2.3",
            "current_time": 1433837969,
            "user_timezone_offset": 19800,
        }
    ],
}
DEVICE = {
    "type": "device",
    "customer_id": JOHN,
    "device_id": "d1",
    "attributes": {"platform": "ANDROID", "push_id": "p1", "moe_push_opted": "True"},
}
OPT_OUT = {"user_identifier_type": "customer_id", "user_identifier_value": JOHN, "action_type": "block"}
PAIR = {"merged_user": "doe", "retained_user": JOHN}
#: Operator, its rows and parameters, path, whether app_id stands in the query, body.
CALLS: dict[str, tuple[Any, dict[str, Any], str, bool, dict[str, Any]]] = {
    "track": (MoEngageTrackUsersOperator, {"users": [USER]}, "/v1/customer/{}", False, USER),
    "unset": (
        MoEngageUnsetAttributesOperator,
        {"users": [JOHN], "unset": [RULE]},
        "/v1/customer/{}",
        False,
        {**USER, "attributes": {}},
    ),
    "get": (
        MoEngageGetUsersOperator,
        {"users": [JOHN], "fields": ["last_name", "customer_id"]},
        "/v1/customers/export",
        True,
        {
            "data": {
                "identifiers": [{"identifier_type": "customer_id", "identifier": JOHN}],
                "user_fields_to_export": ["last_name", "customer_id"],
            }
        },
    ),
    "event": (MoEngageTrackEventsOperator, {"events": [EVENT]}, "/v1/event/{}", False, EVENT),
    "device": (MoEngageTrackDevicesOperator, {"devices": [DEVICE]}, "/v1/device/{}", False, DEVICE),
    "opt_out": (MoEngageOptOutDevicesOperator, {"devices": [OPT_OUT]}, "/v1/devices/manage", True, OPT_OUT),
    "bulk": (
        MoEngageBulkImportOperator,
        {"elements": [USER, EVENT, DEVICE]},
        "/v1/transition/{}",
        False,
        {"type": "transition", "elements": [USER, EVENT, DEVICE]},
    ),
    "merge": (
        MoEngageMergeUsersOperator,
        {"pairs": [PAIR]},
        "/v1/customer/merge",
        True,
        {"merge_data": [PAIR]},
    ),
    "delete": (
        MoEngageDeleteUsersOperator,
        {"users": [JOHN]},
        "/v1/customer/delete",
        True,
        {"identity_type": "customer_id", "identity_value": JOHN},
    ),
}


@pytest.fixture
def john(track: Tracker) -> Tracker:
    track(users=[{"customer_id": name} for name in (JOHN, "doe")])
    track.using(MoEngageTrackDevicesOperator)(devices=[DEVICE])
    return track


@pytest.mark.parametrize("name", CALLS)
def test_the_request_is_the_documented_one(john: Tracker, name: str):
    operator, parameters, path, in_query, body = CALLS[name]
    before = john.requests
    john.using(operator)(**parameters)
    (call,) = john.sandbox.requests()[before:]
    workspace = john.sandbox.workspace_id
    assert (call["method"], call["path"]) == ("POST", path.format(workspace))
    assert call["query"] == ({"app_id": workspace} if in_query else {})
    assert call["body"] == body
    headers = {key.lower(): value for key, value in call["headers"].items()}
    agent, length, host = (headers.pop(key) for key in ("user-agent", "content-length", "host"))
    assert agent.startswith("airflow-provider-moengage")
    headers.pop("accept-encoding", None)
    assert int(length) > 0
    assert host == f"{john.sandbox.host}:{john.sandbox.port}"
    assert headers.pop("authorization") == "Basic ***"
    assert call["authenticated"]
    assert headers == {
        "moe-appkey": workspace,
        "content-type": "application/json",
        "accept": "application/json",
        "connection": "keep-alive",
    }


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "kind", "ends"),
    [
        (400, "MissingAttributeError", None),
        (400, "Blacklisted", MoEngageTaskFailed),
        (400, "ParamsRequired", MoEngageTaskFailed),
        (401, None, MoEngageTaskFailed),
        (403, None, MoEngageTaskFailed),
        (409, None, MoEngageTaskFailed),
        (413, None, None),
        (415, None, MoEngageTaskFailed),
        (404, None, MoEngageTaskFailed),
        (503, None, MoEngageIncompleteRun),
        (408, None, MoEngageIncompleteRun),
    ],
)
def test_each_documented_error_refuses_the_row_or_ends_the_run(
    john: Tracker, name: str, status: int, kind: str | None, ends: type[MoEngageError] | None
):
    operator, parameters = CALLS[name][:2]
    rows = len(next(iter(parameters.values())))
    john.using(operator).sandbox.fault(kind="status", status=status, type=kind)
    if ends is None:
        assert outcome(john(**parameters, max_rejected=rows)) == (0, rows, 0)
    else:
        report = john.report(ends, **parameters)
        assert outcome(report) == (0, 0, rows)
        assert report["requests"] == (6 if ends is MoEngageIncompleteRun else 1)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("body", ["json", "empty"])
def test_a_429_is_waited_for_and_a_500_repeated(john: Tracker, name: str, body: str):
    operator, parameters = CALLS[name][:2]
    fault = {"kind": "status", "times": 1, "body": body}
    john.using(operator).sandbox.fault(**fault, status=429, headers={"retry-after": "0"})
    john.sandbox.fault(**fault, status=500)
    report = john(**parameters)
    assert (report["rejected"], report["retried"]) == (0, 2)
