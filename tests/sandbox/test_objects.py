"""Objects and arrays of objects: a feature of the workspace, with limits of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox.values import DROPPED, plain
from tests.sandbox.conftest import Api

ITEM = {"item-id": 123, "item-type": "books", "item-cost": {"amount": 100, "currency": "USD"}}
BOUGHT = "2025-01-31T10:00:00Z"
PART = "partially ingested: "


@pytest.fixture
def objects(api: Api) -> Api:
    api.sandbox.settings(object_attributes=True)
    return api


def sent(api: Api, kind: str, value: Any) -> Any:
    """Send an attribute in one of the ways there are, and return what is stored under it."""
    if kind == "event":
        assert api.event({"action": "a", "attributes": {"x": value}}).status_code == 200
        return api.sandbox.events()[-1]["attributes"].get("x")
    user = {"type": "customer", "customer_id": "john", "attributes": {"x": value}}
    response = api.bulk(user) if kind == "bulk" else api.post(api.track_path, user)
    assert response.status_code == 200
    return api.stored().get("x")


KEPT = [
    ITEM,
    [ITEM],
    [ITEM, {"item-id": 5}, {"tags": ["a", "b"], "bought": BOUGHT}],
    [{"n": n} for n in range(100)],
    {str(n): n for n in range(100)},
    [{str(n): n for n in range(100)}] * 3,
    {"k" * 200: 1, "ключ": True, "a b": 1.5},
    {"pad": ["x" * 512] * 49},
    [{"pad": ["x" * 512] * 49}] * 2,
    {"lines": [{"sku": 1}, {"sku": 2}]},
    {"none": []},
]


@pytest.mark.parametrize("kind", ["user", "bulk", "event"])
@pytest.mark.parametrize("value", KEPT, ids=lambda value: json.dumps(value)[:30])
def test_an_object_within_the_limits_is_stored_as_it_is(objects: Api, kind: str, value: Any) -> None:
    assert sent(objects, kind, value) == value
    assert objects.sandbox.bent() == []


@pytest.mark.parametrize("kind", ["user", "event"])
@pytest.mark.parametrize(
    ("value", "stored", "what"),
    [
        ({}, None, "not ingested: an object without a value"),
        ([{}], None, "not ingested: an object without a value"),
        ([{}, {"a": 1}], [{"a": 1}], "not ingested: an object without a value"),
        ({"a": {}, "b": 1}, {"b": 1}, "not ingested: an object without a value"),
        ({"a": None, "b": 1}, {"b": 1}, PART + "a NULL inside is left out"),
        ({"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, PART + "a NULL inside is left out"),
        ({"a": [1, None]}, {"a": [1]}, PART + "a NULL inside is left out"),
        ([{"a": None, "b": 1}, {"b": 2}], [{"b": 1}, {"b": 2}], PART + "a NULL inside is left out"),
        ([None, {"a": 1}], [{"a": 1}], PART + "a NULL inside is left out"),
        *(
            ({key: 1, "b": 2}, {"b": 2}, PART + "a key has 1 to 200 characters, and none of $ . % #")
            for key in ("a$", "a.b", "%", "#1", "k" * 201, "")
        ),
        ({"a": {"b.c": 1}, "d": 1}, {"d": 1}, PART + "a key has 1 to 200 characters, and none of $ . % #"),
        ([{"n": n} for n in range(101)], [{"n": n} for n in range(100)], "cut to 100 elements"),
        ({"a": list(range(51))}, {"a": list(range(50))}, "cut to 50 elements"),
        ({"a": {"b": {"c": 1}}}, None, "dropped: an object of over 2 levels"),
        ({"a": [{"b": {"c": 1}}]}, None, "dropped: an object of over 2 levels"),
        ([{"a": {"b": {"c": 1}}}, {"d": 1}], [{"d": 1}], "dropped: an object of over 2 levels"),
        ({str(n): n for n in range(101)}, None, "dropped: an object of over 100 keys"),
        ({"a": {str(n): n for n in range(100)}}, None, "dropped: an object of over 100 keys"),
        ({"pad": ["x" * 512] * 50}, None, "dropped: an object of over 25600 bytes"),
        ([{"pad": ["x" * 512] * 50}, {"d": 1}], [{"d": 1}], "dropped: an object of over 25600 bytes"),
        ([{"a": 1}, "b"], None, "dropped: an array holds values of one type"),
        ([{"a": 1}, [1]], None, "dropped: an array holds values of one type"),
        (
            {"a": [[1]], "b": 1},
            {"b": 1},
            "dropped: an array holds strings, numbers, booleans, datetimes or objects",
        ),
        ({"a": [{"b": 1}, 2], "c": 1}, {"c": 1}, "dropped: an array holds values of one type"),
        ({"a": "x" * 513}, {"a": "x" * 512}, "cut to 512 characters"),
        (
            {"day": "31/12/2025"},
            {"day": "31/12/2025"},
            "stored as a string: looks like a date, but is none in a documented form",
        ),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_what_breaks_a_limit_is_told(objects: Api, kind: str, value: Any, stored: Any, what: str) -> None:
    assert sent(objects, kind, value) == stored
    found = [(bent["attribute"], bent["what"]) for bent in objects.sandbox.bent()]
    assert ("x", what) in found
    assert {attribute for attribute, _ in found} == {"x"}


def test_a_rule_that_one_attribute_breaks_in_many_places_is_told_once(objects: Api) -> None:
    sent(objects, "user", [{"a": None, "b": n} for n in range(100)])
    assert len(objects.sandbox.bent()) == 1


@pytest.mark.parametrize("value", [ITEM, [ITEM], {}, [{}]])
def test_a_workspace_without_the_feature_drops_them(api: Api, value: Any) -> None:
    assert sent(api, "user", value) is None
    assert [bent["what"] for bent in api.sandbox.bent()] == [
        "dropped: the workspace does not have object attributes"
    ]


@pytest.mark.parametrize("name", ["name", "u_em", "moe_mobile", "publisher_name", "revenue", "source"])
@pytest.mark.parametrize("value", [ITEM, [ITEM]], ids=["object", "array"])
def test_a_standard_attribute_is_no_object(objects: Api, name: str, value: Any) -> None:
    objects.track({name: value, "plan": "gold"})
    assert objects.stored() == {"plan": "gold"}
    assert [(bent["attribute"], bent["what"]) for bent in objects.sandbox.bent()] == [
        (name, "dropped: a standard attribute is no object")
    ]


def test_platforms_and_the_location_are_what_they_always_were(objects: Api) -> None:
    attributes = {
        "platforms": [{"platform": "ANDROID", "active": "true"}],
        "moe_geo_location": {"lat": 12.11, "lon": 123.122},
    }
    objects.track(attributes)
    assert objects.stored() == attributes
    assert objects.sandbox.bent() == []


def test_objects_are_added_to_and_removed_from_an_array(objects: Api) -> None:
    objects.track({"lines": [{"n": n} for n in range(60)]})
    objects.track({"addValueToArrayField": {"lines": [{"n": n} for n in range(60, 100)]}})
    assert objects.stored()["lines"] == [{"n": n} for n in range(100)]
    assert objects.sandbox.bent() == []
    objects.track({"addValueToArrayField": {"lines": [{"n": 100}]}})
    assert [bent["what"] for bent in objects.sandbox.bent()] == ["cut to 100 elements"]
    objects.track({"removeValueFromArrayField": {"lines": [{"n": n} for n in range(1, 100)]}})
    assert objects.stored()["lines"] == [{"n": 0}]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_stored_can_be_sent_again_as_it_is(value: Any) -> None:
    stored = plain(value, objects=True, note=lambda what: None)
    if stored is not DROPPED:
        bent: list[str] = []
        assert plain(stored, objects=True, note=bent.append) == stored
        assert {what for what in bent if not what.startswith("stored as a string")} == set()
