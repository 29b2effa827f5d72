"""Unset Attributes: named attributes and rules go, everything else stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import (
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

PROFILE = {"plan": "gold", "Plan": "silver", "tmp_a": 1, "tmp_b": 2, "a_old": 3, "kept": 4}


@pytest.fixture
def unset(track: Tracker) -> Tracker:
    track(users=[{"customer_id": f"user-{n}", **PROFILE} for n in range(2)])
    return track.using(MoEngageUnsetAttributesOperator)


def left(track: Tracker, customer_id: str = "user-0") -> set[str]:
    return set(track.attributes()[customer_id])


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        (["plan"], {"plan"}),
        (["plan", "kept"], {"plan", "kept"}),
        ([{"type": "equals", "attr": "PLAN", "case_sensitive": False}], {"plan", "Plan"}),
        ([{"type": "prefix", "attr": "tmp_"}], {"tmp_a", "tmp_b"}),
        ([{"type": "suffix", "attr": "_old"}], {"a_old"}),
        (["plan", {"type": "contains", "attr": "mp_"}], {"plan", "tmp_a", "tmp_b"}),
    ],
)
def test_what_is_named_goes_and_everything_else_stays(unset: Tracker, rules: list[Any], gone: set[str]):
    assert outcome(unset(users=["user-0"], unset=rules)) == (1, 0, 0)
    assert left(unset) == set(PROFILE) - gone
    assert left(unset, "user-1") == set(PROFILE)


def test_each_row_may_bring_its_own_list(unset: Tracker):
    rows = [
        {"customer_id": "user-0", "gone": ["plan", {"type": "prefix", "attr": "tmp_"}]},
        {"customer_id": "user-1", "gone": "kept"},
    ]
    unset(users=rows, unset_column="gone")
    assert left(unset) == {"Plan", "a_old", "kept"}
    assert left(unset, "user-1") == set(PROFILE) - {"kept"}


def test_a_database_may_hold_the_list_as_json_text(unset: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table churned (who text, gone text);")
    rows = [("user-0", '["plan", {"type": "prefix", "attr": "tmp_"}]'), ("user-1", "kept")]
    sqlite_warehouse("insert into churned values (?, ?)", rows)
    unset(sql="select * from churned", sql_conn_id="warehouse", id_column="who", unset_column="gone")
    assert left(unset) == {"Plan", "a_old", "kept"}
    assert left(unset, "user-1") == set(PROFILE) - {"kept"}


@pytest.mark.parametrize(
    "own",
    [None, [], 5, [5], [{"type": "regex", "attr": "a"}], [{"attr": "a", "more": 1}], ["customer_id"], ["id"],
     ["t_rev"], [""], {"attr": "a"}, '["a", 5]', ["half \ud83d"], [{"attr": "a", "case_sensitive": "no"}]],
)  # fmt: skip
def test_a_list_that_is_none_is_refused_with_its_reason(unset: Tracker, own: Any):
    report = unset(users=[{"customer_id": "user-0", "gone": own}], unset_column="gone", max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert left(unset) == set(PROFILE)


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "prefix", "attr": "customer"},
        {"type": "suffix", "attr": "er_id"},
        {"type": "contains", "attr": "customer_id"},
        {"type": "equals", "attr": "Customer_ID", "case_sensitive": False},
    ],
)
def test_a_rule_that_would_hit_the_customer_id_is_refused(unset: Tracker, rule: dict[str, Any]):
    unset.may_bend = True
    with pytest.raises(MoEngageParameterError, match="customer_id"):
        unset(users=["user-0"], unset=[rule])


def test_users_that_moengage_does_not_know_can_be_left_uncreated(unset: Tracker):
    unset(users=["nobody"], unset=["plan"], update_existing_only=True)
    assert "nobody" not in unset.sandbox.users()


def test_bare_ids_are_taken_from_a_template_too(unset: Tracker):
    operator = MoEngageUnsetAttributesOperator(task_id="u", users="{{ ids }}", unset=["plan"])
    operator.users = '["user-0", "user-1"]'
    assert outcome(operator.execute({})) == (2, 0, 0)
    assert "plan" not in left(unset) | left(unset, "user-1")


def test_a_source_without_the_column_ends_the_task_first(
    unset: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table churned (customer_id text);")
    error = unset.fails(
        MoEngageTaskFailed, sql="select * from churned", sql_conn_id="warehouse", unset_column="gone"
    )
    assert "unset_column=" in str(error)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, ("unset=", "unset_column=")),
        ({"unset": ["a"], "unset_column": "b"}, ("unset=", "unset_column=")),
        ({"unset": []}, ("unset",)),
        ({"unset": [5]}, ("unset",)),
        ({"unset": ["customer_id"]}, ("unset", "customer_id")),
        ({"unset": ["_id"]}, ("unset", "'_id'")),
        ({"unset": ["geo"]}, ("unset", "'geo'")),
        ({"unset": [{"type": "regex", "attr": "a"}]}, ("unset", "type")),
        ({"unset_column": ""}, ("unset_column",)),
        ({"unset": ["a"], "id_column": 5}, ("id_column",)),
        ({"unset": ["a"], "update_existing_only": "yes"}, ("update_existing_only",)),
        ({"unset": ["a"], "users": None}, ("users=",)),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageUnsetAttributesOperator(task_id="unset", **{"users": [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)


def test_track_users_is_not_touched(unset: Tracker):
    """The two operators share an endpoint: what one sets, the other unsets."""
    unset.using(MoEngageTrackUsersOperator)(users=[{"customer_id": "user-0", "plan": None}], nulls="unset")
    assert left(unset) == set(PROFILE) - {"plan"}
