from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.names import (
    BLOCKED_CUSTOMER_IDS,
    CREATE_ONLY_NAMES,
    FETCH_ONLY_NAMES,
    RESERVED_NAMES,
    WRITABLE_SYSTEM_NAMES,
)
from airflow_provider_moengage.records.users import Terms, User


def user(**attributes):
    return User.check({"customer_id": "john@example.com", "attributes": attributes})


def code_of(fields, **kwargs):
    with pytest.raises(MoEngageRecordInvalid) as caught:
        User.check(fields, **kwargs)
    return caught.value.code


def attribute_code(name, value):
    return code_of({"customer_id": "john@example.com", "attributes": {name: value}})


def test_a_user_is_serialised_as_documented():
    record = User.check(
        {
            "type": "customer",
            "customer_id": "john@example.com",
            "update_existing_only": False,
            "attributes": {
                "name": "John",
                "points": 20,
                "expiry_date": "2020-05-31T03:47:35Z",
                "super_user": True,
                "platforms": [{"platform": "ANDROID", "active": "true"}],
            },
            "unset_attributes": [{"type": "equals", "attr": "first_name", "case_sensitive": False}],
        }
    )
    assert json.loads(record.to_json()) == {
        "type": "customer",
        "customer_id": "john@example.com",
        "update_existing_only": False,
        "attributes": {
            "name": "John",
            "points": 20,
            "expiry_date": "2020-05-31T03:47:35Z",
            "super_user": True,
            "platforms": [{"platform": "ANDROID", "active": "true"}],
        },
        "unset_attributes": [{"type": "equals", "attr": "first_name", "case_sensitive": False}],
    }


@pytest.mark.parametrize("blocked", sorted(BLOCKED_CUSTOMER_IDS - {""}))
def test_blocked_ids_are_refused_in_any_case_and_with_spaces(blocked):
    for spelling in (blocked, blocked.upper(), f"  {blocked} "):
        assert code_of({"customer_id": spelling}) == "blocked_customer_id"


@pytest.mark.parametrize(
    ("customer_id", "code"),
    [
        (None, "customer_id_missing"),
        ("", "customer_id_missing"),
        ("x", "customer_id_length"),
        ("   ", "blocked_customer_id"),
        (12, "customer_id_type"),
        ("x" * 513, "customer_id_length"),
    ],
)
def test_an_id_is_a_string_of_more_than_one_character(customer_id, code):
    assert code_of({"customer_id": customer_id}) == code


@pytest.mark.parametrize("name", ["id", "_id", "moe_it", "", " ", "customer_id"])
def test_blocked_names_are_refused(name):
    assert attribute_code(name, 1) == "blocked_attribute"


@pytest.mark.parametrize("name", [*sorted(RESERVED_NAMES), "USER_ATTRIBUTE_UNIQUE_ID", "USER_ATTRIBUTE_X"])
def test_reserved_names_are_refused(name):
    assert attribute_code(name, 1) == "reserved_attribute"


@pytest.mark.parametrize("name", sorted(FETCH_ONLY_NAMES))
def test_fetch_only_names_are_refused(name):
    assert attribute_code(name, 1) == "fetch_only_attribute"


@pytest.mark.parametrize("name", ["moe_", "moe_custom", "MOE_custom", "Moe_Geo_Location"])
def test_the_system_prefix_is_refused(name):
    assert attribute_code(name, 1) == "system_attribute"


@pytest.mark.parametrize("name", sorted((WRITABLE_SYSTEM_NAMES | CREATE_ONLY_NAMES) - {"moe_geo_location"}))
def test_documented_system_names_are_taken(name):
    assert user(**{name: "value"}).attributes == {name: "value"}


def test_a_name_of_200_characters_is_taken_and_one_of_201_is_not():
    assert user(**{"n" * 200: 1})
    assert attribute_code("n" * 201, 1) == "attribute_name_length"


