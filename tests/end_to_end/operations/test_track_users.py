"""What the parameters mean: NULLs, zones, columns, empty sources, validation alone, order."""

from __future__ import annotations

import enum
import logging
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_moengage._compat import AirflowException, AirflowSkipException
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker


class Plan(str, enum.Enum):
    GOLD = "gold"


def one(track: Tracker, **attributes: Any) -> dict[str, Any]:
    """Send one row and give what is stored."""
    track(users=[{"customer_id": "ann", **attributes}])
    return track.attributes()["ann"]


def test_nulls_are_left_out(track: Tracker):
    track(users=[{"customer_id": "ann", "plan": "gold", "n": 1}])
    track(users=[{"customer_id": "ann", "plan": None, "n": 2}])
    assert track.attributes() == {"ann": {"plan": "gold", "n": 2}}


def test_nulls_can_unset_attributes(track: Tracker):
    track(users=[{"customer_id": "ann", "plan": "gold", "Plan": "kept", "n": 1}])
    track(users=[{"customer_id": "ann", "plan": None, "n": float("nan")}], nulls="unset")
    assert track.attributes() == {"ann": {"Plan": "kept"}}


def test_nulls_are_sent(track: Tracker):
    # What MoEngage makes of them is not documented; the sandbox says so.
    track.may_bend = True
    track(users=[{"customer_id": "ann", "plan": None}], nulls="send")
    (call,) = track.sandbox.requests()
    assert call["body"]["attributes"] == {"plan": None}


@pytest.mark.parametrize("rules", ["absent", None, [], [{"type": "prefix", "attr": "old_"}]])
def test_nulls_join_the_unset_rules_of_the_row(track: Tracker, rules: Any):
    row = {"customer_id": "ann", "attributes": {"plan": None}, "unset_attributes": rules}
    if rules == "absent":
        del row["unset_attributes"]
    track(users=[{"customer_id": "ann", "plan": "gold", "old_plan": "free", "n": 1}])
    track(users=[row], nulls="unset")
    assert track.attributes()["ann"] == (
        {"n": 1} if isinstance(rules, list) and rules else {"old_plan": "free", "n": 1}
    )


@pytest.mark.parametrize(
    "rules", [5, "plan", [5], [{"attr": "customer_id"}], [{"type": "like", "attr": "x"}]]
)
@pytest.mark.parametrize("nulls", ["skip", "unset"])
def test_unset_rules_that_are_wrong_are_refused_alone(track: Tracker, rules: Any, nulls: str):
    row = {"customer_id": "ann", "attributes": {"plan": None}, "unset_attributes": rules}
    report = track(users=[row, {"customer_id": "ben"}], nulls=nulls, max_rejected=1)
    assert outcome(report) == (1, 1, 0)


def test_only_existing_users_are_updated(track: Tracker):
    track(users=[{"customer_id": "ann", "n": 1}])
    report = track(users=[{"customer_id": "ann", "n": 2}, {"customer_id": "ben"}], update_existing_only=True)
    assert outcome(report) == (2, 0, 0)
    assert track.attributes() == {"ann": {"n": 2}}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Decimal("1.50"), 1.5),
        (Decimal("7"), 7),
        (date(2026, 2, 28), "2026-02-28"),
        (datetime(2026, 2, 28, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-02-28T06:30:00Z"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (("a", "b"), ["a", "b"]),
        (Plan.GOLD, "gold"),
        (True, True),
        ("", ""),
        ("2026-02-28T06:30:00Z", "2026-02-28T06:30:00Z"),
    ],
)
def test_types_are_kept(track: Tracker, value: Any, stored: Any):
    assert one(track, value=value) == {"value": stored}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")])
def test_what_counts_as_null_is_left_out(track: Tracker, value: Any):
    assert one(track, value=value) == {}


def test_numpy_values_arrive_as_plain_ones(track: Tracker):
    numpy = pytest.importorskip("numpy")
    values = {
        "whole": numpy.int64(5),
        "real": numpy.float64(1.5),
        "flag": numpy.bool_(True),
        "array": numpy.array([1, 2]),
        "day": numpy.datetime64("2026-02-28"),
        "missing": numpy.datetime64("NaT"),
    }
    expected = {"whole": 5, "real": 1.5, "flag": True, "array": [1, 2], "day": "2026-02-28"}
    assert one(track, **values) == expected


