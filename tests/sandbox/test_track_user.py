from __future__ import annotations

import re

import pytest

from tests.sandbox.conftest import Api


def test_an_accepted_update_has_the_documented_answer(api: Api) -> None:
    response = api.track({"plan": "gold"})
    assert response.status_code == 200
    body = response.json()
    assert body.pop("request_id")
    assert body == {
        "status": "success",
        "message": "Your request has been accepted and will be processed soon.",
    }


def test_the_documented_sample_is_stored_as_it_is(api: Api) -> None:
    attributes = {
        "name": "John",
        "points": 20,
        "expiry_date": "2020-05-31T03:47:35Z",
        "birthday": "1990-05-31",
        "super_user": True,
        "tags": ["a", "b"],
        "moe_geo_location": {"lat": 12.11, "lon": 123.122},
        "platforms": [{"platform": "ANDROID", "active": "true"}],
    }
    api.track(attributes)
    user = api.sandbox.users("john")["john"]
    assert user["attributes"] == attributes
    assert user["types"] == {
        "name": "string",
        "points": "number",
        "expiry_date": "datetime",
        "birthday": "datetime",
        "super_user": "boolean",
        "tags": "array",
        "moe_geo_location": "object",
        "platforms": "array",
    }
    assert re.fullmatch("[0-9a-f]{24}", user["id"])
    assert api.sandbox.bent() == []


def test_an_update_merges_into_what_is_there(api: Api) -> None:
    api.track({"plan": "gold", "points": 1})
    before = api.sandbox.users("john")["john"]
    api.track({"points": 2})
    after = api.sandbox.users("john")["john"]
    assert after["attributes"] == {"plan": "gold", "points": 2}
    assert (before["updates"], after["updates"]) == (1, 2)
    assert before["id"] == after["id"]


def test_the_history_keeps_the_order_of_the_last_updates_of_a_user(api: Api) -> None:
    for position in range(55):
        api.track({"position": position})
    user = api.sandbox.users("john")["john"]
    assert user["updates"] == 55
    assert [sent["position"] for sent in user["history"]] == list(range(5, 55))


def test_update_existing_only_creates_nobody_and_still_answers_200(api: Api) -> None:
    assert api.track({"plan": "gold"}, update_existing_only=True).status_code == 200
    assert api.sandbox.users() == {}
    api.track({"plan": "free"})
    api.track({"plan": "gold"}, update_existing_only=True)
    assert api.stored() == {"plan": "gold"}
    assert api.sandbox.bent() == []


def test_an_empty_array_unsets(api: Api) -> None:
    api.track({"tags": ["a"], "plan": "gold"})
    api.track({"tags": []})
    assert api.stored() == {"plan": "gold"}


def test_values_are_added_to_and_removed_from_arrays(api: Api) -> None:
    api.track({"addValueToArrayField": {"tags": ["a", "b"]}})
    api.track({"addValueToArrayField": {"tags": ["c"]}, "removeValueFromArrayField": {"other": ["x"]}})
    assert api.stored() == {"tags": ["a", "b", "c"]}
    api.track({"removeValueFromArrayField": {"tags": ["b", "z"]}})
    assert api.stored() == {"tags": ["a", "c"]}
    api.track({"removeValueFromArrayField": {"tags": ["a", "c"]}})
    assert api.stored() == {}
    assert api.sandbox.bent() == []


def test_an_added_value_comes_twice_where_the_call_does(api: Api) -> None:
    for _ in range(2):
        api.track({"addValueToArrayField": {"tags": ["a"]}})
    assert api.stored() == {"tags": ["a", "a"]}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"type": "equals", "attr": "plan"}, {"Plan", "plan_old", "my_plan"}),
        ({"type": "equals", "attr": "PLAN", "case_sensitive": False}, {"plan_old", "my_plan"}),
        ({"type": "prefix", "attr": "plan"}, {"Plan", "my_plan"}),
        ({"type": "suffix", "attr": "plan"}, {"Plan", "plan_old"}),
        ({"type": "contains", "attr": "plan"}, {"Plan"}),
        (
            {"type": "contains", "attr": "LAN", "case_sensitive": True},
            {"plan", "Plan", "plan_old", "my_plan"},
        ),
        ({"type": "contains", "attr": "LAN", "case_sensitive": False}, set()),
    ],
)
def test_unset_rules_unset_what_they_match(api: Api, rule: dict[str, object], left: set[str]) -> None:
    api.track(dict.fromkeys(("plan", "Plan", "plan_old", "my_plan"), "x"))
    api.track(unset_attributes=[rule])
    assert set(api.stored()) == left


def test_unset_wins_over_set_in_one_call(api: Api) -> None:
    api.track({"plan": "gold", "points": 1}, unset_attributes=[{"type": "equals", "attr": "plan"}])
    assert api.stored() == {"points": 1}


def test_an_update_may_unset_without_setting(api: Api) -> None:
    api.track({"plan": "gold"})
    body = {
        "type": "customer",
        "customer_id": "john",
        "unset_attributes": [{"type": "equals", "attr": "plan"}],
    }
    assert api.post(api.track_path, body).status_code == 200
    assert api.stored() == {}


@pytest.mark.parametrize("how", ["track", "bulk"])
def test_an_update_without_attributes_creates_a_bare_user(api: Api, how: str) -> None:
    body = {"type": "customer", "customer_id": "john"}
    response = api.post(api.track_path, body) if how == "track" else api.bulk(body)
    assert response.status_code == 200
    user = api.sandbox.users()["john"]
    assert (user["attributes"], user["history"], user["updates"]) == ({}, [{}], 1)
    assert api.sandbox.bent() == []


def test_the_customer_id_is_never_unset(api: Api) -> None:
    api.track({"plan": "gold"}, unset_attributes=[{"type": "prefix", "attr": "customer"}])
    assert set(api.sandbox.users()) == {"john"}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["customer_id"]


def test_a_workspace_without_the_feature_does_not_unset(api: Api) -> None:
    api.sandbox.settings(unset_attributes=False)
    api.track({"plan": "gold"}, unset_attributes=[{"type": "equals", "attr": "plan"}])
    assert api.stored() == {"plan": "gold"}
    assert len(api.sandbox.bent()) == 1


def test_platforms_at_the_top_level_are_taken_too(api: Api) -> None:
    platforms = [{"platform": "iOS", "active": "false"}]
    api.track({}, platforms=platforms)
    assert api.stored() == {"platforms": platforms}
    assert api.sandbox.bent() == []