@pytest.mark.parametrize(
    "value",
    [
        "text", "", "x" * 512, 0, -1, 1.5, 2**70, True, False, [], ["a", "b"], [1, 2.5], [True], ["2024-02-29"],
        list(range(50)), "2024-02-29", "2024-02-29T23:59:59Z", "24-01-01", "on 2024-01-01", {"a": 1},
        {"a": {"b": "c"}}, {str(n): n for n in range(100)}, None,
        [{"sku": "a", "n": 1}, {"sku": "b", "tags": ["x"], "size": {"w": 1}}], [{"a": n} for n in range(100)],
        {"lines": [{"sku": "a"}], "n": 1}, {"k" * 200: 1}, [{str(n): n for n in range(100)}] * 2,
    ],
)  # fmt: skip
def test_documented_values_are_taken_as_they_are(value):
    assert user(attribute=value).attributes == {"attribute": value}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 513, "value_length"),
        ("https://example.com/" + "x" * 500, "value_length"),
        (["x" * 513], "value_length"),
        ("2024-02-30", "date_format"),
        ("2023-02-29", "date_format"),
        ("2024-13-01", "date_format"),
        ("2024-01-01 10:00:00", "date_format"),
        ("2024-01-01T10:00:00", "date_format"),
        ("2024-01-01T10:00:00+05:30", "date_format"),
        ("2024-01-01T10:00:00.000Z", "date_format"),
        ("2024-01-01T24:00:00Z", "date_format"),
        ("2024-01-01T10:60:00Z", "date_format"),
        ("2024-01-01 offer", "date_format"),
        ("2024-01-01\n", "date_format"),
        (["2024-01-01 10:00"], "date_format"),
        (list(range(51)), "array_length"),
        ([1, "a"], "array_mixed"),
        ([1, True], "array_mixed"),
        (["2024-01-01", "soon"], "array_mixed"),
        ([[1]], "array_element_type"),
        ([{"a": 1}, 1], "array_mixed"),
        ([{"a": 1}, "b"], "array_mixed"),
        ([{"a": 1}, None], "array_element_type"),
        ([[{"a": 1}]], "array_element_type"),
        ([{"a": n} for n in range(101)], "array_length"),
        ([{"a": {"b": {"c": 1}}}], "object_levels"),
        ({"a": [{"b": {"c": 1}}]}, "object_levels"),
        ({"a": [[1]]}, "array_element_type"),
        ({"a": [{"n": n} for n in range(101)]}, "array_length"),
        ([{str(n): n for n in range(101)}], "object_keys"),
        ({"a": [{str(n): n for n in range(51)}] * 2}, "object_keys"),
        ([{"a": 1}, {str(n): "x" * 500 for n in range(60)}], "object_size"),
        ({}, "object_empty"),
        ([{}], "object_empty"),
        ({"a": {}}, "object_empty"),
        ([{"a": 1}, {}], "object_empty"),
        ({"k" * 201: 1}, "object_keys"),
        ({"a$": 1}, "object_keys"),
        ({"a.b": 1}, "object_keys"),
        ({"%": 1}, "object_keys"),
        ({"a": {"#1": 1}}, "object_keys"),
        ([{"a": {"b.c": 1}}], "object_keys"),
        ({"a": "31/12/2025"}, "date_format"),
        (["31/12/2025"], "date_format"),
        ([None], "array_element_type"),
        ({"a": {"b": {"c": 1}}}, "object_levels"),
        ({str(n): n for n in range(101)}, "object_keys"),
        ({"a": {str(n): n for n in range(100)}}, "object_keys"),
        ({"": 1}, "object_keys"),
        ({str(n): "x" * 500 for n in range(60)}, "object_size"),
        ({"a": None}, "value_type"),
        (float("nan"), "value_type"),
        (float("inf"), "value_type"),
        (b"bytes", "value_type"),
        ((1, 2), "value_type"),
    ],
)
def test_what_moengage_would_drop_cut_or_bend_is_refused(value, code):
    assert attribute_code("attribute", value) == code


def test_a_text_that_is_known_to_be_one_may_begin_like_a_date():
    fields = {"customer_id": "john", "attributes": {"promo": "2024-01-01 offer", "tags": ["2024-01-01", "x"]}}
    assert User.check(fields, Terms(frozenset({"promo", "tags"}))).attributes["promo"] == "2024-01-01 offer"
    assert code_of(fields, terms=Terms(frozenset({"tags"}))) == "date_format"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("platforms", [{"platform": "Android", "active": "true"}]),
        ("platforms", [{"platform": "iOS", "active": True}]),
        ("platforms", [{"platform": "iOS"}]),
        ("platforms", ["iOS"]),
        ("platforms", [{"platform": ["iOS"], "active": "true"}]),
        ("moe_geo_location", {"lat": 12.11}),
        ("moe_geo_location", {"lat": "12.11", "lon": 123.122}),
        ("moe_geo_location", {"lat": 91, "lon": 0}),
        ("moe_geo_location", {"lat": 1, "lon": 181}),
        ("moe_geo_location", {"lat": True, "lon": 1}),
        ("moe_geo_location", {"lat": 1, "lon": 1, "alt": 1}),
        ("moe_geo_location", {"lat": float("nan"), "lon": 1}),
    ],
)
def test_standard_objects_have_their_documented_shape(name, value):
    assert attribute_code(name, value) == name


@pytest.mark.parametrize(
    ("name", "value"), [("platforms", "iOS"), ("moe_geo_location", "12,13"), ("platforms", {})]
)
def test_standard_objects_are_no_texts(name, value):
    assert attribute_code(name, value) == name


