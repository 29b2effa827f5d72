"""Identity Resolution and Portfolio: users without a customer id, and calls that name their project."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageMergeUsersOperator
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

IDENTIFIERS = ["moe_mobile", "email"]


@pytest.fixture
def resolving(track: Tracker) -> Tracker:
    track.sandbox.settings(identifiers=IDENTIFIERS)
    return track


def stored(track: Tracker) -> list[dict[str, Any]]:
    return [user["attributes"] for user in track.sandbox.users().values()]


def test_a_user_with_an_identifier_needs_no_customer_id(resolving: Tracker):
    rows = [
        {"moe_mobile": "919876543210", "plan": "gold"},
        {"customer_id": None, "email": "a@example.com", "plan": "free"},
        {"customer_id": "user-1", "plan": "none"},
        {"attributes": {"email": "b@example.com"}},
    ]
    report = resolving(users=rows, identifiers=IDENTIFIERS)
    assert outcome(report) == (4, 0, 0)
    assert sorted(stored(resolving), key=str) == sorted(
        [
            {"moe_mobile": "919876543210", "plan": "gold"},
            {"email": "a@example.com", "plan": "free"},
            {"plan": "none"},
            {"email": "b@example.com"},
        ],
        key=str,
    )
    assert [("customer_id" in call["body"]) for call in resolving.sandbox.requests()].count(True) == 1


def test_a_user_without_id_and_identifier_is_refused_with_its_reason(resolving: Tracker):
    rows = [{"plan": "gold"}, {"moe_mobile": ""}, {"email": None}]
    report = resolving(users=rows, identifiers=IDENTIFIERS, max_rejected=3)
    assert outcome(report) == (0, 3, 0)
    (reason,) = report["reasons"]
    assert "email, moe_mobile" in reason


def test_an_identifier_is_always_a_text(resolving: Tracker):
    report = resolving(users=[{"moe_mobile": 919876543210}], identifiers=IDENTIFIERS)
    assert outcome(report) == (1, 0, 0)
    assert stored(resolving) == [{"moe_mobile": "919876543210"}]


def test_without_identifiers_a_customer_id_is_needed(resolving: Tracker):
    report = resolving(users=[{"moe_mobile": "919876543210"}], max_rejected=1)
    (reason,) = report["reasons"]
    assert reason.startswith("the row has no column 'customer_id', which identifies the user")


def test_rows_of_one_identifier_keep_their_order(resolving: Tracker):
    resolving.sandbox.fault(kind="slow", seconds=0.05, rate=0.5)
    rows = [{"moe_mobile": f"91987654321{n % 3}", "step": n} for n in range(60)]
    assert outcome(resolving(users=rows, identifiers=IDENTIFIERS)) == (60, 0, 0)
    assert sorted(user["step"] for user in stored(resolving)) == [57, 58, 59]
    for user in resolving.sandbox.users().values():
        steps = [update["step"] for update in user["history"]]
        assert steps == sorted(steps)


def test_a_text_of_two_surrogates_does_not_end_the_run(resolving: Tracker):
    rows = [{"moe_mobile": "919876543210", "face": "\ud83d\ude00"}, {"moe_mobile": "919876543211"}]
    report = resolving(users=rows, identifiers=IDENTIFIERS, max_rejected=1)
    assert report["accepted"] >= 1


def test_an_event_names_its_user_by_identifiers(resolving: Tracker):
    resolving.using(MoEngageTrackEventsOperator)
    rows = [
        {"moe_mobile": "919876543210", "action": "seen", "event_time": 1_433_837_969, "page": "home"},
        {"moe_mobile": "919876543210", "action": "left", "event_time": 1_433_837_970, "page": "home"},
        {"customer_id": "user-1", "action": "seen", "event_time": 1_433_837_969, "page": "home"},
        {"user_identifiers": {"email": "a@example.com"}, "actions": [{"action": "seen"}]},
    ]
    report = resolving(events=rows, identifiers=IDENTIFIERS, concurrency=1)
    assert outcome(report) == (4, 0, 0)
    first, second, third = (call["body"] for call in resolving.sandbox.requests())
    assert first["user_identifiers"] == {"moe_mobile": "919876543210"}
    assert "customer_id" not in first
    assert [action["action"] for action in first["actions"]] == ["seen", "left"]
    assert first["actions"][0]["attributes"] == {"page": "home"}
    assert second["customer_id"] == "user-1"
    assert third["user_identifiers"] == {"email": "a@example.com"}
    assert len(resolving.sandbox.events()) == 4


def test_an_identifier_that_is_no_text_is_never_left_out_in_silence(resolving: Tracker):
    resolving.using(MoEngageTrackEventsOperator)
    row = {"moe_mobile": 919876543210, "email": "a@example.com", "action": "seen", "event_time": 1}
    report = resolving(events=[row], identifiers=IDENTIFIERS, max_rejected=1)
    sent = [call["body"]["user_identifiers"] for call in resolving.sandbox.requests()]
    assert report["rejected"] == 1 or sent == [{"moe_mobile": "919876543210", "email": "a@example.com"}]


def test_an_event_without_id_and_identifier_is_refused(resolving: Tracker):
    resolving.using(MoEngageTrackEventsOperator)
    report = resolving(events=[{"action": "seen", "event_time": 1}], identifiers=IDENTIFIERS, max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert "email, moe_mobile" in next(iter(report["reasons"]))


def test_user_identifiers_that_the_operator_does_not_know_are_refused(track: Tracker):
    """A workspace without Identity Resolution would ignore them without a word."""
    track.using(MoEngageTrackEventsOperator)
    row = {"customer_id": "user-1", "user_identifiers": {"email": "a@b.c"}, "actions": [{"action": "seen"}]}
    report = track(events=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)


def test_bulk_elements_name_their_user_by_identifiers(resolving: Tracker):
    resolving.using(MoEngageBulkImportOperator)
    rows = [
        {"type": "customer", "attributes": {"moe_mobile": "919876543210", "plan": "gold"}},
        {
            "type": "event",
            "user_identifiers": {"moe_mobile": "919876543210"},
            "actions": [{"action": "seen"}],
        },
    ]
    assert outcome(resolving(elements=rows, identifiers=IDENTIFIERS)) == (2, 0, 0)
    assert stored(resolving) == [{"moe_mobile": "919876543210", "plan": "gold"}]
    assert [event["action"] for event in resolving.sandbox.events()] == ["seen"]


def test_merging_is_off_where_identity_resolution_is_on(resolving: Tracker):
    resolving.using(MoEngageMergeUsersOperator)
    pairs = [{"merged_user": "user-1", "retained_user": "user-2"}]
    report = resolving.report(MoEngageTaskFailed, pairs=pairs)
    assert outcome(report) == (0, 0, 1)


def test_a_csv_column_that_is_empty_is_no_customer_id(resolving: Tracker, tmp_path: Any):
    path = tmp_path / "users.csv"
    path.write_text("customer_id,moe_mobile,plan\n,919876543210,gold\n")
    assert outcome(resolving(path=str(path), identifiers=IDENTIFIERS)) == (1, 0, 0)
    assert stored(resolving) == [{"moe_mobile": "919876543210", "plan": "gold"}]


@pytest.mark.parametrize("where", ["connection", "operator", "both"])
def test_the_project_of_a_portfolio_is_named_in_every_call(
    track: Tracker, monkeypatch: pytest.MonkeyPatch, where: str
):
    track.sandbox.settings(project_code="shop")
    in_connection = {"connection": "shop", "operator": None, "both": "other"}[where]
    if in_connection:
        connection = {**track.sandbox.connection, "extra": {"project_code": in_connection}}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    parameters = {} if where == "connection" else {"project_code": "shop"}
    assert outcome(track(users=[{"customer_id": "user-1"}], **parameters)) == (1, 0, 0)
    assert track.sandbox.requests()[0]["query"] == {"project_code": "shop"}


def test_a_call_without_its_project_stops_the_run(track: Tracker):
    track.sandbox.settings(project_code="shop")
    rows = [{"customer_id": f"user-{number}"} for number in range(5)]
    report = track.report(MoEngageTaskFailed, users=rows)
    assert outcome(report) == (0, 0, 5)
    assert report["requests"] == 1
