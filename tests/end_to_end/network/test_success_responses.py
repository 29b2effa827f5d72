"""Only what an endpoint documents as a success is one; anything else stops the run and says what came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import (
    MoEngageAuthError,
    MoEngageRecordRefused,
    MoEngageRequestRefused,
    MoEngageUnexpectedAnswer,
)
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
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
)
from tests.end_to_end.hostile import answer, connect, run_against, serving
from tests.end_to_end.rows import outcome, users

__all__ = ["run_against"]

DEVICE = {"customer_id": "a1", "device_id": "d1", "platform": "ANDROID", "push_id": "p1"}
OPERATORS: dict[str, tuple[type, dict[str, Any]]] = {
    "users": (MoEngageTrackUsersOperator, {"users": users(3)}),
    "bulk": (
        MoEngageBulkImportOperator,
        {"elements": [{"type": "customer", "customer_id": "a1", "attributes": {}}]},
    ),
    "events": (
        MoEngageTrackEventsOperator,
        {"events": [{"customer_id": "a1", "action": "b", "event_time": 1}]},
    ),
    "devices": (MoEngageTrackDevicesOperator, {"devices": [DEVICE]}),
    "opt out": (
        MoEngageOptOutDevicesOperator,
        {"devices": [{"customer_id": "a1"}], "action": "block"},
    ),
    "get": (MoEngageGetUsersOperator, {"users": ["a1"]}),
    "merge": (MoEngageMergeUsersOperator, {"pairs": [{"merged_user": "a1", "retained_user": "a2"}]}),
    "delete": (MoEngageDeleteUsersOperator, {"users": ["a1"]}),
}
NO_SUCCESS: list[Any] = [
    {},
    {"status": "failure"},
    {"status": "failed", "message": "x"},
    {"status": "error"},
    {"status": "partial_success"},
    {"status": "successful"},
    {"status": "queued"},
    {"status": ""},
    {"status": None},
    {"status": True},
    {"status": 200},
    {"status": ["success"]},
    {"status": {"status": "success"}},
    {"success": False},
    {"success": True},
    {"ok": 1},
    {"message": "accepted"},
    {"error": "Unauthorized", "code": 401},
    {"error": {"type": "MissingAttributeError", "message": "x"}},
    {"status": "success", "error": {"type": "MissingAttributeError", "message": "x"}},
    {"data": {"users": [], "users_not_found": []}},
    {"customer_id": "user-0", "attributes": {"name": "x"}},
]


def stopped(run: Any, body: Any, operator: type, rows: dict[str, Any], status: str = "200 OK") -> Any:
    """Run until it stops, and return its report and the error that stopped it."""
    raised: list[MoEngageTaskFailed] = []

    class Operator(operator):  # type: ignore[misc]
        def execute(self, context: Any) -> Any:
            try:
                return super().execute(context)
            except MoEngageTaskFailed as error:
                raised.append(error)
                raise

    report = run(answer(json.dumps(body).encode(), status=status), Operator, concurrency=1, **rows)
    assert raised, report
    return report, raised[0].__cause__


@pytest.mark.parametrize("body", NO_SUCCESS, ids=json.dumps)
@pytest.mark.parametrize("status", ["200 OK", "202 Accepted"])
def test_another_body_of_a_2xx_stops_the_run(run, body: Any, status: str):
    report, cause = stopped(run, body, *OPERATORS["users"], status=status)
    assert (outcome(report), report["requests"], report["unknown"]) == ((0, 0, 3), 1, 0)
    assert type(cause) is MoEngageUnexpectedAnswer


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("body", [{}, {"status": "failure"}, {"success": False}], ids=json.dumps)
def test_so_it_is_for_every_operation(run, name: str, body: Any):
    operator, rows = OPERATORS[name]
    report, cause = stopped(run, body, operator, rows)
    assert (report["accepted"], report["rejected"], report["requests"]) == (0, 0, 1)
    assert type(cause) is MoEngageUnexpectedAnswer


@pytest.mark.parametrize(
    "body",
    [{"status": "success"}, {"status": "success", "operation": "skipped"}, {"operation": "created"}],
    ids=json.dumps,
)
def test_a_merge_has_created_something(run, body: Any):
    report, cause = stopped(run, body, *OPERATORS["merge"])
    assert outcome(report) == (0, 0, 1)
    assert type(cause) is MoEngageUnexpectedAnswer


@pytest.mark.parametrize("status", ["success", "Success", " SUCCESS "])
def test_success_is_spelled_as_people_spell(run, status: str):
    assert outcome(run(answer(json.dumps({"status": status}).encode()))) == (3, 0, 0)


def test_the_error_says_what_came_and_no_value(run):
    body = {
        "status": "PRIVATE value",
        "x" * 100: 1,
        "line\nbreak": 2,
        **{f"field{n}": "PRIVATE" for n in range(30)},
    }
    _, cause = stopped(run, body, *OPERATORS["users"])
    said = str(cause)
    assert said.startswith(
        "MoEngage answered 200 with a body with the status of type str and the fields status, xxx"
    )
    assert "PRIVATE" not in said
    assert "\n" not in said
    assert len(said) < 500
    _, cause = stopped(run, {"status": "failure", "data": []}, *OPERATORS["get"])
    assert "the status failure and the fields status, data" in str(cause)
    _, cause = stopped(run, {}, *OPERATORS["users"])
    assert "an empty JSON object" in str(cause)


@pytest.mark.parametrize(
    "kind",
    [
        "Account Suspended",
        "Account Suspended.",
        "account  temporarily suspended ",
        "BlockedClient",
        "BLOCKEDCLIENT.",
    ],
)
@pytest.mark.parametrize(
    "status", ["200 OK", "400 Bad Request", "404 Not Found", "413 Large", "429 Wait", "500 Oops"]
)
def test_a_suspended_account_stops_the_run_whatever_the_status(run, kind: str, status: str):
    body = {"status": "fail", "error": {"type": kind, "message": "x"}}
    report, cause = stopped(run, body, *OPERATORS["users"], status=status)
    assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)
    assert type(cause) is MoEngageAuthError
    assert "support" in str(cause)


@pytest.mark.parametrize(
    "body",
    [
        {"status": "fail", "error": "BlockedClient"},
        {"status": "fail", "error_type": "Account Suspended.", "message": "x"},
        {"status": "fail", "title": "Account Suspended.", "description": "x"},
        {"status": "fail", "type": "BlockedClient", "error": {}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("name", ["users", "merge", "events"])
def test_wherever_its_type_stands(run, body: Any, name: str):
    operator, rows = OPERATORS[name]
    _, cause = stopped(run, body, operator, rows, status="400 Bad Request")
    assert isinstance(cause, MoEngageRequestRefused)


def test_the_documented_failure_refuses_the_record_alone(run):
    body = {"status": "fail", "error": {"type": "MissingAttributeError", "message": "x"}}
    report = run(answer(json.dumps(body).encode()), max_rejected=3)
    assert (outcome(report), report["requests"]) == ((0, 3, 0), 3)
    assert report["reasons"] == {"MoEngage answered 200 MissingAttributeError with the status fail": 3}


def test_test_connection_believes_no_other_body(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda body: answer(b'{"status": "failure"}')) as server:
        connect(monkeypatch, server.port)
        works, said = MoEngageHook().test_connection()
    assert not works
    assert "the status failure" in said
    assert not issubclass(MoEngageUnexpectedAnswer, MoEngageRecordRefused)
