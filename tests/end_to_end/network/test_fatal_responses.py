"""What no row could mend stops the run on the first answer, and the message says what would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage._compat import AirflowFailException
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker


def stops_at_once(track: Tracker, **parameters: Any) -> str:
    error = track.fails(MoEngageTaskFailed, users=users(40), **parameters)
    assert isinstance(error, AirflowFailException)
    report = track.ti.xcoms["report"]
    assert error.report == report
    assert outcome(report) == (0, 0, 40)
    assert report["requests"] == track.requests == 1
    assert (report["retried"], report["unknown"]) == (0, 0)
    assert "40 not sent" in str(error)
    return str(error)


def test_a_wrong_key_stops_the_run_and_names_the_key(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    connection = {**track.sandbox.connection, "password": "another"}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    said = stops_at_once(track)
    assert "401" in said
    assert "key of the Data tile" in said


def test_a_wrong_workspace_stops_the_run_and_names_the_workspace_id(
    track: Tracker, monkeypatch: pytest.MonkeyPatch
):
    connection = {**track.sandbox.connection, "login": "ANOTHER"}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    assert "Workspace ID" in stops_at_once(track)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "key of the Data tile"),
        (403, "suspended"),
        (409, "Workspace ID in the URL"),
        (415, "report it"),
        (302, "host and data_center"),
        (404, "host and data_center"),
        (405, "host and data_center"),
        (418, "host and data_center"),
    ],
)
@pytest.mark.parametrize("body", ["json", "html", "empty"])
def test_answers_about_the_account_or_undocumented_ones_stop_the_run(
    track: Tracker, status: int, remedy: str, body: str
):
    # A redirect is not followed: the credentials would go with it.
    track.sandbox.fault(kind="status", status=status, body=body, headers={"location": "/v1/elsewhere"})
    said = stops_at_once(track)
    assert str(status) in said
    assert remedy in said


def test_an_address_that_is_not_in_the_allow_list(track: Tracker):
    track.sandbox.settings(allowed_ips=["203.0.113.7"])
    assert "forwarded_for" in stops_at_once(track)


def test_a_listed_address_is_let_in(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    track.sandbox.settings(allowed_ips=["203.0.113.7"])
    connection = {**track.sandbox.connection, "extra": {"forwarded_for": "203.0.113.7"}}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    assert outcome(track(users=users(3))) == (3, 0, 0)


@pytest.mark.parametrize("body", ["html", "empty"])
def test_a_200_that_is_not_json(track: Tracker, body: str):
    track.sandbox.fault(kind="status", status=200, body=body)
    assert "proxy" in stops_at_once(track)


@pytest.mark.parametrize("type_", ["InvalidParams", "Blacklisted", "ParamsRequired", "missing HEADER value"])
def test_400s_that_concern_the_account_stop_the_run(track: Tracker, type_: str):
    track.sandbox.fault(kind="status", status=400, type=type_)
    assert type_ in stops_at_once(track)


def test_what_is_in_flight_is_still_settled(track: Tracker):
    track.sandbox.fault(kind="slow", seconds=0.2)
    track.sandbox.fault(kind="status", status=401, customer_id="user-6")
    error = track.fails(MoEngageTaskFailed, users=users(100), concurrency=8)
    report = track.ti.xcoms["report"]
    assert report["requests"] == track.requests
    assert report["accepted"] == len(track.attributes())
    assert report["rejected"] == 0
    assert report["accepted"] + report["unsent"] == 100
    assert "401" in str(error)


def test_a_connection_that_is_wrong_sends_nothing_and_counts_the_rows(
    track: Tracker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(
        "AIRFLOW_CONN_MOENGAGE_DEFAULT", '{"conn_type": "moengage", "login": "W", "password": "K"}'
    )
    error = track.fails(MoEngageTaskFailed, users=users(5))
    assert "(extra data_center) is missing" in str(error)
    assert "moengage_default" in str(error)
    assert track.requests == 0
    assert outcome(track.ti.xcoms["report"]) == (0, 0, 5)
