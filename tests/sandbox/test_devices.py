"""Track Device and Device opt-out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of


@pytest.fixture
def john(api: Api) -> Api:
    api.track()
    return api


def blocked(api: Api) -> dict[str, bool]:
    return {device["device_id"]: device["blocked"] for device in api.sandbox.devices()}


def test_the_documented_sample_is_stored_as_it_is(john: Api) -> None:
    attributes = {
        "platform": "ANDROID",
        "push_id": "p1",
        "model": "Pixel",
        "moe_push_opted": "True",
        "moe_push_provisional_opted": "True",
        "app_version": "1.2.3",
        "os_version": "14",
        "moe_gaid": "g",
        "idfv": "i",
    }
    assert john.device(attributes).json()["status"] == "success"
    [device] = john.sandbox.devices()
    assert device.pop("user_id") == john.sandbox.users()["john"]["id"]
    assert device == {
        "customer_id": "john",
        "device_id": "phone",
        "attributes": attributes,
        "blocked": False,
        "updates": 1,
    }
    assert john.sandbox.bent() == []


def test_an_update_merges_into_the_device_that_is_there(john: Api) -> None:
    john.device({"model": "Pixel"})
    john.device({"push_id": "new"})
    [device] = john.sandbox.devices()
    assert device["attributes"] == {"platform": "iOS", "push_id": "new", "model": "Pixel"}
    assert device["updates"] == 2


def test_devices_are_listed_of_all_and_of_one_customer(john: Api) -> None:
    john.track(customer_id="jane")
    john.device()
    john.device(customer_id="jane")
    assert [device["customer_id"] for device in john.sandbox.devices()] == ["john", "jane"]
    assert [device["customer_id"] for device in john.sandbox.devices("jane")] == ["jane"]
    assert john.sandbox.devices("nobody") == []


def test_a_device_of_an_unknown_customer_is_not_stored(api: Api) -> None:
    assert api.device().status_code == 200
    assert api.sandbox.devices() == []
    assert api.sandbox.users() == {}
    assert [bent["what"] for bent in api.sandbox.bent()] == ["device not stored: there is no such customer"]


def test_the_spelling_of_a_sample_is_taken_and_told(john: Api) -> None:
    assert john.device({"platform": "Android"}).status_code == 200
    assert john.sandbox.devices()[0]["attributes"]["platform"] == "ANDROID"
    assert [bent["attribute"] for bent in john.sandbox.bent()] == ["platform"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("color", "red"), ("model", 5), ("moe_push_opted", "true"), ("app_version", None)),
        ("moe_push_provisional_opted", True),
    ],
)
def test_an_attribute_that_a_device_does_not_have_is_dropped(john: Api, name: str, value: Any) -> None:
    assert john.device({name: value}).status_code == 200
    assert john.sandbox.devices()[0]["attributes"] == {"platform": "iOS", "push_id": "push-phone"}
    assert [bent["attribute"] for bent in john.sandbox.bent()] == [name]


def test_another_type_and_another_field_are_ignored(john: Api) -> None:
    assert john.device(type="Device").status_code == 200
    assert john.sandbox.devices() == []
    john.device(color="red")
    assert len(john.sandbox.devices()) == 1
    assert [bent["attribute"] for bent in john.sandbox.bent()] == [None, "color"]


def test_a_customer_has_a_thousand_devices_and_no_more(john: Api) -> None:
    def elements(first: int, last: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "device",
                "customer_id": "john",
                "device_id": str(n),
                "attributes": {"platform": "web", "push_id": "p"},
            }
            for n in range(first, last)
        ]

    for first in range(0, 1000, 500):
        assert john.bulk(*elements(first, first + 500)).status_code == 200
    john.device(device_id="999")
    assert john.sandbox.bent() == []
    assert john.device(device_id="1000").status_code == 200
    assert john.sandbox.state()["devices"] == 1000
    assert [bent["what"] for bent in john.sandbox.bent()] == [
        "device not stored: the customer has 1000 devices already"
    ]


@pytest.mark.parametrize(
    ("changes", "type_", "message"),
    [
        ({"type": None}, "MissingAttributeError", "type is expected to be string"),
        ({"customer_id": 5}, "MissingAttributeError", "customer_id is expected to be string"),
        ({"customer_id": ""}, "MissingAttributeError", "customer_id can not be empty Unicode String"),
        ({"device_id": ""}, "MissingAttributeError", "device_id can not be empty Unicode String"),
        ({"device_id": " \t"}, "MissingAttributeError", "device_id can not be empty Unicode String"),
        ({"device_id": 5}, "MissingAttributeError", "device_id is expected to be string"),
        ({"attributes": []}, "MissingAttributeError", "attributes is expected to be object"),
        ({"attributes": {}}, "MissingAttributeError", "platform is not found in the payload"),
        ({"attributes": {"platform": "iOS"}}, "MissingAttributeError", "push_id is not found in the payload"),
        (
            {"attributes": {"platform": "ios", "push_id": "p"}},
            "ValueError",
            "'platform' is not a valid platform.",
        ),
    ],
)
def test_a_device_that_is_wrong_is_a_documented_400(
    john: Api, changes: dict[str, Any], type_: str, message: str
) -> None:
    whole = {"platform": "web", "push_id": "p"}
    body = {"type": "device", "customer_id": "john", "device_id": "phone", "attributes": whole}
    response = john.post(john.device_path, {**body, **changes})
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["message"]) == (type_, message)
    assert john.sandbox.state()["devices"] == 0


@pytest.mark.parametrize("missing", ["type", "customer_id", "device_id", "attributes"])
def test_a_missing_field_is_a_400(john: Api, missing: str) -> None:
    body = {
        "type": "device",
        "customer_id": "john",
        "device_id": "phone",
        "attributes": {"platform": "web", "push_id": "p"},
    }
    del body[missing]
    response = john.post(john.device_path, body)
    assert response.status_code == 400
    assert error_of(response)["message"] == f"{missing} is not found in the payload"


def test_all_devices_of_a_user_are_blocked_and_unblocked(john: Api) -> None:
    john.track(customer_id="jane")
    john.device(device_id="phone")
    john.device(device_id="tablet")
    john.device(device_id="watch", customer_id="jane")
    assert john.opt_out("block", reason="stolen", client_reference_id="r1").status_code == 200
    assert blocked(john) == {"phone": True, "tablet": True, "watch": False}
    john.opt_out("unblock")
    assert set(blocked(john).values()) == {False}
    assert john.sandbox.bent() == []


@pytest.mark.parametrize(
    "named",
    [
        {"unique_id": "phone"},
        {"device_unique_id": "phone"},
        {"push_id": "push-phone"},
        {"moe_gaid": "g"},
        {"device_unique_id": "phone", "push_id": "push-phone"},
    ],
)
def test_only_the_devices_that_are_named_are_blocked(john: Api, named: dict[str, str]) -> None:
    john.device({"moe_gaid": "g"}, device_id="phone")
    john.device(device_id="tablet")
    john.opt_out("block", device_identifiers=[named])
    assert blocked(john) == {"phone": True, "tablet": False}


def test_a_user_is_named_by_the_moengage_id_too(john: Api) -> None:
    john.device()
    id_ = john.sandbox.users()["john"]["id"]
    john.opt_out("block", user_identifier_type="moengage_id", user_identifier_value=id_)
    assert blocked(john) == {"phone": True}


@pytest.mark.parametrize(("kind", "value"), [("email", "j@x.io"), ("u_mb", "123"), ("anything", "else")])
def test_a_user_is_named_by_any_attribute(john: Api, kind: str, value: str) -> None:
    john.track({kind: value})
    john.track({kind: "another"}, customer_id="jane")
    john.device()
    john.device(customer_id="jane", device_id="tablet")
    assert john.opt_out(user_identifier_type=kind, user_identifier_value=value).status_code == 200
    assert blocked(john) == {"phone": True, "tablet": False}
    assert john.sandbox.bent() == []


def test_all_users_who_share_an_address_are_named_by_it(john: Api) -> None:
    for customer_id in ("john", "jane"):
        john.track({"email": "family@x.io"}, customer_id=customer_id)
        john.device(customer_id=customer_id, device_id=customer_id)
    john.opt_out(user_identifier_type="email", user_identifier_value="family@x.io")
    assert blocked(john) == {"john": True, "jane": True}


def test_an_address_of_nobody_is_accepted_without_a_word(john: Api) -> None:
    john.device()
    assert john.opt_out(user_identifier_type="email", user_identifier_value="j@x.io").status_code == 200
    assert blocked(john) == {"phone": False}
    assert [bent["what"] for bent in john.sandbox.bent()] == ["nothing to block: there is no such user"]


def test_an_unknown_user_or_device_is_accepted_without_a_word(john: Api) -> None:
    assert john.opt_out(customer_id="nobody").status_code == 200
    assert john.opt_out(device_identifiers=[{"push_id": "nothing"}]).status_code == 200
    assert [bent["what"] for bent in john.sandbox.bent()] == [
        "nothing to block: there is no such user",
        "nothing to block: there is no such device",
    ]


@pytest.mark.parametrize("missing", ["user_identifier_type", "user_identifier_value", "action_type"])
def test_a_missing_field_of_an_opt_out_is_a_400(john: Api, missing: str) -> None:
    body = {
        "user_identifier_type": "customer_id",
        "user_identifier_value": "john",
        "action_type": "block",
    }
    del body[missing]
    response = john.post(john.opt_out_path, body)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["attribute"]) == ("MissingAttributeError", missing)


@pytest.mark.parametrize(
    ("changes", "type_", "attribute"),
    [
        ({"user_identifier_type": ""}, "MissingAttributeError", "user_identifier_type"),
        ({"user_identifier_type": 5}, "MissingAttributeError", "user_identifier_type"),
        ({"user_identifier_value": ""}, "MissingAttributeError", "user_identifier_value"),
        ({"user_identifier_value": 5}, "MissingAttributeError", "user_identifier_value"),
        ({"action_type": "Block"}, "ValueError", "action_type"),
        ({"reason": 5}, "MissingAttributeError", "reason"),
        ({"device_identifiers": {}}, "MissingAttributeError", "device_identifiers"),
        ({"device_identifiers": []}, "MissingAttributeError", "device_identifiers"),
        ({"device_identifiers": ["x"]}, "MissingAttributeError", "device_identifiers"),
        ({"device_identifiers": [{"imei": "x"}]}, "ValueError", "device_identifiers"),
        ({"device_identifiers": [{"push_id": 5}]}, "MissingAttributeError", "push_id"),
    ],
)
def test_an_opt_out_that_is_wrong_is_a_400(
    john: Api, changes: dict[str, Any], type_: str, attribute: str
) -> None:
    john.device()
    response = john.opt_out(**changes)
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["attribute"]) == (type_, attribute)
    assert blocked(john) == {"phone": False}
