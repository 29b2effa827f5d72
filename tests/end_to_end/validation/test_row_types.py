"""Any row a database can return becomes a record that arrives as it is, or a refusal with its reason."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import MoEngageTrackDevicesOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import Tracker

ZONE = timezone.utc
ROWS = 100
few = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

moments = st.datetimes(
    datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.none() | st.just(timezone.utc)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.decimals()
    | st.text(max_size=20)
    | st.text(st.characters(), max_size=3)
    | st.sampled_from(
        ["\ud83d\ude00", "\ud83d", "x" * 513, "2020-01-01", "2021-02-30", "2020-01-01 10:00:00", "\0"]
    )
    | moments
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.binary(max_size=4)
)
values = (
    scalars
    | st.lists(scalars, max_size=4)
    | st.lists(st.text(max_size=5), max_size=60)
    | st.dictionaries(st.text(max_size=4), scalars, max_size=3)
    | st.dictionaries(
        st.text(max_size=4), st.dictionaries(st.text(max_size=4), scalars, max_size=2), max_size=2
    )
)
names = st.sampled_from(
    ["plan", "points", "Born", "the name", "naïve", "a.b", "moe_x", "t_rev", "status", "_id"]
)


def ids(number: int, odd: Any) -> Any:
    """Return an id of the drawn kind that no other row has; None where it can be none."""
    if isinstance(odd, str):
        return f"{odd}-{number}"
    if isinstance(odd, (int, Decimal)) and not isinstance(odd, bool):
        return type(odd)(10_000 + number)
    return f"id-{number}" if isinstance(odd, (float, list)) else odd


id_kinds = (
    st.text(max_size=4) | st.integers() | st.floats() | st.floats() | st.none() | st.booleans() | st.binary()
)


def expected(value: Any) -> Any:
    """What MoEngage has to store; written anew, from the documented conversion alone."""
    if value is None or isinstance(value, (bool, int, UUID)):
        return str(value) if isinstance(value, UUID) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=ZONE)
        return aware.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    if isinstance(value, list):
        return [expected(one) for one in value]
    if isinstance(value, dict):
        # A NULL in an object is left out.
        return {key: sent for key, one in value.items() if (sent := expected(one)) is not None}
    assert not isinstance(value, (time, timedelta, bytes)), "has no place in JSON"
    raise AssertionError(type(value))


def stripped(name: str) -> str:
    """A column's name without what cannot be seen at its ends."""
    blank = [one.isspace() or one in "\u180e\u200b\u200c\u200d\u2060\ufeff" for one in name]
    seen = [place for place, is_blank in enumerate(blank) if not is_blank]
    return name[seen[0] : seen[-1] + 1] if seen else ""


def stored_of(row: dict[str, Any], kept_out: tuple[str, ...]) -> dict[str, Any]:
    attributes = {stripped(name): expected(value) for name, value in row.items() if name not in kept_out}
    return {name: value for name, value in attributes.items() if value is not None}


def run(
    track: Tracker, operator: type[MoEngageSendOperator], rows: list[Any], **parameters: Any
) -> dict[str, Any]:
    track.sandbox.reset()
    track.sandbox.settings(
        **{
            f"{q}_per_minute": 10_000_000 for q in ("users", "events", "devices", "bulk_users", "bulk_events")
        },
        bulk_devices_per_minute=10_000_000,
        object_attributes=True,
        max_user_attributes=1_000_000,
        bulk_strict=False,
    )
    report = track.using(operator)(max_rejected=10_000, **parameters)
    assert report["accepted"] + report["rejected"] == report["read"] == len(rows)
    assert sum(report["reasons"].values()) == report["rejected"]
    assert all(report["reasons"])
    # What begins unlike the documented form but looks like a date is stored as it came.
    assert [one for one in track.sandbox.bent() if not one["what"].startswith("stored as a string")] == []
    return report


def written(row: Any) -> str:
    return expected(str(row["customer_id"])).strip()


users = st.lists(
    st.tuples(id_kinds, st.dictionaries(names | st.text(max_size=8), values, max_size=3)),
    min_size=ROWS,
    max_size=ROWS,
)


def rows_of(drawn: list[tuple[Any, dict[str, Any]]], **more: Any) -> list[dict[str, Any]]:
    return [{**row, **more, "customer_id": ids(number, odd)} for number, (odd, row) in enumerate(drawn)]


@given(users)
@few
def check_users(track: Tracker, drawn: list[Any]) -> None:
    rows = rows_of(drawn)
    report = run(track, MoEngageTrackUsersOperator, rows, users=rows, timezone="UTC")
    by_id = {written(row): row for row in rows if row["customer_id"] is not None}
    found = track.attributes()
    assert len(found) == report["accepted"]
    for customer_id, attributes in found.items():
        if customer_id in by_id:
            sent = stored_of(by_id[customer_id], ("customer_id",))
            # An empty array unsets.
            assert attributes == {name: value for name, value in sent.items() if value != []}


