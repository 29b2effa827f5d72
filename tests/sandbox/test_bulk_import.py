from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of


def user(customer_id: Any = "john", **attributes: Any) -> dict[str, Any]:
    return {"type": "customer", "customer_id": customer_id, "attributes": attributes}


def event(*actions: str, customer_id: Any = "john") -> dict[str, Any]:
    return {"type": "event", "customer_id": customer_id, "actions": [{"action": a} for a in actions]}


def device(customer_id: Any = "john", device_id: str = "phone") -> dict[str, Any]:
    attributes = {"platform": "iOS", "push_id": "p"}
    return {"type": "device", "customer_id": customer_id, "device_id": device_id, "attributes": attributes}


BAD = [
    pytest.param("text", "elements is expected to be array of objects", id="no-object"),
    pytest.param({}, "type in elements should be customer/event/device", id="no-type"),
    pytest.param(
        {**user(), "type": "Customer"},
        "type in elements should be customer/event/device",
        id="type-in-capitals",
    ),
    pytest.param(
        {**user(), "type": ["customer"]},
        "type in elements should be customer/event/device",
        id="type-is-a-list",
    ),
    pytest.param(
        {"type": "customer", "attributes": {}}, "customer_id not found in the payload", id="no-customer-id"
    ),
    pytest.param(user(""), "customer_id can not be empty Unicode String", id="customer-id-is-empty"),
    pytest.param(user(5), "customer_id is expected to be string", id="customer-id-is-a-number"),
    pytest.param({**user(), "attributes": None}, "attributes is expected to be object", id="attributes"),
    pytest.param(event(""), "action cannot be empty Unicode string", id="empty-action"),
    pytest.param(event(), "actions can not be empty Array", id="no-actions"),
    pytest.param({**device(), "attributes": {}}, "platform is not found in the payload", id="no-platform"),
    pytest.param(
        user(tags=["a"], addValueToArrayField={"tags": ["b"]}),
        "Cannot set 'tags' and use addValueToArrayField on it at the same time",
        id="array-clash",
    ),
]


def test_users_events_and_devices_are_stored_in_their_order(api: Api) -> None:
    response = api.bulk(event("before"), user("jane", plan="gold"), device("jane"), event("a", "b"))
    assert response.status_code == 200
    assert response.json()["status"] == "success"
    assert api.stored("jane") == {"plan": "gold"}
    assert [item["action"] for item in api.sandbox.events("john")] == ["before", "a", "b"]
    assert [item["customer_id"] for item in api.sandbox.devices()] == ["jane"]
    assert api.sandbox.bent() == []


def test_the_app_id_can_stand_in_the_query(api: Api) -> None:
    path = f"/v1/transition?app_id={api.sandbox.workspace_id}"
    response = api.post(path, {"type": "transition", "elements": [user(plan="gold"), event("a")]})
    assert response.status_code == 200
    assert response.headers["x-ratelimit-remaining"] == "9999"
    assert api.stored() == {"plan": "gold"}
    assert len(api.sandbox.events()) == 1
    assert (api.window("bulk_users")["used_total"], api.window("bulk_events")["used_total"]) == (1, 1)
    assert api.post("/v1/transition?app_id=OTHER", {}).status_code == 409
    assert error_of(api.post("/v1/transition?app_id=", {}))["type"] == "InvalidParams"
    assert error_of(api.post("/v1/transition", {}))["type"] == "ParamsRequired"
    assert api.post(path, b" " * 100_001).status_code == 413
    assert error_of(api.post(path, {"type": "transition", "elements": []}))["attribute"] == "elements"


def test_a_device_before_its_customer_is_not_stored(api: Api) -> None:
    api.bulk(device(), user())
    assert api.sandbox.devices() == []
    assert len(api.sandbox.bent()) == 1


def test_elements_take_everything_that_the_endpoints_take(api: Api) -> None:
    api.track({"old": 1})
    unset = [{"type": "equals", "attr": "old"}]
    api.bulk({**user(new=2), "unset_attributes": unset}, {**user("jane"), "update_existing_only": True})
    assert list(api.sandbox.users()) == ["john"]
    assert api.stored() == {"new": 2}


@pytest.mark.parametrize(("element", "message"), BAD)
def test_strict_refuses_a_call_with_a_bad_element_and_stores_nothing(
    api: Api, element: Any, message: str
) -> None:
    response = api.bulk(user("jane"), element, event("a", customer_id="jim"))
    assert response.status_code == 400
    assert error_of(response)["message"] == message
    assert api.sandbox.users() == {}
    assert api.sandbox.bent() == []


@pytest.mark.parametrize(("element", "message"), BAD)
def test_lenient_answers_200_and_drops_the_bad_element(api: Api, element: Any, message: str) -> None:
    api.sandbox.settings(bulk_strict=False)
    response = api.bulk(user("jane"), element, event("a", customer_id="jim"))
    assert response.status_code == 200
    assert response.json()["status"] == "success"
    assert list(api.sandbox.users()) == ["jane", "jim"]
    assert [bent["what"] for bent in api.sandbox.bent()] == [f"element dropped: {message}"]


