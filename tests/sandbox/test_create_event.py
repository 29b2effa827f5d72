from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Api, error_of

BOOKED = {
    "action": "Flight Booked",
    "attributes": {"price": 3999, "departure_date": "2019-05-21T03:47:35Z", "premium_seat": True},
    "platform": "iOS",
    "app_version": "1.2.3",
    "current_time": 1433837969,
    "user_timezone_offset": 19800,
}


def test_an_accepted_event_is_answered_as_documented(api: Api) -> None:
    response = api.event(BOOKED)
    assert response.status_code == 200
    answer = response.json()
    assert answer.pop("request_id")
    assert answer == {
        "status": "success",
        "message": "Your request has been accepted and will be processed soon.",
    }


def test_the_documented_sample_is_stored_as_it_is(api: Api) -> None:
    api.track(customer_id="john@example.com")
    request_id = api.event(BOOKED, customer_id="john@example.com", device_id="96bd03b6").json()["request_id"]
    [event] = api.sandbox.events()
    assert event == {
        "number": 1,
        "customer_id": "john@example.com",
        "user_id": api.sandbox.users()["john@example.com"]["id"],
        "action": "Flight Booked",
        "attributes": BOOKED["attributes"],
        "time": "2015-06-09T08:19:29Z",
        "user_timezone_offset": 19800,
        "platform": "iOS",
        "moe_os_type": None,
        "app_version": "1.2.3",
        "device_id": "96bd03b6",
        "request_id": request_id,
    }
    assert api.sandbox.bent() == []


def test_an_unknown_customer_becomes_a_user(api: Api) -> None:
    assert api.event("Signed Up", customer_id="jane").status_code == 200
    user = api.sandbox.users()["jane"]
    assert (user["attributes"], user["updates"]) == ({}, 0)


def test_a_repeated_event_is_a_duplicate_with_a_number_of_its_own(api: Api) -> None:
    for _ in range(2):
        api.event(BOOKED)
    assert [(event["number"], event["action"]) for event in api.sandbox.events()] == [
        (1, "Flight Booked"),
        (2, "Flight Booked"),
    ]


def test_events_are_kept_in_the_order_of_their_storing_for_each_customer(api: Api) -> None:
    api.event("a", "b", customer_id="john")
    api.event("c", customer_id="jane")
    api.event("d", customer_id="john")
    assert [event["action"] for event in api.sandbox.events()] == ["a", "b", "c", "d"]
    assert [event["action"] for event in api.sandbox.events("john")] == ["a", "b", "d"]
    assert [event["number"] for event in api.sandbox.events("john")] == [1, 2, 4]
    assert api.sandbox.events("nobody") == []


def test_a_call_of_which_no_event_is_stored_creates_nobody(api: Api) -> None:
    api.event("moe_mine")
    assert api.sandbox.users() == {}


def test_the_system_prefix_is_for_neither_events_nor_their_attributes(api: Api) -> None:
    assert api.event("moe_mine", {"action": "a", "attributes": {"moe_x": 1, "y": 2}}).status_code == 200
    assert [(event["action"], event["attributes"]) for event in api.sandbox.events()] == [("a", {"y": 2})]
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["moe_mine", "moe_x"]


def test_an_event_has_a_hundred_attributes_and_no_more(api: Api) -> None:
    api.event({"action": "a", "attributes": {f"n{n}": n for n in range(101)}})
    assert len(api.sandbox.events()[0]["attributes"]) == 100
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["n100"]


def test_long_names_and_values_are_cut(api: Api) -> None:
    api.event({"action": "a" * 201, "attributes": {"n" * 201: "v" * 513, "fits": "v" * 512}})
    [event] = api.sandbox.events()
    assert event["action"] == "a" * 200
    assert event["attributes"] == {"n" * 200: "v" * 512, "fits": "v" * 512}
    assert len(api.sandbox.bent()) == 3


@pytest.mark.parametrize(
    ("value", "stored"),
    [({"a": 1}, {}), ([1, "a"], {}), (None, {}), ("2024-02-30", {"x": "2024-02-30"}), ([None], {})],
)
def test_attribute_values_follow_the_rules_of_user_attributes(api: Api, value: Any, stored: Any) -> None:
    api.event({"action": "a", "attributes": {"x": value}})
    assert api.sandbox.events()[0]["attributes"] == stored
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["x"]


