"""A value that nobody can convert is one rejected row, wherever it stands and whoever made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import parts
from tests.end_to_end.tracker import Tracker
from tests.support.strange_values import REJECTED, VALUES

STRANGE = [value for value, _ in VALUES.values()]
ALL = len(VALUES)


def run(
    track: Tracker, folder: Path, operator: type[MoEngageSendOperator], **parameters: Any
) -> dict[str, Any]:
    track.may_bend = True
    report = track.using(operator)(max_rejected=10_000, rejected_path=str(folder), **parameters)
    for part in parts(folder):
        assert "PRIVATE" not in part.read_text()
        for line in part.read_text().splitlines():
            json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert all(report["reasons"])
    return report


def sent(track: Tracker) -> list[Any]:
    """Everything that was sent of users and events, by id."""
    bodies = [call["body"] for call in track.sandbox.requests()]
    return [element for body in bodies for element in body.get("elements", [body])]


@pytest.mark.parametrize("bulk", [False, True])
def test_as_an_attribute_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path, bulk: bool):
    rows = [{"customer_id": f"user-{n}", "value": value} for n, value in enumerate(STRANGE)]
    run(track, tmp_path, MoEngageTrackUsersOperator, users=rows, bulk=bulk)
    found = {user["customer_id"]: user["attributes"] for user in sent(track)}
    for number, (what, (_, expected)) in enumerate(VALUES.items()):
        attributes = found.get(f"user-{number}", REJECTED)
        if expected is None or expected is REJECTED:
            assert attributes == (REJECTED if expected is REJECTED else {}), what
        else:
            assert attributes == {"value": expected}, what
            assert type(attributes["value"]) is type(expected)


def test_as_an_events_attribute_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    rows = [
        {"customer_id": f"user-{n}", "action": "seen", "event_time": 5, "value": value}
        for n, value in enumerate(STRANGE)
    ]
    run(track, tmp_path, MoEngageTrackEventsOperator, events=rows)
    found = {event["customer_id"]: event["actions"][0]["attributes"] for event in sent(track)}
    for number, (what, (_, expected)) in enumerate(VALUES.items()):
        attributes = found.get(f"user-{number}", REJECTED)
        if expected is None or expected is REJECTED:
            assert attributes == (REJECTED if expected is REJECTED else {}), what
        else:
            assert attributes == {"value": expected}, what


def test_inside_an_array_or_object_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    arrays = [{"customer_id": f"array-{n}", "value": [value]} for n, value in enumerate(STRANGE)]
    objects = [
        {"customer_id": f"object-{n}", "value": {"a": value, "b": 1}} for n, value in enumerate(STRANGE)
    ]
    elements = [
        {"type": "customer", "customer_id": row["customer_id"], "attributes": {"value": row["value"]}}
        for row in objects
    ]
    run(track, tmp_path, MoEngageTrackUsersOperator, users=[*arrays, *objects])
    found = {user["customer_id"]: user["attributes"].get("value") for user in sent(track)}
    for number, (what, (_, expected)) in enumerate(VALUES.items()):
        scalar = not isinstance(expected, list) and expected is not None and expected is not REJECTED
        assert found.get(f"array-{number}", REJECTED) == ([expected] if scalar else REJECTED), what
        member = (
            REJECTED if expected is REJECTED else {"b": 1} if expected is None else {"a": expected, "b": 1}
        )
        assert found.get(f"object-{number}", REJECTED) == member, what
    track.sandbox.reset()
    run(track, tmp_path, MoEngageBulkImportOperator, elements=elements)
    assert {user["customer_id"]: user["attributes"].get("value") for user in sent(track)} == {
        who: value for who, value in found.items() if who.startswith("object")
    }


@pytest.mark.parametrize(
    "kind", ["string", "number", "boolean", "datetime", "date", "json", "datetime:%d/%m/%Y"]
)
def test_under_every_type_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path, kind: str):
    rows = [{"customer_id": f"user-{n}", "value": value} for n, value in enumerate(STRANGE)]
    run(track, tmp_path, MoEngageTrackUsersOperator, users=rows, types={"value": kind}, timezone="UTC")
    found = {user["customer_id"]: user["attributes"].get("value") for user in sent(track)}
    names = dict(zip((f"user-{n}" for n in range(ALL)), VALUES, strict=True))
    stored = {names[who]: value for who, value in found.items() if value is not None}
    if kind == "string":
        assert stored["pandas ns"] == stored["arrow moment"] == stored["pandas naive"] == MOMENT
        assert stored["pandas duration"] == "00:00:00"
        assert stored["numpy days"] == "120:00:00"
        assert stored["address"] == "10.0.0.1"
        assert stored["time"] == "10:00:00"
        assert stored["numpy array"] == ["1", "2"]
        assert all(isinstance(value, (str, list, dict)) for value in stored.values())
        assert not any("never" in str(value) or "PRIVATE" in str(value) for value in stored.values())
    if kind == "number":
        assert all(type(value) in (int, float) for value in stored.values())
        assert not any(
            word in what for what in stored for word in ("duration", "day", "moment", "year", "ns")
        )
    if kind == "datetime":
        assert stored["pandas ns"] == stored["numpy day"] == stored["numpy naive"] == MOMENT
        assert stored["pandas moments"] == stored["numpy days in a list"] == [MOMENT]
    if kind == "date":
        assert stored["pandas ns"] == stored["numpy naive"] == stored["arrow day"] == "2025-01-01"


MOMENT = "2025-01-01T00:00:00Z"


def test_as_an_id_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    # A text of one character and the numbers 3 and 5 are no ids; 401 digits are one.
    good = {str(2**64 - 1), str(10**400), "gold", str(VALUES["uuid"][0])}
    for operator, noun, more in (
        (MoEngageTrackUsersOperator, "users", {"attributes": []}),
        (MoEngageTrackEventsOperator, "events", {"attributes": [], "time_column": None}),
        (MoEngageUnsetAttributesOperator, "users", {"unset": ["a"]}),
        (MoEngageTrackDevicesOperator, "devices", {}),
        (MoEngageOptOutDevicesOperator, "devices", {"action": "block"}),
        (MoEngageDeleteUsersOperator, "users", {"max_users": 1_000}),
    ):
        track.sandbox.reset()
        device = (
            {"device_id": "d1", "platform": "iOS", "push_id": "p"}
            if operator is MoEngageTrackDevicesOperator
            else {}
        )
        rows = [
            {"customer_id": value, **({"action": "seen"} if noun == "events" else {}), **device}
            for value in STRANGE
        ]
        report = run(track, tmp_path / operator.__name__, operator, **{noun: rows}, **more)
        assert report["read"] == ALL
        for element in sent(track):
            who = (
                element.get("customer_id")
                or element.get("user_identifier_value")
                or element.get("identity_value")
            )
            assert who in good, operator


def test_as_an_event_time_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    rows = [
        {"customer_id": f"user-{n}", "action": "seen", "event_time": value} for n, value in enumerate(STRANGE)
    ]
    run(track, tmp_path, MoEngageTrackEventsOperator, events=rows, timezone="UTC")
    found = {
        list(VALUES)[int(event["customer_id"].removeprefix("user-"))]: event["actions"][0]["current_time"]
        for event in sent(track)
    }
    midnight = 1_735_689_600
    dated = {
        "pandas ns", "pandas naive", "pandas zone", "numpy day", "numpy year", "numpy naive", "arrow moment", "arrow day", "day",
        "moment",
    }  # fmt: skip
    assert {what: found.pop(what) for what in dated} == dict.fromkeys(dated, midnight)
    assert set(found) <= {
        "numpy half", "numpy long", "numpy array of none", "arrow int", "arrow decimal", "fraction", "whole fraction",
        "enum of numbers",
    }  # fmt: skip


def test_in_the_apis_own_shape_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    rows = [
        row
        for n, value in enumerate(STRANGE)
        for row in (
            {
                "type": "customer",
                "customer_id": f"user-{n}",
                "attributes": {"a": 1},
                "unset_attributes": value,
            },
            {"type": "customer", "customer_id": f"user-{n}", "attributes": value},
            {"type": "event", "customer_id": f"user-{n}", "actions": [{"action": value}]},
            {"type": "event", "customer_id": f"user-{n}", "actions": value},
            {
                "type": "event",
                "customer_id": f"user-{n}",
                "actions": [{"action": "seen", "user_time": value}],
            },
            {
                "type": "event",
                "customer_id": f"user-{n}",
                "actions": [{"action": "seen", "current_time": value}],
            },
            {
                "type": "device",
                "customer_id": f"user-{n}",
                "device_id": value,
                "attributes": {"platform": "iOS", "push_id": "p"},
            },
            {"type": value, "customer_id": f"user-{n}", "attributes": {}},
            value,
        )
    ]
    rows.append({"type": "customer", "customer_id": "good", "attributes": {"a": 1}})
    report = run(track, tmp_path, MoEngageBulkImportOperator, elements=rows)
    assert report["read"] == len(rows)
    assert track.attributes()["good"] == {"a": 1}


def test_in_a_pair_or_device_each_is_sent_or_rejected_alone(track: Tracker, tmp_path: Path):
    pairs = [{"merged_user": f"user-{n}", "retained_user": value} for n, value in enumerate(STRANGE)]
    report = run(track, tmp_path / "pairs", MoEngageMergeUsersOperator, pairs=pairs)
    assert report["read"] == ALL
    for name in ("device_id", "push_id", "model", "moe_push_opted"):
        good = {"customer_id": "user-1", "device_id": "d1", "platform": "iOS", "push_id": "p"}
        devices = [{**good, name: value} for value in STRANGE]
        report = run(track, tmp_path / name, MoEngageTrackDevicesOperator, devices=devices)
        assert report["read"] == ALL
