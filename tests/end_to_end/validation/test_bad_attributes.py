"""An attribute that breaks a rule costs its row, or itself alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import Tracker

#: Name → a value that breaks a rule, and a word of the reason.
BAD: dict[str, tuple[Any, str]] = {
    "bio": ("x" * 513, "over 512 characters"),
    "photo": (b"\x00", "bytes"),
    "renews": ("31/12/2025", "looks like a date"),
    "tags": (["a", 1], "mixes"),
    "address": ({"street": {"name": {"deep": 1}}}, "levels"),
    "status": ("open", "reserved"),
    "moe_own": (1, "prefix"),
    "age": ("forty", "not a number"),
}
GOOD = {"plan": "gold", "n": 1}


def count(dropped: dict[str, dict[str, int]]) -> dict[str, int]:
    return {name: sum(reasons.values()) for name, reasons in dropped.items()}


@pytest.mark.parametrize("bulk", [False, True])
def test_a_bad_attribute_is_left_out_and_counted(track: Tracker, bulk: bool):
    rows = [{"customer_id": f"user-{name}", **GOOD, name: value} for name, (value, _) in BAD.items()]
    parameters: dict[str, Any] = {"bulk": bulk, "types": {"age": "number"}}
    report = track(
        users=[{**row, "age": row.get("age")} for row in rows], on_bad_attribute="drop", **parameters
    )
    assert (report["accepted"], report["rejected"]) == (len(BAD), 0)
    assert track.attributes() == {f"user-{name}": GOOD for name in BAD}
    assert count(report["dropped"]) == dict.fromkeys(BAD, 1)
    for name, (_, word) in BAD.items():
        (reason,) = report["dropped"][name]
        assert word in reason
    report = track.report(
        MoEngageTaskFailed, users=[{**row, "age": row.get("age")} for row in rows], **parameters
    )
    assert (report["rejected"], report["dropped"]) == (len(BAD), {})


def test_ids_and_identifiers_are_never_left_out(track: Tracker):
    track.sandbox.settings(identifiers=["moe_mobile"])
    rows = [
        {"customer_id": "null", **GOOD},
        {"customer_id": b"x", **GOOD},
        {"customer_id": "user-1", "moe_mobile": b"x", **GOOD},
        {"customer_id": None, **GOOD},
    ]
    report = track.report(MoEngageTaskFailed, users=rows, identifiers=["moe_mobile"], on_bad_attribute="drop")
    assert (report["rejected"], report["dropped"]) == (4, {})


def test_rows_in_the_apis_own_shape_are_sent_without_it_too(track: Tracker):
    rows = [
        {
            "customer_id": "user-1",
            "attributes": {**GOOD, "bio": "x" * 513, "addValueToArrayField": {"tags": ["x"], "bad": [b"x"]}},
            "unset_attributes": [{"type": "equals", "attr": "old"}],
        },
        {"customer_id": "user-2", "attributes": {**GOOD, "removeValueFromArrayField": {"bad": [{}]}}},
    ]
    track.sandbox.settings(unset_attributes=True)
    report = track(users=rows, on_bad_attribute="drop")
    assert count(report["dropped"]) == {"bio": 1, "bad": 2}
    assert track.attributes()["user-1"] == {**GOOD, "tags": ["x"]}
    assert track.attributes()["user-2"] == GOOD


def test_what_is_added_to_arrays_is_left_out_by_itself(track: Tracker):
    rows = [{"customer_id": "user-1", **GOOD, "more": b"x", "fewer": "a"}]
    report = track(
        users=rows,
        add_to_arrays={"tags": "more"},
        remove_from_arrays={"others": "fewer"},
        on_bad_attribute="drop",
    )
    assert count(report["dropped"]) == {"tags": 1}
    (request,) = track.sandbox.requests()
    assert request["body"]["attributes"] == {**GOOD, "removeValueFromArrayField": {"others": ["a"]}}


@pytest.mark.parametrize("bulk", [False, True])
def test_events_are_sent_without_it_and_never_without_name_or_time(track: Tracker, bulk: bool):
    track.using(MoEngageTrackEventsOperator)
    rows = [
        {"customer_id": "user-1", "action": "seen", "event_time": 1_700_000_000, "bio": "x" * 513, **GOOD},
        {"customer_id": "user-1", "action": None, "event_time": 1_700_000_000, **GOOD},
        {"customer_id": "user-1", "action": "seen", "event_time": "never", **GOOD},
        {"customer_id": "user-1", "actions": [{"action": "own", "attributes": {**GOOD, "photo": b"x"}}]},
    ]
    report = track(events=rows, on_bad_attribute="drop", max_rejected=2, bulk=bulk)
    assert (report["accepted"], report["rejected"]) == (2, 2)
    assert count(report["dropped"]) == {"bio": 1, "photo": 1}
    assert [event["attributes"] for event in track.sandbox.events()] == [GOOD, GOOD]


def test_elements_are_sent_without_it(track: Tracker):
    track.using(MoEngageBulkImportOperator)
    elements = [
        {"type": "customer", "customer_id": "user-1", "attributes": {**GOOD, "photo": b"x"}},
        {
            "type": "event",
            "customer_id": "user-1",
            "actions": [{"action": "a", "attributes": {**GOOD, "photo": b""}}],
        },
    ]
    report = track(elements=elements, on_bad_attribute="drop")
    assert count(report["dropped"]) == {"photo": 2}


def test_a_row_that_is_refused_or_unsent_counts_for_nothing(track: Tracker, tmp_path: Path):
    rows = [{"customer_id": f"user-{n}", "photo": b"x"} for n in range(4)]
    track.sandbox.fault(kind="status", status=400, customer_id="user-1")
    track.sandbox.fault(kind="status", status=500, customer_id="user-3")
    report = track.report(
        MoEngageIncompleteRun, users=rows, on_bad_attribute="drop", concurrency=1, max_rejected=1
    )
    assert (report["accepted"], report["rejected"], report["unsent"]) == (2, 1, 1)
    assert count(report["dropped"]) == {"photo": 2}


def test_a_rehearsal_counts_them_as_well(track: Tracker):
    operator = MoEngageTrackUsersOperator(
        task_id="t",
        users=[{"customer_id": "user-1", "photo": b"x"}],
        on_bad_attribute="drop",
        validate_only=True,
    )
    report = operator.execute({})
    assert report["valid"] == 1
    assert count(report["dropped"]) == {"photo": 1}


@pytest.mark.parametrize(
    "operator", [MoEngageTrackUsersOperator, MoEngageTrackEventsOperator, MoEngageBulkImportOperator]
)
def test_another_word_is_an_error(operator: Any):
    with pytest.raises(MoEngageParameterError, match="on_bad_attribute is 'skip'; use 'reject' or 'drop'"):
        operator(task_id="t", **{operator.operation.rows: []}, on_bad_attribute="skip")


@pytest.mark.parametrize("bulk", [False, True])
def test_many_are_counted_to_the_last(track: Tracker, bulk: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    rows = [{"customer_id": f"user-{n}", "photo": b"x"} for n in range(300)]
    report = track(users=rows, on_bad_attribute="drop", bulk=bulk, max_bytes=1_000)
    assert count(report["dropped"]) == {"photo": 300}