@pytest.mark.parametrize("platform", ["ANDROID", "iOS", "web", "TV", "unknown"])
def test_a_documented_platform_is_taken(api: Api, platform: str) -> None:
    api.event({"action": "a", "platform": platform})
    assert api.sandbox.events()[0]["platform"] == platform
    assert api.sandbox.bent() == []


def test_the_spelling_of_a_sample_is_taken_and_told(api: Api) -> None:
    api.event({"action": "a", "platform": "Android"})
    assert api.sandbox.events()[0]["platform"] == "ANDROID"
    assert [(bent["attribute"], bent["what"]) for bent in api.sandbox.bent()] == [
        ("platform", "taken as ANDROID, which is how the platform is listed")
    ]


@pytest.mark.parametrize("platform", ["android", "ios", "Windows", ""])
def test_another_platform_is_unknown(api: Api, platform: str) -> None:
    api.event({"action": "a", "platform": platform})
    assert api.sandbox.events()[0]["platform"] == "unknown"
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["platform"]


@pytest.mark.parametrize(
    ("platform", "system", "stored"),
    [("TV", "Xbox", "Xbox"), ("TV", "xbox", None), ("iOS", "tvOS", None), (None, "tvOS", None)],
)
def test_the_system_of_a_tv_goes_with_a_tv_only(
    api: Api, platform: str | None, system: str, stored: str | None
) -> None:
    action = {"action": "a", "moe_os_type": system, **({"platform": platform} if platform else {})}
    api.event(action)
    assert api.sandbox.events()[0]["moe_os_type"] == stored
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ([] if stored else ["moe_os_type"])


@pytest.mark.parametrize(
    ("offset", "stored"), [(54000, 54000), (-54000, -54000), (54001, None), ("19800", None), (True, None)]
)
def test_an_offset_out_of_range_is_ignored(api: Api, offset: Any, stored: int | None) -> None:
    api.event({"action": "a", "user_time": 1433837969, "user_timezone_offset": offset})
    [event] = api.sandbox.events()
    assert event["user_timezone_offset"] == stored
    assert len(api.sandbox.bent()) == (0 if stored else 1)


@pytest.mark.parametrize("where", ["alone", "in bulk", "by an identifier"])
def test_update_existing_only_stores_events_of_known_users_alone(api: Api, where: str) -> None:
    of = {"customer_id": "john"}
    if where == "by an identifier":
        api.sandbox.settings(identifiers=["moe_mobile"])
        of = {"user_identifiers": {"moe_mobile": "123"}}
    event = {"type": "event", **of, "update_existing_only": True, "actions": [{"action": "a"}]}

    def send() -> int:
        response = api.bulk(event) if where == "in bulk" else api.post(api.event_path, event)
        return response.status_code

    assert send() == 200
    assert (api.sandbox.users(), api.sandbox.events()) == ({}, [])
    api.track({"moe_mobile": "123"})
    assert send() == 200
    assert [event["customer_id"] for event in api.sandbox.events()] == ["john"]
    assert api.sandbox.bent() == []


def test_update_existing_only_is_said_of_no_one(api: Api) -> None:
    assert api.event("a", update_existing_only=False).status_code == 200
    assert list(api.sandbox.users()) == ["john"]
    assert api.sandbox.bent() == []


@pytest.mark.parametrize("fields", [{"type": "Event"}, {"customer_id": "null"}, {"customer_id": " "}])
def test_another_type_or_a_blocked_customer_id_is_not_processed(api: Api, fields: dict[str, Any]) -> None:
    assert api.event("a", **fields).status_code == 200
    assert api.sandbox.events() == []
    assert api.sandbox.users() == {}
    assert len(api.sandbox.bent()) == 1


def test_a_field_of_no_meaning_is_ignored(api: Api) -> None:
    api.event({"action": "a", "color": "red"}, points=5, user_identifiers={"moe_mobile": "1"})
    assert len(api.sandbox.events()) == 1
    assert {bent["attribute"] for bent in api.sandbox.bent()} == {"color", "points", "user_identifiers"}


