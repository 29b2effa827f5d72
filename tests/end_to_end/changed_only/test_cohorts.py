"""A cohort has the members of the query."""

from __future__ import annotations

import math
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import Tracker

COHORT = {"cohort_id": "churn-risk", "cohort_name": "Churn risk", "partner": "warehouse"}


@pytest.fixture
def sync(track: Tracker) -> Tracker:
    track.sandbox.settings(cohort_syncs_per_minute=1_000, bulk_users_per_minute=1_000_000)
    track.using(MoEngageTrackUsersOperator)(users=[{"customer_id": id_} for id_ in ids(200)], bulk=True)
    track.operator = MoEngageSyncCohortOperator
    return track


@pytest.fixture
def cohort(root: str) -> dict[str, Any]:
    return {**COHORT, "snapshot_path": root}


def ids(end: int, start: int = 0) -> list[str]:
    return [f"user-{n:06d}" for n in range(start, end)]


def members(track: Tracker, cohort_id: str = "churn-risk") -> set[str]:
    return set(track.sandbox.cohorts(cohort_id).get(cohort_id, {"members": []})["members"])


def test_the_difference_is_sent(sync: Tracker, cohort: dict[str, Any]):
    assert sync(members=ids(100), **cohort)["accepted"] == 100
    assert members(sync) == set(ids(100))
    before = sync.requests
    report = sync(members=ids(103, 5), **cohort)
    assert (report["accepted"], report["unchanged"], report["removed"], report["requests"]) == (3, 95, 5, 2)
    assert members(sync) == set(ids(103, 5))
    assert sync.requests == before + 2
    # Nothing has changed, so nothing is sent.
    assert sync(members=ids(103, 5), **cohort)["requests"] == 0


def test_members_are_added_without_removing_others(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), mode="add", **cohort)
    report = sync(members=ids(110, 90), mode="add", **cohort)
    assert (report["accepted"], report["unchanged"]) == (10, 10)
    assert "removed" not in report
    assert members(sync) == set(ids(110))


def test_members_are_removed(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    report = sync(members=ids(50), mode="remove", **COHORT)
    assert report["accepted"] == 50
    assert members(sync) == set(ids(100, 50))


def test_too_many_who_left_fail_the_task_and_stay(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    error = sync.fails(MoEngageTaskFailed, members=ids(110, 50), **cohort)
    assert "50 records of 100 left the source, more than max_removed=0.1 allows" in str(error)
    assert members(sync) == set(ids(110))


def test_an_empty_query_removes_nobody(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    assert sync(members=[], **cohort)["removed"] == 0
    assert len(members(sync)) == 100


def test_two_cohorts_do_not_share_a_snapshot(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    report = sync(members=ids(100), **{**cohort, "cohort_id": "other"})
    assert report["accepted"] == 100
    assert members(sync, "other") == set(ids(100))


def test_a_full_resync_adds_everybody_again(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    report = sync(members=ids(100), full_resync="True", **cohort)
    assert (report["accepted"], report["unchanged"], report["removed"]) == (100, 0, 0)


def test_a_dry_run_tells_who_would_be_added_and_removed(sync: Tracker, cohort: dict[str, Any]):
    sync(members=ids(100), **cohort)
    report = sync(members=ids(103, 5), validate_only=True, **cohort)
    assert (report["added"], report["unchanged"], report["removed"]) == (3, 95, 5)
    assert members(sync) == set(ids(100))


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"mode": "replace"}, "mode is 'replace'; use one of mirror, add, remove"),
        ({"cohort_name": ".hidden"}, "cohort_name"),
        (
            {"mode": "remove", "full_resync": "{{ params.all }}"},
            "mode is 'remove', which always sends every row",
        ),
        ({"max_removed": -1}, "max_removed is -1; use a whole number of members from 0"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_task_runs(parameters: dict[str, Any], error: str):
    with pytest.raises(MoEngageParameterError, match=error):
        MoEngageSyncCohortOperator(task_id="cohort", members=[], **{**COHORT, **parameters})


@pytest.mark.volume
def test_a_large_cohort_takes_as_many_requests_as_its_bytes_need(sync: Tracker, cohort: dict[str, Any]):
    many = [{"customer_id": id_} for id_ in ids(20_000)]
    sync.using(MoEngageTrackUsersOperator)(users=many, bulk=True)
    sync.operator = MoEngageSyncCohortOperator
    element = len(b'{"uid":"user-000000"},')
    opening = len('{"action":"add_members","partner":"warehouse","parameters":{}}') + 100

    def requests(count: int) -> int:
        return math.ceil(count * element / (128 * 1024 - opening))

    assert sync(members=ids(19_000), **cohort)["requests"] == requests(19_000)
    report = sync(members=ids(20_000, 1_000), **cohort)
    assert report["requests"] == requests(1_000) + requests(1_000)
    assert members(sync) == set(ids(20_000, 1_000))