@given(users)
@few
def check_events(track: Tracker, drawn: list[Any]) -> None:
    rows = rows_of(drawn, action="seen", event_time=1_433_837_969)
    report = run(track, MoEngageTrackEventsOperator, rows, events=rows, timezone="UTC")
    by_id = {written(row): row for row in rows if row["customer_id"] is not None}
    found = track.sandbox.events()
    assert len(found) == report["accepted"]
    for event in found:
        row = by_id.get(event["customer_id"])
        if row is not None:
            assert event["attributes"] == stored_of(row, ("customer_id", "action", "event_time"))


@given(users, st.lists(values, min_size=ROWS, max_size=ROWS))
@few
def check_event_times(track: Tracker, drawn: list[Any], times: list[Any]) -> None:
    rows = rows_of([(odd, {}) for odd, _ in drawn], action="seen")
    rows = [{**row, "event_time": moment} for row, moment in zip(rows, times, strict=True)]
    report = run(track, MoEngageTrackEventsOperator, rows, events=rows, timezone="UTC")
    assert len(track.sandbox.events()) == report["accepted"]
    by_id = {written(row): row for row in rows if row["customer_id"] is not None}
    for event in track.sandbox.events():
        moment = by_id[event["customer_id"]]["event_time"]
        if isinstance(moment, datetime):
            assert event["time"] == expected(moment)


@given(users)
@few
def check_bulk(track: Tracker, drawn: list[Any]) -> None:
    rows = [
        {"type": "customer", "customer_id": ids(number, odd), "attributes": row}
        if number % 2
        else {
            "type": "event",
            "customer_id": ids(number, odd),
            "actions": [{"action": "seen", "attributes": row}],
        }
        for number, (odd, row) in enumerate(drawn)
    ]
    report = run(track, MoEngageBulkImportOperator, rows, elements=rows, timezone="UTC")
    by_id = {written(row): row for row in rows if row["customer_id"] is not None}
    customers = {k: v for k, v in track.attributes().items() if by_id.get(k, {}).get("type") == "customer"}
    events = track.sandbox.events()
    for customer_id, attributes in customers.items():
        sent = stored_of(by_id[customer_id]["attributes"], ())
        assert attributes == {name: value for name, value in sent.items() if value != []}
    for event in events:
        if event["customer_id"] in by_id:
            sent = by_id[event["customer_id"]]["actions"][0]["attributes"]
            assert event["attributes"] == stored_of(sent, ())
    assert len(track.sandbox.requests()) == report["requests"]


devices = st.lists(
    st.fixed_dictionaries(
        {"platform": st.sampled_from(["iOS", "ANDROID", "ios", None, 5]), "push_id": scalars | st.just("p")},
        optional={
            "device_id": values,
            "model": values,
            "moe_push_opted": st.sampled_from(["True", "true", True, None]),
            "other": scalars,
        },
    ),
    min_size=ROWS,
    max_size=ROWS,
)


@given(devices)
@few
def check_devices(track: Tracker, drawn: list[Any]) -> None:
    rows = [{"device_id": f"d{n}", **row, "customer_id": f"user-{n}"} for n, row in enumerate(drawn)]
    everyone = [{"type": "customer", "customer_id": row["customer_id"], "attributes": {}} for row in rows]
    elements = [
        {
            "type": "device",
            **{name: row[name] for name in ("customer_id", "device_id")},
            "attributes": {name: row[name] for name in row if name not in ("customer_id", "device_id")},
        }
        for row in rows
    ]
    report = run(track, MoEngageBulkImportOperator, [*everyone, *elements], elements=[*everyone, *elements])
    stored = track.sandbox.devices()
    assert len(stored) == report["accepted"] - len(rows)
    track.using(MoEngageTrackDevicesOperator)
    again = track(devices=rows, max_rejected=10_000)
    assert len(track.sandbox.devices()) == again["accepted"] == len(stored)
    assert track.sandbox.bent() == []


@pytest.mark.parametrize(
    "check",
    [check_users, check_events, check_event_times, check_bulk, check_devices],
    ids=lambda one: one.__name__,
)
def test_any_row_arrives_as_it_is_or_is_refused_with_a_reason(track: Tracker, check: Any):
    track.may_bend = True
    check(track)


@pytest.mark.parametrize("column", ["push_id", "device_id", "model"])
def test_a_value_nested_without_end_is_refused_alone(track: Tracker, column: str):
    endless: list[Any] = []
    endless.append(endless)
    track(users=[{"customer_id": "user-1"}])
    good = {"customer_id": "user-1", "device_id": "d1", "platform": "iOS", "push_id": "p"}
    track.using(MoEngageTrackDevicesOperator)
    report = track(devices=[{**good, column: endless}, good], max_rejected=1)
    assert (report["accepted"], report["rejected"]) == (1, 1)
