"""Merging and deleting cannot be undone: what could not be meant is refused before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
)
from tests.end_to_end.rows import outcome, refused, users
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def merge(track: Tracker) -> Tracker:
    track(users=users(120))
    track.sandbox.settings(merge_users_per_minute=10_000, delete_users_per_minute=10_000)
    return track.using(MoEngageMergeUsersOperator)


@pytest.fixture
def delete(merge: Tracker) -> Tracker:
    return merge.using(MoEngageDeleteUsersOperator)


def pair(merged: Any, retained: Any) -> dict[str, Any]:
    return {"merged_user": merged, "retained_user": retained}


def calls(track: Tracker, path: str) -> list[dict[str, Any]]:
    return [call for call in track.sandbox.requests() if call["path"].endswith(path)]


def test_pairs_go_fifty_a_call(merge: Tracker):
    report = merge(pairs=[pair(f"user-{n}", f"user-{n + 60}") for n in range(60)])
    assert outcome(report) == (60, 0, 0)
    assert [len(call["body"]["merge_data"]) for call in calls(merge, "/merge")] == [50, 10]
    assert set(merge.sandbox.users()) == {f"user-{n}" for n in range(60, 120)}


def test_many_may_be_merged_into_one(merge: Tracker):
    report = merge(pairs=[pair(f"user-{n}", "user-0") for n in range(1, 120)])
    assert outcome(report) == (119, 0, 0)
    assert set(merge.sandbox.users()) == {"user-0"}


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([pair("user-1", "user-1")], "merge_same"),
        ([pair(1234, "1234")], "merge_same"),
        ([pair("user-1", "user-2"), pair("user-1", "user-3")], "merge_twice"),
        ([pair("user-1", "user-2"), pair("user-1", "user-2")], "merge_twice"),
        ([pair("user-1", "user-2"), pair("user-2", "user-3")], "merge_chain"),
        ([pair("user-2", "user-3"), pair("user-1", "user-2")], "merge_chain"),
        ([pair("user-1", "user-2"), pair("user-2", "user-1")], "merge_chain"),
        ([pair("unknown", "user-1")], "blocked_customer_id"),
        ([pair("user-1", None)], "customer_id_missing"),
        ([{"merged_user": "user-1"}], "customer_id_missing"),
        ([pair("user-1", 1.5)], "customer_id_type"),
        (["user-1"], "row_type"),
    ],
)
def test_what_could_not_be_meant_is_refused_and_says_why(
    merge: Tracker, pairs: list[Any], code: str, tmp_path: Any
):
    report = merge(pairs=pairs, max_rejected=1, rejected_path=str(tmp_path))
    assert outcome(report) == (len(pairs) - 1, 1, 0)
    (line,) = refused(report["rejected_path"])
    assert (line["code"], line["position"]) == (code, len(pairs) - 1)


def test_a_source_without_the_two_columns_ends_the_task_first(
    merge: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table p (merged_user text, kept text);")
    error = merge.fails(MoEngageTaskFailed, sql="select * from p", sql_conn_id="warehouse")
    assert "'retained_user'" in str(error)


def test_users_are_deleted_one_a_call(delete: Tracker):
    report = delete(users=["user-1", {"customer_id": "user-2"}])
    assert outcome(report) == (2, 0, 0)
    assert report["missing"] == 0
    assert {k for k, u in delete.sandbox.users().items() if u["deletion_requested"]} == {"user-1", "user-2"}


def test_users_can_be_deleted_by_their_moengage_id(delete: Tracker):
    moengage_id = delete.sandbox.users()["user-7"]["id"]
    assert outcome(delete(users=[{"mid": moengage_id}], id_column="mid", identity_type="moengage_id")) == (
        1,
        0,
        0,
    )
    assert delete.sandbox.users()["user-7"]["deletion_requested"]


def test_a_user_that_moengage_does_not_know_is_done_with_or_refused(delete: Tracker):
    report = delete(users=["user-1", "nobody"])
    assert outcome(report) == (2, 0, 0)
    assert report["missing"] == 1
    report = delete(users=["user-2", "nobody"], on_missing="fail", max_rejected=1)
    assert outcome(report) == (1, 1, 0)
    assert report["missing"] == 0
    report = delete.report(MoEngageTaskFailed, users=["user-3", "nobody"], on_missing="fail")
    assert outcome(report) == (1, 1, 0)


def test_fifty_users_that_moengage_does_not_know_do_not_stop_a_run_that_ignores_them(delete: Tracker):
    report = delete(users=[f"nobody-{n}" for n in range(120)])
    assert (outcome(report), report["missing"]) == ((120, 0, 0), 120)


@pytest.mark.parametrize("source", ["list", "sql"])
def test_more_deletions_than_the_guard_allows_send_nothing(
    delete: Tracker, source: str, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table gone (customer_id text);")
    sqlite_warehouse("insert into gone values (?)", [(f"user-{n}",) for n in range(11)])
    rows: dict[str, Any] = (
        {"users": [f"user-{n}" for n in range(11)]}
        if source == "list"
        else {"sql": "select * from gone", "sql_conn_id": "warehouse"}
    )
    error = delete.fails(MoEngageTaskFailed, max_users=10, **rows)
    assert "max_users" in str(error)
    assert calls(delete, "/delete") == []
    assert outcome(delete(max_users=11, **rows)) == (11, 0, 0)


def test_the_guard_is_a_thousand_where_nothing_is_said(delete: Tracker):
    assert "1000" in str(delete.fails(MoEngageTaskFailed, users=[f"user-{n}" for n in range(1_001)])).replace(
        ",", ""
    )
    assert calls(delete, "/delete") == []


def test_errors_of_a_delete_with_a_body_of_their_own_are_retried(delete: Tracker):
    delete.sandbox.fault(kind="status", status=500, times=2, path="/delete")
    delete.sandbox.fault(kind="status", status=429, times=1, path="/delete", headers={"retry-after": "0"})
    report = delete(users=["user-1", "user-2"])
    assert (outcome(report), report["retried"]) == ((2, 0, 0), 3)


@pytest.mark.parametrize(
    ("operator", "parameters", "named"),
    [
        (MoEngageMergeUsersOperator, {"pairs": None}, ("pairs=", "sql=", "path=")),
        (MoEngageDeleteUsersOperator, {"users": None}, ("users=",)),
        (MoEngageDeleteUsersOperator, {"max_users": 0}, ("max_users",)),
        (MoEngageDeleteUsersOperator, {"max_users": True}, ("max_users",)),
        (MoEngageDeleteUsersOperator, {"max_users": 1.5}, ("max_users",)),
        (MoEngageDeleteUsersOperator, {"on_missing": "skip"}, ("on_missing",)),
        (MoEngageDeleteUsersOperator, {"identity_type": "id"}, ("identity_type", "'moengage_id'")),
        (MoEngageDeleteUsersOperator, {"id_column": ""}, ("id_column",)),
    ],
)
def test_wrong_parameters_are_named(operator: Any, parameters: dict[str, Any], named: tuple[str, ...]):
    rows = "pairs" if operator is MoEngageMergeUsersOperator else "users"
    with pytest.raises(MoEngageParameterError) as caught:
        operator(task_id="go", **{rows: [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)
