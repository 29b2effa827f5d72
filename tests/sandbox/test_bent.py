"""What MoEngage does without a word, the sandbox does too, and tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.conftest import Api


@pytest.mark.parametrize("type_", ["Customer", "CUSTOMER", "customer ", "event", ""])
def test_another_type_is_not_processed(api: Api, type_: str) -> None:
    assert api.track({"plan": "gold"}, type=type_).status_code == 200
    assert api.sandbox.users() == {}
    assert api.sandbox.bent() == [
        {"customer_id": "john", "attribute": None, "what": "not processed: the type is not exactly customer"}
    ]


@pytest.mark.parametrize(
    "customer_id",
    [
        *("unknown", "guest", "null", "0", "1", "true", "false", "user_attribute_unique_id", "na", "n/a"),
        *(
            '""',
            "dummy_seller_code",
            "user_id",
            "id",
            "customer_id",
            "uid",
            "userid",
            "none",
            "-2",
            "-1",
            "2",
        ),
        *("x", "NULL", " None ", "7", " "),
    ],
)
def test_a_blocked_customer_id_is_ignored(api: Api, customer_id: str) -> None:
    assert api.track({"plan": "gold"}, customer_id=customer_id).status_code == 200
    assert api.sandbox.users() == {}
    assert [bent["customer_id"] for bent in api.sandbox.bent()] == [customer_id]


@pytest.mark.parametrize(
    "name",
    [
        *("", "id", "_id", "customer_id", "status", "user_id", "INSTALL", "UPDATE", "MOE_GAID", "MOE_ISLAT"),
        *("MOE_TIME_FORMAT", "MOE_TIME_TIMEZONE", "USER_ATTRIBUTE_X", "t_rev", "geo", "moe_rsu", "installed"),
        *("moe_it", "moe_mine"),
    ],
)
def test_a_name_that_cannot_be_written_is_dropped(api: Api, name: str) -> None:
    assert api.track({name: "x", "plan": "gold"}).status_code == 200
    assert api.stored() == {"plan": "gold"}
    [bent] = api.sandbox.bent()
    assert bent["attribute"] == name
    assert bent["what"].startswith("dropped: ")


@pytest.mark.parametrize(
    "name", ["moe_unsubscribe", "moe_gaid", "u_em", "u_bd", "uid", "publisher_name", "Status"]
)
def test_a_documented_name_is_taken(api: Api, name: str) -> None:
    api.track({name: "x"})
    assert api.stored() == {name: "x"}
    assert api.sandbox.bent() == []


def test_a_create_only_attribute_is_not_updated(api: Api) -> None:
    api.track({"publisher_name": "a"})
    api.track({"publisher_name": "a"})
    assert api.sandbox.bent() == []
    api.track({"publisher_name": "b"})
    assert api.stored() == {"publisher_name": "a"}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["publisher_name"]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-02-30", "2024-13-01", "0000-01-01", "2024-01-01 10:00:00", "2024-01-01T10:00:00"),
        *(
            "2024-01-01T10:00:00+00:00",
            "2024-01-01T10:00:00.000Z",
            "2024-01-01T25:00:00Z",
            "2024-01-01T10:00:60Z",
        ),
        *(
            "2024-01-01T10:00:00z",
            "2024-01-01\n",
            "2024/01/31",
            "31/01/2024",
            "31-01-2024",
            "1/31/2024 10:00",
        ),
    ],
)
def test_a_date_that_is_none_stays_a_string(api: Api, text: str) -> None:
    api.track({"when": text})
    user = api.sandbox.users("john")["john"]
    assert user["attributes"] == {"when": text}
    assert user["types"] == {"when": "string"}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["when"]


@pytest.mark.parametrize("text", ["2024-02-29", "2024-01-01T10:00:00Z", "1969-12-31", "2024-12-31T23:59:59Z"])
def test_a_documented_date_is_a_datetime(api: Api, text: str) -> None:
    api.track({"when": text})
    assert api.sandbox.users("john")["john"]["types"] == {"when": "datetime"}
    assert api.sandbox.bent() == []


@pytest.mark.parametrize("text", ["gold", "20240101", "12345", "555-1234", "10.0.0.1", "", "2024"])
def test_a_text_that_is_no_date_is_not_bent(api: Api, text: str) -> None:
    api.track({"text": text})
    assert api.stored() == {"text": text}
    assert api.sandbox.bent() == []


def test_a_long_name_is_cut(api: Api) -> None:
    api.track({"n" * 200: "fits", "m" * 201: "cut"})
    assert api.stored() == {"n" * 200: "fits", "m" * 200: "cut"}
    assert len(api.sandbox.bent()) == 1


def test_a_long_value_is_cut_and_a_long_url_dropped(api: Api) -> None:
    url = "https://example.com/".ljust(513, "x")
    api.track({"fits": "v" * 512, "cut": "v" * 513, "link": url})
    assert api.stored() == {"fits": "v" * 512, "cut": "v" * 512}
    assert {bent["attribute"] for bent in api.sandbox.bent()} == {"cut", "link"}


def test_a_long_array_is_cut(api: Api) -> None:
    api.track({"fits": list(range(50)), "cut": list(range(51))})
    assert api.stored() == {"fits": list(range(50)), "cut": list(range(50))}
    api.track({"addValueToArrayField": {"fits": [50]}})
    assert api.stored()["fits"] == list(range(50))
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["cut", "fits"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixed", [1, "a"]),
        ("mixed", [1, True]),
        ("nested", [[1]]),
        ("objects", [{"a": 1}]),
        ("nulls", ["a", None]),
        ("object", {"a": 1}),
        ("null", None),
        ("moe_geo_location", {"lat": "12", "lon": 3}),
        ("moe_geo_location", {"lat": 12}),
        ("moe_geo_location", "12,3"),
        ("platforms", [{"platform": "ios", "active": "true"}]),
        ("platforms", [{"platform": "iOS", "active": True}]),
        ("platforms", "iOS"),
        ("platforms", [{"platform": ["iOS"], "active": "true"}]),
    ],
)
def test_a_value_of_the_wrong_type_leaves_the_attribute_as_it_was(api: Api, name: str, value: Any) -> None:
    assert api.track({"plan": "gold", name: value}).status_code == 200
    assert api.stored() == {"plan": "gold"}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == [name]


def test_objects_are_kept_where_the_workspace_has_the_feature(api: Api) -> None:
    api.sandbox.settings(object_attributes=True)
    kept = {"a": {"b": 1}, "c": [1, 2]}
    api.track(
        {
            "kept": kept,
            "deep": {"a": {"b": {"c": 1}}},
            "wide": {str(n): n for n in range(101)},
            "big": {"a": "x" * 26_000},
            "bottomless": {"a": json.loads("[" * 600 + "]" * 600)},
        }
    )
    assert api.stored() == {"kept": kept}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["deep", "wide", "big", "bottomless"]


def test_a_workspace_has_so_many_user_attributes_and_no_more(api: Api) -> None:
    api.sandbox.settings(max_user_attributes=2)
    api.track({"one": 1, "two": 2, "name": "standard"})
    api.track({"two": 2, "three": 3}, customer_id="jane")
    assert api.stored("jane") == {"two": 2}
    assert [(bent["customer_id"], bent["attribute"]) for bent in api.sandbox.bent()] == [("jane", "three")]


def test_values_are_not_added_to_what_is_no_array(api: Api) -> None:
    api.track({"plan": "gold"})
    api.track({"addValueToArrayField": {"plan": ["x"]}})
    assert api.stored() == {"plan": "gold"}
    assert len(api.sandbox.bent()) == 1


def test_a_field_beside_the_attributes_is_ignored(api: Api) -> None:
    api.track({"plan": "gold"}, points=5)
    assert api.stored() == {"plan": "gold"}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["points"]


def test_the_state_counts_everything_and_shows_the_first_hundred(api: Api) -> None:
    for n in range(3):
        api.track({f"moe_{n}_{m}": 1 for m in range(50)})
    state = api.sandbox.state()
    assert state["bent"] == 150
    assert len(state["bent_first"]) == 100
    assert len(api.sandbox.bent()) == 150