def test_standard_objects_are_taken_as_documented():
    assert user(moe_geo_location={"lat": 12.11, "lon": 123.122})
    assert user(platforms=[{"platform": "web", "active": "false"}])


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        (
            {"addValueToArrayField": {"a": [1]}, "removeValueFromArrayField": {"a": [2]}},
            "array_operator_clash",
        ),
        ({"addValueToArrayField": {"a": [1]}, "a": [2]}, "array_operator_clash"),
        ({"removeValueFromArrayField": {"a": [1]}, "a": 2}, "array_operator_clash"),
        ({"addValueToArrayField": {"platforms": []}}, "array_operator"),
        ({"addValueToArrayField": {"a": 1}}, "array_operator"),
        ({"addValueToArrayField": ["a"]}, "array_operator"),
        ({"addValueToArrayField": {"status": [1]}}, "reserved_attribute"),
        ({"addValueToArrayField": {"a": list(range(51))}}, "array_length"),
        ({"removeValueFromArrayField": {"a": [1, "b"]}}, "array_mixed"),
    ],
)
def test_array_operators_follow_their_rules(attributes, code):
    assert code_of({"customer_id": "john", "attributes": attributes}) == code


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}]])
@pytest.mark.parametrize("name", ["name", "email", "revenue", "u_em", "moe_wa_subscription", "cr_t"])
def test_objects_are_not_taken_under_a_standard_name(name, value):
    assert attribute_code(name, value) == "standard_attribute"
    assert user(**{name: ["a"]})


def test_array_operators_take_no_objects():
    assert attribute_code("addValueToArrayField", {"a": [{"b": 1}]}) == "array_operator"
    assert attribute_code("removeValueFromArrayField", {"a": [{"b": 1}, 1]}) == "array_operator"


def test_a_key_that_is_not_allowed_is_not_shown():
    with pytest.raises(MoEngageRecordInvalid) as caught:
        user(box={"ann@example.com": 1})
    assert "example" not in str(caught.value)


def test_types_names_the_attribute_and_not_the_member():
    with pytest.raises(MoEngageRecordInvalid, match=r"'box\.when\.at' .* types=\{'box': 'datetime'\}"):
        user(box={"when": {"at": "2024-01-01 10:00"}})
    fields = {"customer_id": "john", "attributes": {"box": {"at": "2024-01-01 10:00"}}}
    assert User.check(fields, Terms(frozenset({"box"})))


def test_array_operators_are_sent_inside_the_attributes():
    record = user(addValueToArrayField={"a": [1]}, removeValueFromArrayField={"b": ["x"]}, c=1)
    assert json.loads(record.to_json())["attributes"] == {
        "addValueToArrayField": {"a": [1]},
        "removeValueFromArrayField": {"b": ["x"]},
        "c": 1,
    }


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"attr": "customer_id"}, "unset_customer_id"),
        ({"attr": "id"}, "blocked_attribute"),
        ({"attr": ""}, "blocked_attribute"),
        ({"attr": "t_rev"}, "fetch_only_attribute"),
        ({"attr": "a", "type": "regex"}, "record_literal_error"),
        ({"attr": "a", "case_sensitive": "yes"}, "record_bool_type"),
        ({"type": "equals"}, "record_missing"),
        ({"attr": "a", "why": 1}, "record_extra_forbidden"),
    ],
)
def test_unset_rules_follow_their_rules(rule, code):
    assert code_of({"customer_id": "john", "unset_attributes": [rule]}) == code


def test_unset_rules_are_case_sensitive_where_they_do_not_say():
    record = User.check({"customer_id": "john", "unset_attributes": [{"type": "prefix", "attr": "tmp_"}]})
    assert json.loads(record.to_json())["unset_attributes"] == [
        {"type": "prefix", "attr": "tmp_", "case_sensitive": True}
    ]


@pytest.mark.parametrize("kind", ["Customer", "CUSTOMER", "event", None, 1])
def test_the_type_is_customer_in_lower_case(kind):
    assert code_of({"customer_id": "john", "type": kind}) == "record_literal_error"


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(MoEngageRecordInvalid) as caught:
        user(name="\ud800").to_json()
    assert caught.value.code == "encoding"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=600)
    | st.binary()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(st.text(max_size=250), json_values)
def test_any_attribute_is_taken_unchanged_or_refused_without_showing_its_value(name, value):
    error = None
    try:
        sent = User.check({"customer_id": "john", "attributes": {name: value}}).to_json()
    except MoEngageRecordInvalid as invalid:
        error = invalid
    if error is None:
        assert json.loads(sent)["attributes"] == {name: value}
        return
    assert error.code
    assert error.reason
    if isinstance(value, str) and len(value) > 20 and value not in name:
        assert value not in error.reason