@pytest.mark.parametrize(
    ("body", "attribute", "message"),
    [
        ({"customer_id": "john", "actions": [{"action": "a"}]}, "type", "type is not found in the payload"),
        (
            {"type": "event", "actions": [{"action": "a"}]},
            "customer_id",
            "customer_id is not found in the payload",
        ),
        (
            {"type": "event", "customer_id": 5, "actions": [{"action": "a"}]},
            "customer_id",
            "customer_id is expected to be string",
        ),
        ({"type": "event", "customer_id": "john"}, "actions", "actions is not found in the payload"),
        (
            {"type": "event", "customer_id": "john", "actions": {}},
            "actions",
            "actions is expected to be array",
        ),
        (
            {"type": "event", "customer_id": "john", "actions": []},
            "actions",
            "actions can not be empty Array",
        ),
        (
            {"type": "event", "customer_id": "john", "actions": ["a"]},
            "actions",
            "actions is expected to be array of objects",
        ),
        (
            {"type": "event", "customer_id": "john", "device_id": 5, "actions": [{"action": "a"}]},
            "device_id",
            "device_id is expected to be string",
        ),
        (
            {"type": "event", "customer_id": "john", "user_identifiers": [], "actions": [{"action": "a"}]},
            "user_identifiers",
            "user_identifiers is expected to be object",
        ),
        (
            {"type": "event", "customer_id": "", "actions": [{"action": "a"}]},
            "customer_id",
            "customer_id can not be empty Unicode String",
        ),
        (
            {"type": "event", "customer_id": "john", "device_id": " ", "actions": [{"action": "a"}]},
            "device_id",
            "device_id can not be empty Unicode String",
        ),
        (
            {"type": "event", "customer_id": "john", "update_existing_only": 1, "actions": [{"action": "a"}]},
            "update_existing_only",
            "update_existing_only is expected to be boolean",
        ),
    ],
)
def test_an_object_that_is_wrong_is_a_documented_400(
    api: Api, body: dict[str, Any], attribute: str, message: str
) -> None:
    response = api.post(api.event_path, body)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["attribute"]) == ("MissingAttributeError", attribute)
    assert error["message"] == message
    assert api.sandbox.users() == {}


@pytest.mark.parametrize(
    ("action", "attribute", "message"),
    [
        ({}, "action", "action is not found in the payload"),
        ({"action": 5}, "action", "action is expected to be string"),
        ({"action": ""}, "action", "action cannot be empty Unicode string"),
        ({"action": " "}, "action", "action cannot be empty Unicode string"),
        ({"action": "a", "attributes": []}, "attributes", "attributes is expected to be object"),
        ({"action": "a", "platform": 5}, "platform", "platform is expected to be string"),
        ({"action": "a", "app_version": 1.2}, "app_version", "app_version is expected to be string"),
    ],
)
def test_one_action_that_is_wrong_refuses_the_whole_call(
    api: Api, action: dict[str, Any], attribute: str, message: str
) -> None:
    response = api.event("good", action)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["attribute"], error["message"]) == (attribute, message)
    assert api.sandbox.events() == []


def test_events_of_an_unanswered_call_are_stored_again_when_it_is_repeated(
    api: Api,
) -> None:
    api.sandbox.fault(kind="drop_after", times=1)
    with pytest.raises(requests.ConnectionError):
        api.event("a", "b")
    api.event("a", "b")
    assert [(event["number"], event["action"]) for event in api.sandbox.events()] == [
        (1, "a"),
        (2, "b"),
        (3, "a"),
        (4, "b"),
    ]


def test_seventy_thousand_events_are_taken_and_read_back_in_order(api: Api) -> None:
    api.sandbox.settings(events_per_minute=100_000)
    actions = [{"action": "Ordered", "attributes": {"n": n}} for n in range(700)]
    for n in range(100):
        api.event(*actions, customer_id=f"user{n}")
    numbers = [event["number"] for event in api.sandbox.events()]
    assert numbers == list(range(1, 70_001))
    assert [event["attributes"]["n"] for event in api.sandbox.events("user99")] == list(range(700))
    assert api.sandbox.state()["events"] == 70_000
