"""Cohort sync: the members of a cohort are users who exist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of


@pytest.fixture
def people(api: Api) -> Api:
    for customer_id in ("john", "jane", "jim"):
        api.track(customer_id=customer_id)
    return api


def members(api: Api, cohort_id: str = "c1") -> list[str]:
    return api.sandbox.cohorts(cohort_id)[cohort_id]["members"]


def test_users_are_added_and_removed(people: Api) -> None:
    assert people.cohort(uids=["john", "jane"]).json()["status"] == "success"
    people.cohort(uids=["jim"])
    assert members(people) == ["john", "jane", "jim"]
    assert people.cohort("remove_members", ["jane"]).status_code == 200
    assert members(people) == ["john", "jim"]
    assert people.sandbox.bent() == []


def test_a_cohort_is_listed_with_what_was_said_of_it(people: Api) -> None:
    people.cohort(uids=["john"], cohort_description="churn above 0.8")
    people.cohort(uids=["jane"], cohort_id="c2")
    assert people.sandbox.cohorts() == {
        "c1": {
            "cohort_id": "c1",
            "cohort_name": "At risk",
            "cohort_description": "churn above 0.8",
            "partner": "airflow",
            "members": ["john"],
        },
        "c2": {
            "cohort_id": "c2",
            "cohort_name": "At risk",
            "cohort_description": None,
            "partner": "airflow",
            "members": ["jane"],
        },
    }
    assert list(people.sandbox.cohorts("c2")) == ["c2"]
    assert people.sandbox.cohorts("c3") == {}
    assert people.sandbox.state()["cohorts"] == 2


def test_more_cohorts_than_one_page_come_back_whole(people: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_moengage.sandbox.client.PAGE", 2)
    for n in range(5):
        people.cohort(cohort_id=f"c{n}")
    assert list(people.sandbox.cohorts()) == [f"c{n}" for n in range(5)]


def test_a_cohort_is_renamed_and_keeps_its_description(people: Api) -> None:
    people.cohort(cohort_description="churn above 0.8")
    people.cohort(uids=["jane"], cohort_name="Leaving")
    cohort = people.sandbox.cohorts()["c1"]
    assert (cohort["cohort_name"], cohort["cohort_description"]) == ("Leaving", "churn above 0.8")
    assert cohort["members"] == ["john", "jane"]


def test_repetitions_change_nothing(people: Api) -> None:
    people.cohort(uids=["john", "john"])
    people.cohort(uids=["john"])
    assert members(people) == ["john"]
    people.cohort("remove_members", ["jane", "jane"])
    assert members(people) == ["john"]
    assert people.sandbox.bent() == []


@pytest.mark.parametrize("action", ["add_members", "remove_members"])
def test_an_unknown_user_does_nothing_and_is_recorded(people: Api, action: str) -> None:
    people.cohort(uids=["john"])
    assert people.cohort(action, ["nobody", "john"]).status_code == 200
    assert members(people) == (["john"] if action == "add_members" else [])
    assert "nobody" not in people.sandbox.users()
    assert people.sandbox.bent() == [
        {
            "customer_id": "nobody",
            "attribute": "members",
            "what": f"{action} without effect: there is no such user",
        }
    ]


def test_removing_from_an_unknown_cohort_does_nothing_and_is_recorded(people: Api) -> None:
    assert people.cohort("remove_members").status_code == 200
    assert people.sandbox.cohorts() == {}
    assert [bent["attribute"] for bent in people.sandbox.bent()] == ["cohort_id"]


def test_a_merged_user_is_replaced_by_the_retained_one(people: Api) -> None:
    people.cohort(uids=["john", "jim"])
    people.merge(("john", "jane"), ("jane", "jim"))
    assert members(people) == ["jim"]


def test_a_reset_clears_the_cohorts(people: Api) -> None:
    people.cohort()
    people.sandbox.reset()
    assert people.sandbox.cohorts() == {}


@pytest.mark.parametrize(
    "name", [".At risk", *(f"At {character} risk" for character in '|*?\\:<>=$"'), "", " ", 5, None]
)
def test_a_name_that_is_not_allowed_is_a_400(people: Api, name: Any) -> None:
    response = people.cohort(cohort_name=name)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == "cohort_name"
    assert people.sandbox.cohorts() == {}


@pytest.mark.parametrize("name", ["At.risk", "a/b", "A & B, 50% (new)!", "gefährdet ✓", "-"])
def test_any_other_name_is_accepted(people: Api, name: str) -> None:
    assert people.cohort(cohort_name=name).status_code == 200


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"action": None}, "action"),
        ({"action": "replace_members"}, "action"),
        ({"partner": 5}, "partner"),
        ({"partner": ""}, "partner"),
        ({"parameters": []}, "parameters"),
        ({"cohort_id": 5}, "cohort_id"),
        ({"cohort_id": ""}, "cohort_id"),
        ({"cohort_description": 5}, "cohort_description"),
        ({"members": {}}, "members"),
        ({"members": []}, "members"),
        ({"members": ["john"]}, "members"),
        ({"members": [{}]}, "uid"),
        ({"members": [{"uid": 5}]}, "uid"),
        ({"members": [{"uid": "john"}, {"uid": ""}]}, "uid"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_nothing_is_stored(
    people: Api, changes: dict[str, Any], attribute: str
) -> None:
    parameters = {"cohort_name": "At risk", "cohort_id": "c1", "members": [{"uid": "john"}]}
    body = {"action": "add_members", "partner": "airflow", "parameters": parameters}
    for name, value in changes.items():
        (body if name in body else parameters)[name] = value
    response = people.post(people.cohort_path, body)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == attribute
    assert people.sandbox.cohorts() == {}


@pytest.mark.parametrize("missing", ["action", "partner", "parameters"])
def test_a_field_that_is_missing_is_named(people: Api, missing: str) -> None:
    parameters = {"cohort_name": "At risk", "cohort_id": "c1", "members": [{"uid": "john"}]}
    body = {"action": "add_members", "partner": "airflow", "parameters": parameters}
    del body[missing]
    response = people.post(people.cohort_path, body)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == missing


@pytest.mark.parametrize("app_key", [None, "", "OTHER"])
def test_the_header_with_the_workspace_is_required(people: Api, app_key: str | None) -> None:
    assert people.post(people.cohort_path, {}, MOE_APPKEY=app_key).status_code == 401


def test_a_request_costs_one_unit_however_many_members_it_has(people: Api) -> None:
    people.sandbox.settings(cohort_syncs_per_minute=2)
    uids = [f"user-{n}" for n in range(4_000)]
    assert people.cohort(uids=uids).headers["x-ratelimit-remaining"] == "1"
    assert people.cohort(uids=uids).headers["x-ratelimit-remaining"] == "0"
    assert people.cohort(uids=["john"]).status_code == 429


def test_a_cohort_bears_200_000_members(api: Api) -> None:
    uids = [f"user-{n:06}" for n in range(200_000)]
    # A body of Bulk Import, and one of Cohort sync, is as large as the sandbox is told to accept.
    api.sandbox.settings(
        max_body_bytes=20_000_000, max_bulk_bytes=20_000_000, bulk_users_per_minute=200_000, requests_kept=0
    )
    for first in range(0, len(uids), 20_000):
        some = uids[first : first + 20_000]
        assert api.bulk(*({"type": "customer", "customer_id": uid} for uid in some)).status_code == 200
        assert api.cohort(uids=some).status_code == 200
    assert members(api) == uids
    assert api.sandbox.state()["bent"] == 0
