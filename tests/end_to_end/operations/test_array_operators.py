"""Values added to and removed from array attributes."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def tagged(track: Tracker) -> Tracker:
    track(users=[{"customer_id": "user-1", "tags": ["a", "b"]}])
    return track


def test_values_are_added_and_removed(tagged: Tracker):
    row = {"customer_id": "user-1", "new": ["c", "d"], "one": "vip", "plan": "gold"}
    tagged(users=[row], add_to_arrays={"tags": "new", "labels": "one"})
    assert tagged.attributes()["user-1"] == {"tags": ["a", "b", "c", "d"], "labels": ["vip"], "plan": "gold"}
    body = tagged.sandbox.requests()[-1]["body"]
    assert body["attributes"] == {
        "plan": "gold",
        "addValueToArrayField": {"tags": ["c", "d"], "labels": ["vip"]},
    }
    tagged(users=[{"customer_id": "user-1", "gone": ["a", "d"]}], remove_from_arrays={"tags": "gone"})
    assert tagged.attributes()["user-1"]["tags"] == ["b", "c"]
    body = tagged.sandbox.requests()[-1]["body"]
    assert body["attributes"] == {"removeValueFromArrayField": {"tags": ["a", "d"]}}


def test_a_null_adds_nothing(tagged: Tracker):
    row = {"customer_id": "user-1", "new": None, "gone": ["a"]}
    tagged(users=[row], add_to_arrays={"labels": "new"}, remove_from_arrays={"tags": "gone"})
    assert tagged.attributes()["user-1"] == {"tags": ["b"]}


def test_one_column_can_be_named_like_its_attribute(tagged: Tracker):
    tagged(users=[{"customer_id": "user-1", "tags": ["c"]}], add_to_arrays={"tags": "tags"})
    assert tagged.attributes()["user-1"] == {"tags": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("row", "parameters", "named"),
    [
        ({"tags": ["x"], "new": ["c"]}, {"add_to_arrays": {"tags": "new"}}, "'tags'"),
        (
            {"attributes": {"addValueToArrayField": {"t": [1]}, "removeValueFromArrayField": {"t": [1]}}},
            {},
            "'t'",
        ),
        ({"new": [1, "a"]}, {"add_to_arrays": {"tags": "new"}}, "mixes"),
        ({"new": list(range(51))}, {"add_to_arrays": {"tags": "new"}}, "50"),
        ({"new": [b"x"]}, {"add_to_arrays": {"tags": "new"}}, "bytes"),
        ({"plan": "gold"}, {"add_to_arrays": {"tags": "new"}}, "'new'"),
        ({"new": ["x"]}, {"add_to_arrays": {"platforms": "new"}}, "'platforms'"),
    ],
)
def test_clashes_and_wrong_values_are_refused_before_sending(
    tagged: Tracker, row: dict[str, Any], parameters: dict[str, Any], named: str
):
    before = tagged.requests
    report = tagged(users=[{"customer_id": "user-1", **row}], max_rejected=1, **parameters)
    assert outcome(report) == (0, 1, 0)
    assert named in next(iter(report["reasons"]))
    assert tagged.requests == before


def test_what_a_row_adds_itself_is_never_replaced_in_silence(tagged: Tracker):
    row = {
        "customer_id": "user-1",
        "attributes": {"addValueToArrayField": {"labels": ["own"]}, "new": ["c"]},
    }
    report = tagged(users=[row], add_to_arrays={"tags": "new"}, max_rejected=1)
    both = {"tags": ["a", "b", "c"], "labels": ["own"]}
    assert report["rejected"] == 1 or tagged.attributes()["user-1"] == both


def test_an_array_that_a_database_holds_as_json_text_can_be_added(tagged: Tracker, sqlite_warehouse: Any):
    sqlite_warehouse("create table more (customer_id text, new text);")
    sqlite_warehouse("insert into more values (?, ?)", [("user-1", '["c", "d"]')])
    tagged(
        sql="select * from more",
        sql_conn_id="warehouse",
        add_to_arrays={"tags": "new"},
        types={"tags": "json"},
    )
    assert tagged.attributes()["user-1"]["tags"] == ["a", "b", "c", "d"]


def test_a_column_that_the_source_does_not_have_ends_the_task_first(tagged: Tracker, sqlite_warehouse: Any):
    sqlite_warehouse("create table more (customer_id text); insert into more values ('user-1');")
    error = tagged.fails(
        MoEngageTaskFailed,
        sql="select * from more",
        sql_conn_id="warehouse",
        add_to_arrays={"tags": "new"},
    )
    assert "add_to_arrays['tags']" in str(error)


def test_bulk_elements_add_too(tagged: Tracker):
    tagged.using(MoEngageBulkImportOperator)
    row = {"type": "customer", "customer_id": "user-1", "attributes": {"new": ["c"], "gone": ["g"]}}
    report = tagged(elements=[row], add_to_arrays={"tags": "new"}, remove_from_arrays={"labels": "gone"})
    assert outcome(report) == (1, 0, 0)
    assert tagged.attributes()["user-1"]["tags"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"add_to_arrays": ["tags"]}, ("add_to_arrays", "dict")),
        ({"remove_from_arrays": "tags"}, ("remove_from_arrays", "dict")),
        ({"add_to_arrays": {"tags": None}}, ("add_to_arrays", "'tags'")),
        ({"add_to_arrays": {"t": "a"}, "remove_from_arrays": {"t": "b"}}, ("remove_from_arrays", "'t'")),
        ({"remove_from_arrays": {"_id": "a"}}, ("remove_from_arrays", "'_id'")),
        ({"identifiers": "moe_mobile"}, ("identifiers",)),
        ({"identifiers": [""]}, ("identifiers",)),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageTrackUsersOperator(task_id="push", users=[], **parameters)
    assert all(word in str(caught.value) for word in named), str(caught.value)
