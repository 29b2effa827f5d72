"""
The example answers of MoEngage's OpenAPI document, endpoint by endpoint: what provokes each, and what comes.

Where editions word an error differently, the status and the body's shape are the ones of the document, and the type is
the one of the overview.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Api

USER = {"type": "customer", "customer_id": "john", "attributes": {"name": "John"}}
EVENT = {"type": "event", "customer_id": "john", "actions": [{"action": "a"}]}
DEVICE = {
    "type": "device",
    "customer_id": "john",
    "device_id": "phone",
    "attributes": {"platform": "ANDROID", "push_id": "p"},
}
OPT_OUT = {"user_identifier_type": "customer_id", "user_identifier_value": "john", "action_type": "block"}
EXPORT = {"data": {"identifiers": [{"identifier_type": "customer_id", "identifier": "john"}]}}
MERGE = {"merge_data": [{"merged_user": "jane", "retained_user": "john"}]}
DELETE = {"identity_type": "customer_id", "identity_value": "john"}
CONNECTION = {"app_id": "SANDBOX_WORKSPACE", "app_secret": "SANDBOX_KEY", "source": "test", "region": "01"}
BULK = {"type": "transition", "elements": [USER, EVENT, DEVICE]}

IN_PATH = {
    "track": ("/v1/customer/{}", USER, "users"),
    "event": ("/v1/event/{}", EVENT, "events"),
    "device": ("/v1/device/{}", DEVICE, "devices"),
    "bulk": ("/v1/transition/{}", BULK, "bulk_users"),
}
IN_QUERY = {
    "bulk_by_query": ("/v1/transition?app_id={}", BULK, "bulk_users"),
    "get": ("/v1/customers/export?app_id={}", EXPORT, "get_users"),
    "merge": ("/v1/customer/merge?app_id={}", MERGE, "merge_users"),
    "delete": ("/v1/customer/delete?app_id={}", DELETE, "delete_users"),
    "opt_out": ("/v1/devices/manage?app_id={}", OPT_OUT, "opt_out_devices"),
}
ENDPOINTS: dict[str, tuple[str, Any, str]] = {**IN_PATH, **IN_QUERY}
TEST_CONNECTION = ("/v1/integrations/authentication", CONNECTION, "")
WORKSPACE = "SANDBOX_WORKSPACE"

ACCEPTED = {
    "status": "success",
    "message": "Your request has been accepted and will be processed soon.",
}
#: A value of a body that is not compared.
ANY = object()


@dataclass(frozen=True)
class Case:
    """A request and the documented answer to it."""

    endpoint: str
    status: int
    body: Any = None
    #: The documented error, or the whole answer where ``whole`` says so.
    answer: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    headers: dict[str, str | None] = field(default_factory=dict)
    app_id: str = WORKSPACE
    settings: dict[str, Any] = field(default_factory=dict)
    fault: dict[str, Any] | None = None


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def error(type_: str, attribute: str | None = None) -> dict[str, Any]:
    return {"type": type_, **({} if attribute is None else {"attribute": attribute})}


def missing(attribute: str) -> dict[str, Any]:
    return error("MissingAttributeError", attribute)


def user(attributes: dict[str, Any]) -> dict[str, Any]:
    return {**USER, "attributes": attributes}


TOO_LONG = b" " * (128 * 1024 + 1)
UNAUTHENTICATED = error("Authentication required")


def everywhere() -> dict[str, Case]:
    """The answers that all endpoints have in common."""
    cases: dict[str, Case] = {}
    for name, (_, _, quota) in ENDPOINTS.items():
        cases |= {
            f"{name}: missing_header": Case(
                name, 401, headers={"Authorization": None}, answer=UNAUTHENTICATED
            ),
            f"{name}: auth_error": Case(
                name,
                401,
                headers={"Authorization": "Basic U0FOREJPWF9XT1JLU1BBQ0U6V1JPTkc="},
                answer=UNAUTHENTICATED,
            ),
            f"{name}: unsupported_media_type": Case(
                name, 415, headers={"Content-Type": "text/plain"}, answer=error("Unsupported Media Type")
            ),
            f"{name}: payload_exceeded": Case(name, 413, TOO_LONG, error("Payload too large")),
            f"{name}: malformed_json": Case(name, 400, b"{", error("Malformed JSON")),
            f"{name}: empty_request": Case(name, 400, b"", error("Empty request body")),
            f"{name}: invalid_payload": Case(name, 400, b"[]", error("Body type is not JSON")),
            f"{name}: account_blocked": Case(
                name,
                403,
                fault={"kind": "status", "status": 403, "type": "BlockedClient"},
                answer=error("BlockedClient"),
            ),
            f"{name}: account_suspended": Case(
                name, 403, fault={"kind": "status", "status": 403}, answer=error("Account Suspended")
            ),
            f"{name}: temp_suspended": Case(
                name,
                403,
                fault={"kind": "status", "status": 403, "type": "Account Temporarily Suspended"},
                answer=error("Account Temporarily Suspended"),
            ),
            f"{name}: appkey_mismatch": Case(
                name, 409, app_id="ANOTHER", answer=error("Authentication Mismatch")
            ),
        }
        if name != "delete":
            cases |= {
                f"{name}: invalid_workspaceid": Case(
                    name, 400, app_id="no%20id", answer=error("InvalidParams")
                ),
                f"{name}: rate_limit": Case(
                    name, 429, settings={f"{quota}_per_minute": 0}, answer=error("Rate Limit Exceeded")
                ),
                f"{name}: unknown_error": Case(
                    name,
                    500,
                    fault={"kind": "status", "status": 500, "type": "ServerError"},
                    answer=error("ServerError"),
                ),
            }
    return cases


TRACK = {
    "track: success_response": Case("track", 200, USER, ACCEPTED, whole=True),
    "track: User property as Array": Case(
        "track",
        200,
        user(
            {
                "removeValueFromArrayField": {},
                "addValueToArrayField": {"attribute1": ["abc", "def"], "attribute2": ["a"]},
                "platforms": [{"platform": "iOS", "active": "true"}],
            }
        ),
        ACCEPTED,
        whole=True,
    ),
    "track: Clear Attributes": Case(
        "track",
        200,
        {
            **without(USER, "attributes"),
            "unset_attributes": [
                {"type": "equals", "attr": "first_name", "case_sensitive": False},
                {"type": "prefix", "attr": "temp_"},
            ],
        },
        ACCEPTED,
        whole=True,
    ),
    "track: a bare user": Case("track", 200, without(USER, "attributes"), ACCEPTED, whole=True),
    "track: missing_customer_id": Case("track", 400, without(USER, "customer_id"), missing("customer_id")),
    "track: empty_customer_id": Case(
        "track",
        400,
        {**USER, "customer_id": ""},
        {**missing("customer_id"), "message": "customer_id can not be empty Unicode String"},
    ),
    "track: array_field_error": Case(
        "track",
        400,
        user(
            {
                "addValueToArrayField": {"first_name": ["a"]},
                "removeValueFromArrayField": {"first_name": ["b"]},
            }
        ),
        {
            **error("ArrayFieldError", "addValueToArrayField"),
            "message": "Cannot add and remove 'first_name' at the same time",
        },
    ),
    "track: set and add": Case(
        "track",
        400,
        user({"a": 1, "addValueToArrayField": {"a": ["a"]}}),
        error("ArrayFieldError", "addValueToArrayField"),
    ),
    "track: set and remove": Case(
        "track",
        400,
        user({"a": 1, "removeValueFromArrayField": {"a": ["a"]}}),
        error("ArrayFieldError", "removeValueFromArrayField"),
    ),
    "track: a value of another type": Case("track", 400, {**USER, "attributes": []}, missing("attributes")),
    "track: app_blacklisted": Case(
        "track",
        400,
        fault={"kind": "status", "status": 400, "type": "Blacklisted"},
        answer=error("Blacklisted"),
    ),
    "track: ip_validation": Case(
        "track",
        403,
        settings={"allowed_ips": ["198.51.100.7"]},
        answer={"error": "IP Validation Required", "message": ANY},
        whole=True,
    ),
}
GET = {
    "get: success_response": Case(
        "get",
        200,
        {
            "data": {
                "identifiers": [
                    {"identifier_type": "customer_id", "identifier": "john_doe"},
                    {"identifier_type": "id", "identifier": "62e79fb15ada55x123g987bu"},
                ],
                "user_fields_to_export": ["last_name", "customer_id", "name"],
            }
        },
        {"status": "success", "type": "export_users", "data": ANY},
        whole=True,
    ),
    "get: failure": Case(
        "get", 200, fault={"kind": "fail_200"}, answer={"status": "failure", "error": ANY}, whole=True
    ),
    "get: data_missing": Case(
        "get", 400, {}, {**missing("data"), "message": "data is not found in the payload"}
    ),
    "get: missing_identifiers": Case(
        "get",
        400,
        {"data": {}},
        {**missing("identifiers"), "message": "identifiers is not found in the payload"},
    ),
    "get: limit_exceeded": Case(
        "get",
        400,
        {"data": {"identifiers": EXPORT["data"]["identifiers"] * 21}},
        {**error("LimitBreached", "users"), "message": "max limit allowed is 20"},
    ),
    "get: not enabled": Case("get", 403, settings={"get_user": False}, answer=error("Forbidden")),
}
MERGES = {
    "merge: success_response": Case(
        "merge", 200, MERGE, {"status": "success", "operation": "created"}, whole=True
    ),
    "merge: missing_workspaceid": Case("merge", 400, app_id="?", answer=error("ParamsRequired")),
    "merge: invalid_datatype": Case(
        "merge", 400, {"merge_data": [{"merged_user": 5, "retained_user": "john"}]}, missing("merged_user")
    ),
    "merge: missing_contenttype": Case(
        "merge", 400, headers={"Content-Type": None}, answer=error("Missing header value")
    ),
    "merge: suspended_account": Case(
        "merge",
        400,
        fault={"kind": "status", "status": 400, "type": "Account Suspended", "message": "Account Suspended."},
        answer={**error("Account Suspended"), "message": "Account Suspended."},
    ),
    "merge: incorrect_header": Case("merge", 401, headers={"MOE-APPKEY": "ANOTHER"}, answer=UNAUTHENTICATED),
    "merge: missing_header": Case(
        "merge",
        401,
        headers={"MOE-APPKEY": None},
        settings={"require_app_key": True},
        answer={**UNAUTHENTICATED, "message": "MOE-APPKEY is missing in Header"},
    ),
    # ":KEY" and "SANDBOX_WORKSPACE:".
    "merge: missing_username": Case(
        "merge", 401, headers={"Authorization": "Basic OktFWQ=="}, answer=UNAUTHENTICATED
    ),
    "merge: missing_password": Case(
        "merge", 401, headers={"Authorization": "Basic U0FOREJPWF9XT1JLU1BBQ0U6"}, answer=UNAUTHENTICATED
    ),
    "merge: invalid_auth": Case("merge", 401, headers={"Authorization": "Bearer x"}, answer=UNAUTHENTICATED),
    "merge: missing_authdetails": Case("merge", 401, headers={"Authorization": ""}, answer=UNAUTHENTICATED),
    "merge: authorization_errors": Case(
        "merge",
        409,
        fault={"kind": "status", "status": 409, "type": "Authentication required."},
        answer=error("Authentication required."),
    ),
}
DELETES = {
    "delete: success_response": Case("delete", 200, DELETE, ACCEPTED, whole=True),
    "delete: bad_request": Case("delete", 400, {**DELETE, "identity_value": "nobody"}, error("Not Found")),
    "delete: appid_invalid": Case("delete", 403, app_id="no%20id", answer=error("InvalidParams")),
    "delete: rate_limit": Case(
        "delete",
        429,
        settings={"delete_users_per_minute": 0},
        answer={"status": "fail", "title": ANY, "description": ANY},
        whole=True,
    ),
    "delete: unknown_error": Case(
        "delete",
        500,
        fault={"kind": "status", "status": 500},
        answer={"status": "fail", "title": ANY, "description": ANY},
        whole=True,
    ),
}
EVENTS = {
    "event: success_response": Case(
        "event",
        200,
        {
            **EVENT,
            "actions": [
                {
                    "action": "ProductAdded",
                    "attributes": {"product": "Accessories", "color": "Black"},
                    "platform": "Android",
                    "app_version": "1.2.3",
                    "user_time": "1708939453396",
                    "current_time": "1708939453396",
                }
            ],
        },
        ACCEPTED,
        whole=True,
    ),
    "event: User Identity Resolution": Case(
        "event",
        200,
        {**without(EVENT, "customer_id"), "user_identifiers": {"moe_mobile": "919876500000"}},
        ACCEPTED,
        whole=True,
        settings={"identifiers": ["moe_mobile"]},
    ),
    "event: missing_actions": Case(
        "event",
        400,
        {**EVENT, "actions": []},
        {**missing("actions"), "message": "actions can not be empty Array"},
    ),
    "event: missing_customer_id": Case("event", 400, without(EVENT, "customer_id"), missing("customer_id")),
    "event: empty_customer_id": Case("event", 400, {**EVENT, "customer_id": ""}, missing("customer_id")),
    "event: missing_actionkey": Case(
        "event",
        400,
        {**EVENT, "actions": [{"attributes": {}}]},
        {**missing("action"), "message": "action is not found in the payload"},
    ),
    "event: incorrect_action": Case("event", 400, {**EVENT, "actions": [{"action": {}}]}, missing("action")),
}
DEVICES = {
    "device: success_response": Case("device", 200, DEVICE, ACCEPTED, whole=True),
    "device: missing_customerid": Case("device", 400, without(DEVICE, "customer_id"), missing("customer_id")),
    "device: missing_deviceid": Case("device", 400, without(DEVICE, "device_id"), missing("device_id")),
    "device: empty device_id": Case("device", 400, {**DEVICE, "device_id": ""}, missing("device_id")),
    "device: missing_attributes": Case("device", 400, without(DEVICE, "attributes"), missing("attributes")),
    "device: invalid_platform": Case(
        "device",
        400,
        {**DEVICE, "attributes": {"platform": "Windows", "push_id": "p"}},
        {**error("ValueError", "platform"), "message": "'platform' is not a valid platform."},
    ),
    "device: missing_pushid": Case(
        "device", 400, {**DEVICE, "attributes": {"platform": "ANDROID"}}, missing("push_id")
    ),
    "device: missing_platform": Case(
        "device", 400, {**DEVICE, "attributes": {"push_id": "p"}}, missing("platform")
    ),
}
OPT_OUTS = {
    "opt_out: success_response": Case("opt_out", 200, OPT_OUT, ACCEPTED, whole=True),
    "opt_out: by email": Case(
        "opt_out",
        200,
        {**OPT_OUT, "user_identifier_type": "email", "user_identifier_value": "j@x.io"},
        ACCEPTED,
        whole=True,
    ),
    **{
        f"opt_out: missing {name}": Case("opt_out", 400, without(OPT_OUT, name), missing(name))
        for name in ("user_identifier_value", "user_identifier_type", "action_type")
    },
    "opt_out: missing_deviceid": Case(
        "opt_out", 400, {**OPT_OUT, "device_identifiers": []}, missing("device_identifiers")
    ),
    "opt_out: invalid_deviceid": Case(
        "opt_out",
        400,
        {**OPT_OUT, "device_identifiers": [{"imei": "1"}]},
        error("ValueError", "device_identifiers"),
    ),
}
CONNECTIONS = {
    "connection: success": Case(
        "connection", 200, CONNECTION, {"status": "success", "app_name": WORKSPACE}, whole=True
    ),
    "connection: wrong secret": Case("connection", 401, {**CONNECTION, "app_secret": "NO"}, UNAUTHENTICATED),
    "connection: wrong header": Case(
        "connection", 401, CONNECTION, UNAUTHENTICATED, headers={"Authorization": "Basic Tk86Tk8="}
    ),
    "connection: no header": Case(
        "connection", 401, CONNECTION, UNAUTHENTICATED, headers={"Authorization": None}
    ),
}
BULKS = {
    f"{name}: {example}": Case(name, status, body, answer, whole=status == 200)
    for name in ("bulk", "bulk_by_query")
    for example, status, body, answer in (
        ("success_response", 200, BULK, ACCEPTED),
        ("empty_elements", 400, {"type": "transition", "elements": []}, missing("elements")),
        (
            "invalid_type",
            400,
            {"type": "transition", "elements": [{**USER, "type": "user"}]},
            {
                **error("AttributeError", "type"),
                "message": "type in elements should be customer/event/device",
            },
        ),
        (
            "missing_customerid",
            400,
            {"type": "transition", "elements": [without(USER, "customer_id")]},
            {**missing("customer_id"), "message": "customer_id not found in the payload"},
        ),
        (
            "empty_customer_id",
            400,
            {"type": "transition", "elements": [{**USER, "customer_id": ""}]},
            missing("customer_id"),
        ),
        (
            "empty_action",
            400,
            {"type": "transition", "elements": [{**EVENT, "actions": [{"action": ""}]}]},
            {**missing("action"), "message": "action cannot be empty Unicode string"},
        ),
    )
}
CASES = {
    **everywhere(),
    **TRACK,
    **GET,
    **MERGES,
    **DELETES,
    **EVENTS,
    **DEVICES,
    **OPT_OUTS,
    **CONNECTIONS,
    **BULKS,
}


def provoke(api: Api, case: Case) -> requests.Response:
    api.track()
    if case.settings:
        api.sandbox.settings(**case.settings)
    if case.fault is not None:
        api.sandbox.fault(**case.fault)
    path, right, _ = {**ENDPOINTS, "connection": TEST_CONNECTION}[case.endpoint]
    # Without an app_id at all, or with this one where it belongs.
    path = path.partition("?")[0] if case.app_id == "?" else path.format(case.app_id)
    return api.post(path, right if case.body is None else case.body, **case.headers)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_documented_answer_comes(api: Api, case: Case) -> None:
    response = provoke(api, case)
    assert response.status_code == case.status
    body = response.json()
    if case.whole:
        body.pop("request_id", None)
        assert {
            name: ANY if case.answer.get(name) is ANY else value for name, value in body.items()
        } == case.answer
        return
    assert set(body) == {"status", "error"}
    assert body["status"] == "fail"
    assert {"message", "type", "request_id"} <= set(body["error"])
    assert {name: body["error"].get(name) for name in case.answer} == case.answer
