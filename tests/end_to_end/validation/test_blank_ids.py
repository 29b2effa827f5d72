"""Blanks at the ends of an id are no part of it, wherever an id is read; one warning a run says how many there were."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.shape.ids import BLANKS, id_text
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

#: The id, as a column of ten characters, a spreadsheet, a web page and an editor have it.
SPELLINGS = [
    "c-101     ", " c-101", "c-101\n", "\tc-101\r\n", "c-101\u00a0", "\ufeffc-101", "c-101\u200b", "\u2060c-101\u200d", "\u3000c-101 ",
    "\u200c \u200bc-101", "c-101\u2003",
]  # fmt: skip
WARNING = "Ids with blanks at their ends"


def warned(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The warnings of the run, of either kind of log."""
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [line for line in said if WARNING in line]


@pytest.mark.parametrize("bulk", [False, True])
def test_all_spellings_are_one_user_in_the_order_of_the_rows(
    track: Tracker, bulk: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    track.sandbox.fault(kind="slow", seconds=0.02, rate=0.5)
    spellings = ["c-101", *SPELLINGS]
    rows = [{"customer_id": spellings[n % len(spellings)], "step": n} for n in range(48)]
    assert outcome(track(users=rows, bulk=bulk, concurrency=16)) == (48, 0, 0)
    assert set(track.sandbox.users()) == {"c-101"}
    steps = [update["step"] for update in track.sandbox.users()["c-101"]["history"]]
    assert steps == list(range(48))
    (said,) = warned(caplog, capfd)
    assert f": {48 - 48 // len(spellings)};" in said
    assert "c-101" not in said


def test_clean_ids_are_not_warned_of(
    track: Tracker, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    track(users=[{"customer_id": "c 101"}, {"customer_id": "Zoë"}, {"customer_id": 12345}])
    assert warned(caplog, capfd) == []
    assert set(track.sandbox.users()) == {"c 101", "Zoë", "12345"}


def test_a_padded_column_of_a_database(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table c (customer_id, n); insert into c values ('c-101     ', 1), ('c-101', 2)")
    assert outcome(track(sql="select * from c order by n", sql_conn_id="warehouse")) == (2, 0, 0)
    assert track.attributes() == {"c-101": {"n": 2}}


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u200b\ufeff", "\t\n"])
def test_an_id_of_blanks_alone_is_missing(track: Tracker, blank: str):
    row = {"customer_id": blank}
    good = {"platform": "iOS", "push_id": "p"}
    runs: list[tuple[Any, dict[str, Any]]] = [
        (MoEngageTrackUsersOperator, {"users": [row]}),
        (MoEngageTrackUsersOperator, {"users": [{**row, "attributes": {}}], "bulk": True}),
        (MoEngageTrackEventsOperator, {"events": [{**row, "action": "seen"}], "time_column": None}),
        (MoEngageTrackEventsOperator, {"events": [{**row, "actions": [{"action": "seen"}]}]}),
        (MoEngageTrackDevicesOperator, {"devices": [{**row, "device_id": "d", **good}]}),
        (MoEngageOptOutDevicesOperator, {"devices": [row], "action": "block"}),
        (MoEngageUnsetAttributesOperator, {"users": [row, blank], "unset": ["plan"]}),
        (MoEngageGetUsersOperator, {"users": [row, blank]}),
        (MoEngageDeleteUsersOperator, {"users": [row, blank]}),
        (MoEngageBulkImportOperator, {"elements": [{"type": "customer", **row}]}),
    ]
    for operator, parameters in runs:
        report = track.using(operator)(**parameters, max_rejected=2)
        assert report["reasons"] == {"customer_id is missing": report["read"]}, operator
    track.using(MoEngageMergeUsersOperator)
    report = track(pairs=[{"merged_user": "c-101", "retained_user": blank}], max_rejected=1)
    assert report["reasons"] == {"retained_user is missing": 1}
    track.using(MoEngageTrackDevicesOperator)
    report = track(devices=[{"customer_id": "c-101", "device_id": blank, **good}], max_rejected=1)
    assert report["reasons"] == {"device_id is missing": 1}
    assert track.requests == 0


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_ids_of_every_operator_are_read_without_blanks(track: Tracker, spelling: str):
    track(users=[{"customer_id": "c-101", "plan": "gold"}, {"customer_id": "c-102"}])
    track.using(MoEngageTrackEventsOperator)
    track(events=[
        {"customer_id": spelling, "action": "seen", "event_time": 5},
        {"type": "event", "customer_id": spelling, "device_id": spelling, "actions": [{"action": "seen"}]},
    ])  # fmt: skip
    assert {event["customer_id"] for event in track.sandbox.events()} == {"c-101"}
    assert track.sandbox.events()[1]["device_id"] == "c-101"

    track.using(MoEngageTrackDevicesOperator)
    flat = {"customer_id": spelling, "device_id": spelling, "platform": "iOS", "push_id": spelling}
    own = {**flat, "attributes": {"platform": "iOS", "push_id": spelling}}
    del own["platform"], own["push_id"]
    track(devices=[flat, own])
    (device,) = track.sandbox.devices()
    assert (device["customer_id"], device["device_id"]) == ("c-101", "c-101")
    assert device["attributes"]["push_id"] == "c-101"

    track.using(MoEngageOptOutDevicesOperator)
    by_value = {"user_identifier_type": "customer_id", "user_identifier_value": spelling}
    track(devices=[{**by_value, "device_identifiers": [{"push_id": spelling}]}], action="block")
    assert track.sandbox.devices()[0]["blocked"] is True
    track(devices=[{"customer_id": spelling}], action="unblock")
    assert track.sandbox.devices()[0]["blocked"] is False

    track.using(MoEngageUnsetAttributesOperator)
    track(users=[spelling, {"customer_id": spelling}], unset=["plan"])
    assert track.attributes()["c-101"] == {}

    track.using(MoEngageGetUsersOperator)
    report = track(users=["c-101", spelling, {"customer_id": spelling}])
    assert (report["read"], report["found"], report["not_found"]) == (3, 1, 0)

    track.using(MoEngageMergeUsersOperator)
    report = track(pairs=[{"merged_user": spelling, "retained_user": "c-101"}], max_rejected=1)
    assert report["reasons"] == {"merged_user and retained_user are the same": 1}
    track(pairs=[{"merged_user": "c-102", "retained_user": spelling}])
    assert set(track.sandbox.users()) == {"c-101"}

    track.using(MoEngageBulkImportOperator)
    track(elements=[{"type": "customer", "customer_id": spelling, "attributes": {"n": 1}}])
    assert set(track.sandbox.users()) == {"c-101"}

    track.using(MoEngageDeleteUsersOperator)
    assert track(users=[spelling])["missing"] == 0


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_identifiers_are_read_without_blanks(track: Tracker, spelling: str):
    track.sandbox.settings(identifiers=["email"])
    rows = [
        {"email": spelling, "n": 1},
        {"email": "c-101", "n": 2},
        {"attributes": {"email": spelling, "n": 3}},
        {"customer_id": spelling, "email": " \u200b", "n": 4},
    ]
    track(users=rows, identifiers=["email"])
    sent = {call["body"]["attributes"]["n"]: call["body"] for call in track.sandbox.requests()}
    assert [sent[n]["attributes"].get("email") for n in (1, 2, 3, 4)] == ["c-101"] * 3 + [None]
    assert sent[4]["customer_id"] == "c-101"
    track.using(MoEngageTrackEventsOperator)
    events = [
        {"email": spelling, "action": "seen", "event_time": 5},
        {"user_identifiers": {"email": spelling}, "actions": [{"action": "seen"}]},
    ]
    track(events=events, identifiers=["email"])
    bodies = [call["body"] for call in track.sandbox.requests()[4:]]
    assert all(body["user_identifiers"] == {"email": "c-101"} for body in bodies)
    assert sum(len(body["actions"]) for body in bodies) == 2


blanks = st.text(st.sampled_from(BLANKS), max_size=4)
inner = st.text(max_size=6)


@given(blanks, inner, blanks)
def test_only_blanks_at_the_ends_go(before: str, text: str, after: str):
    found = id_text(f"{before}{text}{after}", RowWarnings())
    core = text.strip(BLANKS)
    assert found == (core or None)
    if core:
        assert found is not None
        assert found[0] not in BLANKS
        assert found[-1] not in BLANKS


def test_emoji_keep_their_joiners():
    family = "\U0001f468\u200d\U0001f469"
    assert id_text(family, RowWarnings()) == family
    assert json.loads(json.dumps(id_text(f"{family}\u200d", RowWarnings()))) == family


@pytest.mark.parametrize("bulk", [False, True])
def test_more_attributes_than_a_workspace_holds_are_warned_of_once(
    track: Tracker, bulk: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    track.sandbox.settings(max_user_attributes=1_000)

    def run(attributes: int) -> list[str]:
        caplog.clear()
        wide = {f"a{number}": number for number in range(attributes)}
        rows = [
            {"customer_id": "c1", **wide},
            {"customer_id": "c2", **wide},
            {"customer_id": "c3", "attributes": {**wide, "a0": [1]}},
        ]
        assert outcome(track(users=rows, bulk=bulk)) == (3, 0, 0)
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        return [line for line in said if "256" in line]

    assert run(256) == []
    (said,) = run(257)
    assert "holds 256 user attributes" in said