@pytest.mark.parametrize(
    ("body", "type_", "message"),
    [
        ({"elements": [user()]}, "MissingAttributeError", "type is expected to be transition"),
        (
            {"type": "Transition", "elements": [user()]},
            "MissingAttributeError",
            "type is expected to be transition",
        ),
        ({"type": "transition"}, "MissingAttributeError", "elements is expected to be array"),
        ({"type": "transition", "elements": {}}, "MissingAttributeError", "elements is expected to be array"),
        ({"type": "transition", "elements": []}, "MissingAttributeError", "elements cannot be empty array"),
        (b"{", "Malformed JSON", "The request body is not valid JSON"),
        (b"", "Empty request body", "The request body is empty"),
        (b"[]", "Body type is not JSON", "The request body is expected to be a JSON object"),
    ],
)
def test_a_call_that_is_wrong_as_a_whole_is_a_400_only_where_bulk_is_strict(
    api: Api, body: Any, type_: str, message: str
) -> None:
    response = api.post(api.bulk_path, body)
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["message"]) == (type_, message)
    api.sandbox.settings(bulk_strict=False)
    assert api.post(api.bulk_path, body).status_code == 200
    assert api.sandbox.users() == {}
    [bent] = api.sandbox.bent()
    assert bent["what"].startswith("call dropped: ")


def test_lenient_still_asks_who_calls_and_how_long_the_body_is(api: Api) -> None:
    api.sandbox.settings(bulk_strict=False)
    assert api.post(api.bulk_path, {}, Authorization=None).status_code == 401
    assert api.post("/v1/transition/OTHER", {}).status_code == 409
    assert api.post(api.bulk_path, {}, Content_Type="text/plain").status_code == 415
    assert api.post(api.bulk_path, b" " * 100_001).status_code == 413


def test_a_body_of_100_000_bytes_is_taken_and_one_byte_more_is_a_413(api: Api) -> None:
    body = b'{"type":"transition","elements":[{"type":"customer","customer_id":"john","attributes":{}}]}'
    assert api.post(api.bulk_path, body.ljust(100_000)).status_code == 200
    response = api.post(api.bulk_path, body.ljust(100_001))
    assert response.status_code == 413
    assert error_of(response)["type"] == "Payload too large"
    assert api.sandbox.users()["john"]["updates"] == 1
    api.sandbox.settings(max_bulk_bytes=200_000)
    assert api.post(api.bulk_path, body.ljust(200_000)).status_code == 200


def test_each_kind_costs_in_a_window_of_its_own(api: Api) -> None:
    api.bulk(user("jane"), user("jim"), event("a", "b", "c"), event("d"), device("jane"))
    assert {quota: api.window(quota)["used_total"] for quota in ("users", "events", "devices")} == {
        "users": 0,
        "events": 0,
        "devices": 0,
    }
    assert api.window("bulk_users")["used_total"] == 2
    assert api.window("bulk_events")["used_total"] == 4
    assert api.window("bulk_devices")["used_total"] == 1


def test_a_call_that_does_not_fit_in_one_window_costs_nothing_in_any(api: Api) -> None:
    api.sandbox.settings(bulk_events_per_minute=2)
    response = api.bulk(user("jane"), event("a", "b", "c"), device("jane"))
    assert response.status_code == 429
    assert error_of(response)["type"] == "Rate Limit Exceeded"
    assert api.sandbox.users() == {}
    for quota, rejected in (("bulk_users", 0), ("bulk_events", 1), ("bulk_devices", 0)):
        window = api.window(quota)
        assert (window["used_total"], window["rejected_429"]) == (0, rejected)
    assert api.bulk(user("jane"), event("a", "b")).status_code == 200


def test_a_refused_call_has_cost_its_units(api: Api) -> None:
    api.bulk(user("jane"), event(""))
    assert (api.window("bulk_users")["used_total"], api.window("bulk_events")["used_total"]) == (1, 1)


def test_the_headers_are_of_the_window_with_the_smallest_share_left(api: Api) -> None:
    api.sandbox.settings(bulk_users_per_minute=10, bulk_events_per_minute=100, bulk_devices_per_minute=1_000)
    both = api.bulk(user("jane"), event("a", "b")).headers
    assert (both["x-ratelimit-limit"], both["x-ratelimit-remaining"]) == ("10; w=60", "9")
    events = api.bulk(event("c")).headers
    assert (events["x-ratelimit-limit"], events["x-ratelimit-remaining"]) == ("100; w=60", "97")
    mostly_events = api.bulk(user("jane"), event(*["d"] * 90)).headers
    assert (mostly_events["x-ratelimit-limit"], mostly_events["x-ratelimit-remaining"]) == ("100; w=60", "7")
    refused = api.bulk(user("jane"), event(*["e"] * 8))
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining"] == "7"


def test_a_call_without_a_known_element_tells_the_fullest_window_and_costs_nothing(api: Api) -> None:
    api.sandbox.settings(bulk_users_per_minute=10)
    api.bulk(user())
    response = api.bulk()
    assert response.status_code == 400
    assert response.headers["x-ratelimit-remaining"] == "9"
