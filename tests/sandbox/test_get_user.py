from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of


def by_customer_id(customer_id: str) -> dict[str, str]:
    return {"identifier_type": "customer_id", "identifier": customer_id}


def test_users_come_back_with_their_attributes_and_unknown_ones_are_listed(api: Api) -> None:
    api.track({"last_name": "Doe", "points": 5})
    id_ = api.sandbox.users("john")["john"]["id"]
    response = api.export([by_customer_id("john"), by_customer_id("jane")])
    assert response.status_code == 200
    assert response.json() == {
        "status": "success",
        "type": "export_users",
        "data": {
            "users_not_found": [by_customer_id("jane")],
            "users": [
                {"user_attributes": {"last_name": "Doe", "points": 5, "customer_id": "john", "id": id_}}
            ],
        },
    }


@pytest.mark.parametrize("kind", ["id", "moengage_id"])
def test_a_user_is_found_by_the_moengage_id(api: Api, kind: str) -> None:
    api.track({"plan": "gold"})
    id_ = api.sandbox.users("john")["john"]["id"]
    response = api.export([{"identifier_type": kind, "identifier": id_}])
    assert response.json()["data"]["users"][0]["user_attributes"]["customer_id"] == "john"


def test_ids_of_every_kind_are_mixed_in_one_call(api: Api) -> None:
    for name in ("john", "jane", "jim"):
        api.track(customer_id=name)
    ids = {name: user["id"] for name, user in api.sandbox.users().items()}
    unknown = {"identifier_type": "moengage_id", "identifier": "john"}
    asked = [
        by_customer_id("john"),
        {"identifier_type": "id", "identifier": ids["jane"]},
        {"identifier_type": "moengage_id", "identifier": ids["jim"]},
        unknown,
        by_customer_id(ids["john"]),
    ]
    found = api.export(asked).json()["data"]
    assert [user["user_attributes"]["id"] for user in found["users"]] == list(ids.values())
    assert found["users_not_found"] == [unknown, by_customer_id(ids["john"])]


def test_a_200_that_is_none_calls_itself_a_failure(api: Api) -> None:
    api.sandbox.fault(kind="fail_200", times=1)
    response = api.export([by_customer_id("john")])
    assert response.status_code == 200
    assert response.json()["status"] == "failure"
    assert "data" not in response.json()


def test_only_the_asked_for_fields_come_back_and_the_id(api: Api) -> None:
    api.track({"last_name": "Doe", "points": 5})
    response = api.export([by_customer_id("john")], ["last_name", "nothing"])
    attributes = response.json()["data"]["users"][0]["user_attributes"]
    assert set(attributes) == {"last_name", "id"}


def test_twenty_users_are_taken_and_one_more_is_a_400(api: Api) -> None:
    asked = [by_customer_id(f"user{n}") for n in range(21)]
    assert len(api.export(asked[:20]).json()["data"]["users_not_found"]) == 20
    response = api.export(asked)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["attribute"]) == ("LimitBreached", "users")
    assert error["message"] == "max limit allowed is 20"


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        ({}, "data"),
        ({"data": []}, "data"),
        ({"data": {}}, "identifiers"),
        ({"data": {"identifiers": []}}, "identifiers"),
        ({"data": {"identifiers": ["john"]}}, "identifiers"),
        ({"data": {"identifiers": [{"identifier_type": "email", "identifier": "x"}]}}, "identifier_type"),
        ({"data": {"identifiers": [{"identifier_type": "id", "identifier": 5}]}}, "identifier"),
        (
            {"data": {"identifiers": [by_customer_id("john")], "user_fields_to_export": "plan"}},
            "user_fields_to_export",
        ),
    ],
)
def test_a_field_of_another_type_is_named(api: Api, body: Any, attribute: str) -> None:
    response = api.post(api.export_path, body)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == attribute