def test_pandas_values_arrive_as_plain_ones(track: Tracker):
    pandas = pytest.importorskip("pandas")
    values = {"a": pandas.NaT, "b": pandas.NA, "seen": pandas.Timestamp("2026-02-28", tz="UTC")}
    assert one(track, **values) == {"seen": "2026-02-28T00:00:00Z"}


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_a_numpy_datetime_never_becomes_a_number(track: Tracker, unit: str):
    numpy = pytest.importorskip("numpy")
    stored = {}
    row = {"customer_id": "ann", "seen": numpy.datetime64("2026-02-28T10:00:00", unit)}
    report = track(users=[row], timezone="UTC", max_rejected=1)
    if report["accepted"]:
        stored = track.attributes()["ann"]
    assert stored in ({}, {"seen": "2026-02-28T10:00:00Z"})


@pytest.mark.parametrize(
    ("value", "customer_id"),
    [
        (12345, "12345"),
        (12345.0, "12345"),
        (Decimal("12345"), "12345"),
        ("00123", "00123"),
        ("1_000", "1_000"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Plan.GOLD, "gold"),
    ],
)
def test_ids_are_texts(track: Tracker, value: Any, customer_id: str):
    track(users=[{"customer_id": value, "n": 1}])
    assert track.attributes() == {customer_id: {"n": 1}}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (None, {"plan_name": "gold", "ltv": 5}),
        ({"plan": "plan_name"}, {"plan": "gold"}),
        (["ltv"], {"ltv": 5}),
        ({"plan": "plan_name", "plan_again": "plan_name"}, {"plan": "gold", "plan_again": "gold"}),
    ],
)
def test_attributes_choose_and_rename(track: Tracker, attributes: Any, expected: dict[str, Any]):
    row = {"key": "ann", "plan_name": "gold", "ltv": 5}
    track(users=[row], id_column="key", attributes=attributes)
    assert track.attributes() == {"ann": expected}


def test_the_id_can_be_an_attribute_too(track: Tracker):
    track(users=[{"customer_id": "ann"}], attributes={"crm_key": "customer_id"})
    assert track.attributes() == {"ann": {"crm_key": "ann"}}


def test_rows_in_the_apis_own_shape(track: Tracker):
    rows = [
        {"type": "customer", "customer_id": "ann", "attributes": {"plan": "gold", "platforms": [
            {"platform": "ANDROID", "active": "true"}], "moe_geo_location": {"lat": 1.5, "lon": 2}}},
        {"customer_id": "ben", "attributes": {"addValueToArrayField": {"tags": ["a"]}}},
        {"customer_id": "cid", "attributes": {"n": 1}, "update_existing_only": True},
    ]  # fmt: skip
    assert outcome(track(users=rows)) == (3, 0, 0)
    assert set(track.attributes()) == {"ann", "ben"}
    assert track.attributes()["ben"] == {"tags": ["a"]}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Customer"},
        {"plan": "gold"},
        {"update_existing_only": "yes"},
        {"attributes": {"addValueToArrayField": {"tags": ["a"]}, "tags": ["b"]}},
        {
            "attributes": {
                "addValueToArrayField": {"tags": ["a"]},
                "removeValueFromArrayField": {"tags": ["b"]},
            }
        },
        {"attributes": {"addValueToArrayField": {"platforms": [1]}}},
        {"attributes": {"addValueToArrayField": {"tags": "a"}}},
        {"attributes": {"platforms": "ANDROID"}},
        {"attributes": {"platforms": True}},
        {"attributes": {"moe_geo_location": "12.1,13.2"}},
        {"attributes": {"moe_geo_location": [12.1, 13.2]}},
        {"attributes": {5: 1}},
        {"attributes": {"": 1}},
        {"attributes": {"text": "\ud800"}},
        {"attributes": {"huge": Decimal("1e400")}},
        {"attributes": {"boxes": [{"a": 1}, 2]}},
        {"attributes": {"boxes": [{"a$": 1}]}},
    ],
)
def test_records_that_moengage_would_refuse_or_bend_are_refused_alone(track: Tracker, change: dict[str, Any]):
    row = {"customer_id": "ann", "attributes": {"n": 1}, **change}
    assert outcome(track(users=[row, {"customer_id": "ben"}], max_rejected=1)) == (1, 1, 0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", "1e99999999999999999999"),
        ("number", "1,5"),
        ("boolean", "maybe"),
        ("datetime", "31.01.2026"),
        ("datetime", "2026-02-30"),
        ("datetime", "2026-01-01 25:00"),
        ("date", "yesterday"),
        ("json", "{"),
        ("json", "[" * 2_000),
    ],
)
def test_texts_that_are_not_what_types_says_are_refused_alone(track: Tracker, kind: str, text: str):
    rows = [{"customer_id": "ann", "value": text}, {"customer_id": "ben", "value": None}]
    assert outcome(track(users=rows, types={"value": kind}, max_rejected=1)) == (1, 1, 0)


