"""Cohorts and members as they are sent, and what MoEngage does not accept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.cohorts import NOT_IN_COHORT_NAMES, Cohort, Member
from airflow_provider_moengage.records.users import Terms

FIELDS = {"cohort_id": "c1", "cohort_name": "At risk", "partner": "airflow"}


def rejected(fields: dict[str, Any]) -> MoEngageRecordInvalid:
    with pytest.raises(MoEngageRecordInvalid) as caught:
        Cohort.check({**FIELDS, **fields})
    return caught.value


def test_a_request_is_serialised_as_documented():
    cohort = Cohort.check({**FIELDS, "cohort_description": "churn above 0.8"})
    opening, closing = cohort.around("remove_members")
    body = (
        opening
        + Member.check({"uid": "a1"}).to_json()
        + b","
        + Member.check({"uid": "b2"}).to_json()
        + closing
    )
    assert json.loads(body) == {
        "action": "remove_members",
        "partner": "airflow",
        "parameters": {
            "cohort_name": "At risk",
            "cohort_id": "c1",
            "cohort_description": "churn above 0.8",
            "members": [{"uid": "a1"}, {"uid": "b2"}],
        },
    }
    assert b" " not in body.replace(b"At risk", b"").replace(b"churn above 0.8", b"")


def test_what_was_not_said_is_not_sent():
    opening, _ = Cohort.check(FIELDS).around("add_members")
    assert b"cohort_description" not in opening
    assert b"null" not in opening


@pytest.mark.parametrize("name", ["cohort_id", "cohort_name", "partner"])
@pytest.mark.parametrize(
    ("value", "fault"),
    [("", "is empty"), (" \t", "is empty"), (None, "is NULL"), (7, "is of type int; it must be a string")],
)
def test_a_field_that_is_no_text_is_named(name: str, value: Any, fault: str):
    assert rejected({name: value}).reason == f"{name} {fault}"


def test_a_description_is_a_text():
    assert "cohort_description is of type int" in rejected({"cohort_description": 7}).reason


@pytest.mark.parametrize("character", NOT_IN_COHORT_NAMES)
def test_a_character_that_names_do_not_have_is_named(character: str):
    error = rejected({"cohort_name": f"At {character} risk"})
    assert error.code == "cohort_name"
    assert error.reason == 'cohort_name has one of | * ? \\ : < > = $ " in it, which MoEngage rejects'


def test_a_name_does_not_begin_with_a_dot():
    assert (
        rejected({"cohort_name": ".At risk"}).reason
        == "cohort_name begins with a dot, which MoEngage rejects"
    )
    assert Cohort.check({**FIELDS, "cohort_name": "At.risk."})


@pytest.mark.parametrize("name", ["cohort_id", "cohort_name", "partner", "cohort_description"])
def test_half_a_surrogate_pair_cannot_be_sent(name: str):
    with pytest.raises(MoEngageRecordInvalid, match="half of a surrogate pair"):
        Cohort.check({**FIELDS, name: "half \ud83d"}).around("add_members")
    opening, closing = Cohort.check({**FIELDS, name: "whole \ud83d\ude00"}).around("add_members")
    body = json.loads(opening + closing)
    assert (body if name == "partner" else body["parameters"])[name] == "whole \U0001f600"
    assert body["parameters"]["members"] == []


@pytest.mark.parametrize(
    ("uid", "code"),
    [
        (None, "customer_id_missing"),
        ("", "customer_id_missing"),
        (7, "customer_id_type"),
        ("x", "customer_id_length"),
        ("x" * 513, "customer_id_length"),
        ("unknown", "blocked_customer_id"),
    ],
)
def test_a_member_has_a_customer_id(uid: Any, code: str):
    with pytest.raises(MoEngageRecordInvalid, match="the column") as caught:
        Member.check({"uid": uid}, Terms(names={"uid": "the column"}))
    assert caught.value.code == code
