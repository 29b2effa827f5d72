from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of


def test_attributes_events_and_devices_move_to_the_retained_user(api: Api) -> None:
    api.track({"plan": "gold", "city": "Pune"}, customer_id="old")
    api.track({"plan": "free", "age": 5}, customer_id="new")
    for customer_id, action in (("old", "a"), ("new", "b"), ("old", "c")):
        api.event(action, customer_id=customer_id)
    api.device(customer_id="old", device_id="phone")
    api.device(customer_id="new", device_id="tablet")
    response = api.merge(("old", "new"))
    assert response.status_code == 200
    assert response.json() == {"status": "success", "operation": "created"}
    assert list(api.sandbox.users()) == ["new"]
    assert api.stored("new") == {"plan": "gold", "city": "Pune", "age": 5}
    assert [event["action"] for event in api.sandbox.events("new")] == ["a", "b", "c"]
    assert {device["device_id"] for device in api.sandbox.devices("new")} == {"phone", "tablet"}
    assert api.sandbox.bent() == []


def test_a_merged_customer_id_is_a_new_user_when_it_is_sent_again(api: Api) -> None:
    api.track(customer_id="old")
    api.track(customer_id="new")
    api.merge(("old", "new"))
    api.event("a", customer_id="old")
    assert list(api.sandbox.users()) == ["new", "old"]
    assert len(api.sandbox.events("old")) == 1


def test_a_device_that_both_have_is_kept_as_the_retained_user_has_it(api: Api) -> None:
    for customer_id, model in (("old", "Pixel"), ("new", "iPhone")):
        api.track(customer_id=customer_id)
        api.device({"model": model}, customer_id=customer_id)
    api.merge(("old", "new"))
    [device] = api.sandbox.devices()
    assert (device["customer_id"], device["attributes"]["model"]) == ("new", "iPhone")


def test_a_pair_that_cannot_be_merged_is_skipped_without_a_word(api: Api) -> None:
    for customer_id in ("ab", "cd", "ef"):
        api.track(customer_id=customer_id)
    response = api.merge(("nobody", "ab"), ("ab", "nobody"), ("ab", "ab"), ("cd", "ef"), ("cd", "ab"))
    assert response.json() == {"status": "success", "operation": "created"}
    assert list(api.sandbox.users()) == ["ab", "ef"]
    assert [(bent["customer_id"], bent["attribute"]) for bent in api.sandbox.bent()] == [
        ("nobody", "merged_user"),
        ("nobody", "retained_user"),
        ("ab", "merged_user"),
        ("cd", "merged_user"),
    ]


def test_a_moengage_id_names_nobody_in_a_pair(api: Api) -> None:
    api.track(customer_id="ab")
    api.track(customer_id="cd")
    api.merge((api.sandbox.users()["ab"]["id"], "cd"))
    assert len(api.sandbox.users()) == 2
    assert len(api.sandbox.bent()) == 1


def test_fifty_pairs_are_taken_and_one_more_is_a_400(api: Api) -> None:
    pairs = [(f"merged{n}", f"retained{n}") for n in range(51)]
    assert api.merge(*pairs[:50]).status_code == 200
    response = api.merge(*pairs)
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["message"]) == (
        "LimitBreached",
        "max limit allowed is 50",
    )


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        ({}, "merge_data"),
        ({"merge_data": {}}, "merge_data"),
        ({"merge_data": []}, "merge_data"),
        ({"merge_data": ["john"]}, "merge_data"),
        ({"merge_data": [{"merged_user": "john"}]}, "retained_user"),
        ({"merge_data": [{"merged_user": 5, "retained_user": "john"}]}, "merged_user"),
    ],
)
def test_a_merge_that_is_wrong_is_a_400(api: Api, body: Any, attribute: str) -> None:
    response = api.post(api.merge_path, body)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["attribute"]) == ("MissingAttributeError", attribute)


def test_a_merge_costs_a_unit_a_pair(api: Api) -> None:
    api.sandbox.settings(merge_users_per_minute=5)
    assert api.merge(*[("ab", "cd")] * 3).headers["x-ratelimit-remaining"] == "2"
    assert api.merge(*[("ab", "cd")] * 3).status_code == 429
    assert api.merge(*[("ab", "cd")] * 2).status_code == 200


def test_merging_is_off_in_a_workspace_with_identity_resolution(api: Api) -> None:
    api.sandbox.settings(identifiers=["moe_mobile"])
    response = api.merge(("ab", "cd"))
    assert response.status_code == 403
    assert error_of(response)["type"] == "Forbidden"


@pytest.mark.parametrize("kind", ["customer_id", "moengage_id", "id"])
def test_a_deletion_is_marked_and_the_user_is_still_there(api: Api, kind: str) -> None:
    api.track({"plan": "gold"})
    api.track(customer_id="jane")
    value = "john" if kind == "customer_id" else api.sandbox.users()["john"]["id"]
    response = api.delete(value, kind)
    assert response.status_code == 200
    assert response.json()["status"] == "success"
    assert {name: user["deletion_requested"] for name, user in api.sandbox.users().items()} == {
        "john": True,
        "jane": False,
    }
    assert api.stored() == {"plan": "gold"}
    assert api.delete(value, kind).status_code == 200


@pytest.mark.parametrize("kind", ["customer_id", "moengage_id"])
def test_an_unknown_user_to_delete_is_not_found(api: Api, kind: str) -> None:
    response = api.delete("nobody", kind)
    assert response.status_code == 400
    assert error_of(response)["type"] == "Not Found"


@pytest.mark.parametrize(
    ("body", "type_", "attribute"),
    [
        ({"identity_value": "john"}, "MissingAttributeError", "identity_type"),
        ({"identity_type": "customer_id"}, "MissingAttributeError", "identity_value"),
        ({"identity_type": "customer_id", "identity_value": 5}, "MissingAttributeError", "identity_value"),
        ({"identity_type": "email", "identity_value": "john"}, "ValueError", "identity_type"),
    ],
)
def test_a_deletion_that_is_wrong_is_a_400(api: Api, body: Any, type_: str, attribute: str) -> None:
    api.track()
    response = api.post(api.delete_path, body)
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["attribute"]) == (type_, attribute)
    assert api.sandbox.users()["john"]["deletion_requested"] is False


def test_a_spent_window_of_deletions_has_a_title_and_a_description(api: Api) -> None:
    api.sandbox.settings(delete_users_per_minute=0)
    response = api.delete()
    assert response.status_code == 429
    assert response.json() == {
        "status": "fail",
        "title": "Rate Limit Exceeded",
        "description": "Rate Limits for User / Event exceeded",
    }
    assert response.headers["x-ratelimit-remaining"] == "0"


@pytest.mark.parametrize(
    ("status", "titled"), [(429, True), (500, True), (503, True), (400, False), (401, False)]
)
def test_only_a_429_and_a_5xx_of_a_deletion_have_a_title(api: Api, status: int, titled: bool) -> None:
    api.sandbox.fault(kind="status", status=status, message="as told", times=1)
    response = api.delete()
    assert response.status_code == status
    if titled:
        assert set(response.json()) == {"status", "title", "description"}
        assert response.json()["description"] == "as told"
    else:
        assert error_of(response)["message"] == "as told"


def test_a_deletion_can_fail_with_a_200(api: Api) -> None:
    api.track()
    api.sandbox.fault(kind="fail_200")
    response = api.delete()
    assert response.status_code == 200
    assert response.json()["status"] == "fail"
    assert api.sandbox.users()["john"]["deletion_requested"] is False