def test_an_object_without_end_is_refused_alone(track: Tracker):
    box: dict[str, Any] = {}
    box["box"] = box
    report = track(users=[{"customer_id": "ann", "box": box}, {"customer_id": "ben"}], max_rejected=1)
    assert outcome(report) == (1, 1, 0)


def test_a_text_that_begins_like_a_date_may_be_one_by_word(track: Tracker):
    track.may_bend = True
    row = {"customer_id": "ann", "note": "2026-01-31 was a good day"}
    assert outcome(track(users=[row], max_rejected=1)) == (0, 1, 0)
    assert outcome(track(users=[row], types={"note": "string"})) == (1, 0, 0)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_datetimes_without_a_zone_take_the_one_given(track: Tracker, zone: str):
    track(users=[{"customer_id": "ann", "seen": datetime(2026, 1, 31, 10)}], timezone=zone)
    expected = {"UTC": "2026-01-31T10:00:00Z", "Asia/Kolkata": "2026-01-31T04:30:00Z"}[zone]
    assert track.attributes() == {"ann": {"seen": expected}}


def test_no_rows_succeed_with_a_warning(track: Tracker, caplog: pytest.LogCaptureFixture, capfd):
    assert track(users=[])["read"] == 0
    assert "no rows" in caplog.text + capfd.readouterr().out
    assert track.requests == 0


def test_no_rows_can_skip_the_task(track: Tracker):
    track.fails(AirflowSkipException, users=[], on_empty="skip")
    assert track.ti.xcoms["report"]["read"] == 0


def test_no_rows_can_fail_the_task(track: Tracker):
    error = track.fails(MoEngageTaskFailed, users=[], on_empty="fail")
    assert isinstance(error, AirflowException)
    assert error.report == track.ti.xcoms["report"]


def test_rows_that_are_all_refused_are_not_no_rows(track: Tracker):
    track(users=[{"customer_id": "x"}], max_rejected=1, on_empty="fail")


def test_validation_alone_sends_nothing(track: Tracker, caplog: pytest.LogCaptureFixture, capfd):
    caplog.set_level(logging.INFO)
    rows = [
        *(
            {"customer_id": f"user-{n}", "plan": "PRIVATE", "n": n, "seen": date(2026, 1, 31)}
            for n in range(20)
        ),
        {"customer_id": "unknown"},
    ]
    report = track(users=rows, validate_only=True, max_rejected=1)
    assert (report["read"], report["valid"], report["requests"]) == (21, 20, 0)
    assert outcome(report) == (0, 1, 0)
    assert track.requests == 0
    said = caplog.text + capfd.readouterr().out
    for line in ("Attribute n: number", "Attribute plan: string", "Attribute seen: datetime"):
        assert line in said
    assert "PRIVATE" not in said


def test_validation_alone_fails_as_sending_would(track: Tracker):
    report = track.report(
        MoEngageTaskFailed, users=[{"customer_id": "unknown"}, *users(2)], validate_only=True
    )
    assert (report["valid"], report["rejected"]) == (2, 1)
    assert track.requests == 0


@pytest.mark.parametrize("concurrency", [1, 16, None])
def test_the_rows_of_one_user_arrive_in_their_order(track: Tracker, concurrency: int | None):
    track.sandbox.fault(kind="slow", seconds=0.02, rate=0.3)
    track.sandbox.fault(kind="status", status=503, body="empty", rate=0.1)
    rows = [{"customer_id": f"user-{n % 5}", "n": n} for n in range(150)]
    assert outcome(track(users=rows, concurrency=concurrency)) == (150, 0, 0)
    for number, user in enumerate(track.sandbox.users(f"user-{n}")[f"user-{n}"] for n in range(5)):
        assert [update["n"] for update in user["history"]] == list(range(number, 150, 5))
        assert user["attributes"] == {"n": 145 + number}


def test_the_first_request_goes_alone(track: Tracker):
    track.sandbox.fault(kind="slow", seconds=0.2)
    track.sandbox.fault(kind="status", status=401, times=1)
    report = track.report(MoEngageTaskFailed, users=users(50), concurrency=16)
    assert report["requests"] == track.requests == 1
