"""``bulk=True``: what one call each would do, done by few calls; rows are told apart, in order and accounted for alike."""

from __future__ import annotations

import enum
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from airflow_provider_moengage.records import events as event_records
from airflow_provider_moengage.records import users as records
from tests.end_to_end.rows import attributes_of, outcome, refused, users
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import PERSON

MOMENT = 1_433_837_969
PROFILE = {"plan": "gold", "tmp_a": 1, "tmp_b": 2, "tags": ["a", "b"]}


class Plan(str, enum.Enum):
    GOLD = "gold"


def open_windows(track: Tracker) -> None:
    quotas = ("users", "events", "bulk_users", "bulk_events")
    track.sandbox.settings(
        **{f"{quota}_per_minute": 10_000_000 for quota in quotas}, window_seconds=1.0, object_attributes=True
    )


@pytest.fixture
def bulk(track: Tracker) -> Tracker:
    open_windows(track)
    return track


@pytest.fixture
def bulk_events(bulk: Tracker) -> Tracker:
    return bulk.using(MoEngageTrackEventsOperator)


@pytest.fixture
def serialised(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was serialised of records, once for each time it was."""
    seen: list[Any] = []
    plain = records.serialised

    def counted(fields: Any) -> bytes:
        seen.append(fields)
        return plain(fields)

    for module in (records, event_records):
        monkeypatch.setattr(module, "serialised", counted)
    return seen


def orders(users: int, each: int) -> Iterator[dict[str, Any]]:
    for number in range(each):
        for user in range(users):
            yield {
                "customer_id": f"user-{user}",
                "action": "Order placed",
                "event_time": MOMENT + number,
                "number": number,
                "buyer": PERSON,
            }


def stored(track: Tracker) -> list[Any]:
    """Users and events, without what differs from run to run."""
    told = ("customer_id", "attributes", "types", "updates", "history")
    found: list[Any] = [{name: user[name] for name in told} for user in track.sandbox.users().values()]
    told = ("customer_id", "action", "attributes", "time")
    found += [{name: event[name] for name in told} for event in track.sandbox.events()]
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


def used(track: Tracker) -> dict[str, int]:
    return {one["quota"]: one["used_total"] for one in track.sandbox.state()["windows"] if one["used_total"]}


def quota(track: Tracker, name: str) -> dict[str, Any]:
    (window,) = (one for one in track.sandbox.state()["windows"] if one["quota"] == name)
    return window


def spent(track: Tracker, seconds: float) -> list[int]:
    """Elements that were taken in each window; a window opens with the first one."""
    windows: list[int] = []
    began = -math.inf
    for call in track.sandbox.requests():
        if call["status"] != 200:
            continue
        # A window is spent within a fraction of its time, and the next call comes after it has ended: half of it leaves a
        # busy machine time on both sides.
        if call["at"] - began >= seconds / 2:
            windows.append(0)
            began = call["at"]
        windows[-1] += len(call["body"]["elements"])
    return windows


def both_ways(
    track: Tracker,
    operator: type[MoEngageSendOperator],
    before: Any = (),
    settings: Any = None,
    **parameters: Any,
) -> tuple[list[Any], list[Any]]:
    """What is stored after one call each, and after Bulk Import; the reports are the same but for the calls."""
    ways, reports = [], []
    for is_bulk in (False, True):
        track.sandbox.reset()
        open_windows(track)
        track.sandbox.settings(**(settings or {}))
        if before:
            track.using(MoEngageTrackUsersOperator)(users=list(before))
        report = track.using(operator)(bulk=is_bulk, **parameters)
        reports.append({name: report[name] for name in ("read", "accepted", "rejected", "reasons")})
        ways.append(stored(track))
        paths = {call["path"].split("/")[2] for call in track.sandbox.requests()[len(before) :]}
        assert (paths == {"transition"}) is is_bulk
    assert reports[0] == reports[1]
    return ways[0], ways[1]


EVERY_TYPE: dict[str, Any] = {
    "text": "gold", "naïve": "naïve ☃ 😀", "halves": "\ud83d\ude00", "empty": "", "int": 7, "big": 2**60, "bool": True,
    "float": 1.5, "decimal": Decimal("12.50"), "whole": Decimal("3E+2"), "nan": math.nan, "inf": math.inf, "null": None,
    "aware": datetime(2026, 1, 1, 10, 30, 0, 5, tzinfo=timezone.utc), "day": date(2026, 2, 28), "leap": "2024-02-29",
    "iso": "2026-01-31T23:59:59Z", "uuid": UUID(int=5), "enum": Plan.GOLD, "tags": ["a", "b"], "numbers": [1, 2.5],
    "box": {"a": {"b": 1}, "c": "d"}, "digits": "٢٠٢٦", "long": "x" * 512,
    "moe_geo_location": {"lat": 12.5, "lon": 77},
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "parameters"),
    [
        ([{"customer_id": f"user-{n}", **EVERY_TYPE, "number": n} for n in range(3)], {}),
        ([{"customer_id": 12345, "n": 1}, {"customer_id": 12345.0, "n": 2}, {"customer_id": "12345", "m": 3}], {}),
        ([{"customer_id": "user-0", "plan": None, "n": 1}, {"customer_id": "user-0", "n": None}], {"nulls": "unset"}),
        ([{"customer_id": "user-0", "plan": None, "tags": math.nan}], {"nulls": "skip"}),
        (
            [{"customer_id": "user-0", "n": " 12.50 ", "b": "yes", "at": "2026-01-01 10:00", "j": '{"a": [1]}', "d": 5}],
            {"types": {"n": "number", "b": "boolean", "at": "datetime", "j": "json", "d": "string"}, "timezone": "Asia/Kolkata"},
        ),
        ([{"customer_id": "user-0", "at": datetime(2026, 1, 1)}], {"timezone": "Asia/Kolkata"}),
        ([{"customer_id": "user-0", "new": ["c"], "gone": "x"}], {"add_to_arrays": {"tags": "new"}, "remove_from_arrays": {"others": "gone"}}),
        ([{"customer_id": "user-0", "n": 1}, {"customer_id": "nobody", "n": 1}], {"update_existing_only": True}),
        ([{"who": "user-1", "p": "gold", "rest": 1}], {"id_column": "who", "attributes": {"level": "p"}}),
        (
            [
                {"customer_id": "user-0", "attributes": {"n": Decimal(1)}, "unset_attributes": [{"type": "prefix", "attr": "tmp_"}]},
                {"type": "customer", "customer_id": "user-1", "attributes": {"n": 1}, "update_existing_only": True},
            ],
            {},
        ),
        (
            [{"customer_id": "user-0", "moe_mobile": 919876543210}, {"moe_mobile": "919876543211", "n": 1}, {"customer_id": "user-2", "n": 2}],
            {"identifiers": ["moe_mobile"]},
        ),
        (
            [{"customer_id": "user-0", "n": 1}, {"customer_id": "unknown"}, {"customer_id": "user-1", "born": "2021-02-30"}, {"n": 1}, "user-3"],
            {"max_rejected": 4},
        ),
    ],
    ids=["every type", "ids", "unset", "skip", "types", "timezone", "arrays", "existing", "columns", "own", "identifiers", "refused"],
)  # fmt: skip
def test_users_are_stored_as_single_calls_would_have(bulk: Tracker, rows: Any, parameters: dict[str, Any]):
    before = [{"customer_id": f"user-{n}", **PROFILE} for n in range(3)]
    settings = {"identifiers": parameters.get("identifiers", [])}
    single, together = both_ways(bulk, MoEngageTrackUsersOperator, before, settings, users=rows, **parameters)
    assert single == together
    assert len(single) >= 3


def test_nulls_that_are_sent_are_sent_in_bulk_too(bulk: Tracker):
    bulk.may_bend = True
    bulk(users=[{"customer_id": "user-1", "plan": None}], nulls="send", bulk=True)
    (call,) = bulk.sandbox.requests()
    (element,) = call["body"]["elements"]
    assert element["attributes"] == {"plan": None}


@pytest.mark.parametrize("source", ["sql", "csv"])
def test_tables_and_files_are_stored_as_single_calls_would_have(
    bulk: Tracker, sqlite_warehouse: Callable[..., None], tmp_path: Any, source: str
):
    rows = [
        (n, f"plan {n % 3}" if n % 5 else None, str(n / 4), "2026-01-01 10:00:00") for n in range(10, 310)
    ]
    if source == "sql":
        sqlite_warehouse("create table customers (customer_id integer, plan text, ltv text, seen text);")
        sqlite_warehouse("insert into customers values (?, ?, ?, ?)", rows)
        parameters: dict[str, Any] = {"sql": "select * from customers", "sql_conn_id": "warehouse"}
    else:
        path = tmp_path / "rows.csv"
        lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
        path.write_text("\n".join(["customer_id,plan,ltv,seen", *lines]) + "\n")
        parameters = {"path": str(path)}
    parameters |= {"types": {"ltv": "number", "seen": "datetime"}, "timezone": "UTC"}
    single, together = both_ways(bulk, MoEngageTrackUsersOperator, **parameters)
    assert single == together
    assert len(single) == 300


@pytest.mark.parametrize(
    ("rows", "parameters"),
    [
        (["user-0", "user-1", 12345], {"unset": ["plan", {"type": "prefix", "attr": "tmp_"}]}),
        ([{"who": "user-0", "gone": ["plan"]}, {"who": "user-1", "gone": "tags"}], {"unset_column": "gone", "id_column": "who"}),
        (["user-0", "nobody"], {"unset": ["plan"], "update_existing_only": True}),
        (["user-0", None, "x", "user-1"], {"unset": ["plan"], "max_rejected": 2}),
    ],
)  # fmt: skip
def test_attributes_are_unset_as_single_calls_would_have(
    bulk: Tracker, rows: Any, parameters: dict[str, Any]
):
    before = [{"customer_id": f"user-{n}", **PROFILE} for n in range(3)]
    single, together = both_ways(bulk, MoEngageUnsetAttributesOperator, before, users=rows, **parameters)
    assert single == together


@pytest.mark.parametrize(
    ("rows", "parameters"),
    [
        (list(orders(3, 4)), {}),
        ([{"customer_id": 123, "action": "seen", "event_time": datetime(2026, 1, 1, 10), "price": Decimal("1.50"), "gone": None}],
         {"timezone": "Asia/Kolkata"}),
        ([{"who": "user-1", "what": "seen", "when": str(MOMENT), "p": "1.5"}],
         {"id_column": "who", "action_column": "what", "time_column": "when", "attributes": {"price": "p"}, "types": {"price": "number"}}),
        ([{"customer_id": "user-1", "actions": [{"action": "in", "current_time": 1}, {"action": "out", "current_time": 2}]}], {}),
        ([{"moe_mobile": 919876543210, "action": "seen", "event_time": 1}], {"identifiers": ["moe_mobile"]}),
        ([{"customer_id": "user-1", "action": "", "event_time": 1}, {"customer_id": "user-1", "action": "in", "event_time": 1}],
         {"max_rejected": 1}),
    ],
    ids=["orders", "values", "columns", "own", "identifiers", "refused"],
)  # fmt: skip
def test_events_are_stored_as_single_calls_would_have(bulk: Tracker, rows: Any, parameters: dict[str, Any]):
    settings = {"identifiers": parameters.get("identifiers", [])}
    single, together = both_ways(bulk, MoEngageTrackEventsOperator, (), settings, events=rows, **parameters)
    assert single == together
    assert single


def test_units_come_from_the_windows_of_bulk_import(bulk: Tracker):
    bulk(users=users(30), bulk=True)
    bulk.using(MoEngageUnsetAttributesOperator)(users=["user-1", "user-2"], unset=["number"], bulk=True)
    bulk.using(MoEngageTrackEventsOperator)(events=list(orders(5, 4)), bulk=True)
    assert used(bulk) == {"bulk_users": 32, "bulk_events": 20}


@pytest.mark.parametrize("max_bytes", [2_000, 99_999])
def test_calls_are_packed_full_and_no_larger_than_they_may_be(bulk: Tracker, max_bytes: int):
    rows = [{"customer_id": f"user-{n}", "bio": "b" * (n * 37 % 400)} for n in range(800)]
    report = bulk(users=rows, bulk=True, max_bytes=max_bytes)
    assert outcome(report) == (800, 0, 0)
    calls = bulk.sandbox.requests()
    sizes = [int(call["headers"]["content-length"]) for call in calls]
    assert max(sizes) <= max_bytes
    assert report["requests"] == len(calls)
    # But for the last of the rows, none has room for one more.
    largest = max(
        len(json.dumps(one, separators=(",", ":"))) for call in calls for one in call["body"]["elements"]
    )
    assert sorted(sizes)[1] > max_bytes - largest - 1


def test_a_413_splits_what_one_page_of_the_documentation_allows(bulk: Tracker):
    rows = [{"customer_id": f"user-{n}", "bio": "b" * 400} for n in range(500)]
    report = bulk(users=rows, bulk=True, max_bytes=131_072)
    assert outcome(report) == (500, 0, 0)
    assert [call["status"] for call in bulk.sandbox.requests()].count(413) == 2


def test_each_record_is_serialised_once_whatever_happens_to_its_batch(bulk: Tracker, serialised: list[Any]):
    # The first call is cut by the window, refused as a whole, and some calls of its halves get no answer.
    bulk.sandbox.settings(bulk_users_per_minute=400, window_seconds=0.5)
    bulk.sandbox.fault(kind="status", status=400, customer_id="user-137")
    bulk.sandbox.fault(kind="status", status=500, after=2, times=1)
    bulk.sandbox.fault(kind="drop_after", after=4, times=1)
    report = bulk(users=users(450), bulk=True, max_rejected=1)
    assert outcome(report) == (449, 1, 0)
    assert report["retried"] > 0
    assert len(serialised) == 450


def test_each_event_is_serialised_once_whatever_happens_to_its_batch(
    bulk_events: Tracker, serialised: list[Any]
):
    bulk_events.sandbox.settings(bulk_events_per_minute=400, window_seconds=0.5)
    bulk_events.sandbox.fault(kind="status", status=400, customer_id="user-137")
    bulk_events.sandbox.fault(kind="drop_before", rate=0.1)
    report = bulk_events(events=list(orders(450, 1)), bulk=True, max_rejected=1)
    assert outcome(report) == (449, 1, 0)
    # Whose it is, and what they did.
    assert len(serialised) == 2 * 450


@pytest.mark.parametrize("bad", [(137,), (0, 500, 999), tuple(range(37, 1_000, 100))], ids=len)
def test_bad_rows_cost_calls_by_the_logarithm_and_are_refused_alone(
    bulk: Tracker, tmp_path: Any, bad: tuple[int, ...]
):
    for number in bad:
        bulk.sandbox.fault(
            kind="status", status=400, type="MissingAttributeError", customer_id=f"user-{number}"
        )
    report = bulk(users=users(1_000), bulk=True, max_rejected=len(bad), rejected_path=str(tmp_path))
    assert outcome(report) == (1_000 - len(bad), len(bad), 0)
    lines = refused(report["rejected_path"])
    assert [(line["position"], line["row"]) for line in lines] == [(n, users(1, first=n)[0]) for n in bad]
    assert {line["code"] for line in lines} == {"MissingAttributeError"}
    assert all(line["reason"] and line["request_id"] for line in lines)
    assert bulk.attributes() == attributes_of(row for n, row in enumerate(users(1_000)) if n not in bad)
    # Two calls a step, and one for what has nothing bad in it.
    assert report["requests"] <= 2 + 2 * len(bad) * math.ceil(math.log2(1_000))
    assert report["requests"] == bulk.requests


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        (MoEngageUnsetAttributesOperator, {"users": [f"user-{n}" for n in range(300)], "unset": ["plan"]}),
        (MoEngageTrackEventsOperator, {"events": list(orders(300, 1))}),
    ],
)
def test_the_other_operators_find_a_bad_row_too(bulk: Tracker, tmp_path: Any, operator: Any, parameters: Any):
    bulk.sandbox.fault(kind="status", status=400, customer_id="user-77")
    report = bulk.using(operator)(bulk=True, max_rejected=1, rejected_path=str(tmp_path), **parameters)
    assert outcome(report) == (299, 1, 0)
    (line,) = refused(report["rejected_path"])
    assert line["position"] == 77
    assert report["requests"] <= 2 + 2 * 9


@pytest.mark.volume
def test_rows_of_a_user_stay_in_order_across_many_calls_in_flight(bulk: Tracker):
    bulk.sandbox.fault(kind="status", status=400, customer_id="user-bad")
    bulk.sandbox.fault(kind="slow", seconds=0.02, rate=0.4)
    bulk.sandbox.fault(kind="status", status=500, rate=0.05)
    bulk.sandbox.fault(kind="drop_before", rate=0.03)
    bulk.sandbox.fault(kind="drop_after", rate=0.03)
    # Users come again in the next call, some calls later, or in the same one.
    rows: list[dict[str, Any]] = [
        {"customer_id": f"user-{step * 7 % 97 if step % 2 else step // 25}", "step": step, "text": "t" * 150}
        for step in range(1_500)
    ]
    rows[750]["customer_id"] = "user-bad"
    report = bulk(users=rows, bulk=True, max_bytes=3_000, concurrency=16, max_rejected=1)
    assert outcome(report) == (1_499, 1, 0)
    assert report["requests"] > 100
    assert report["retried"] > 0
    assert report["unknown"] > 0
    for customer_id, user in bulk.sandbox.users().items():
        # A call that was stored before its answer was lost is stored again as a whole.
        steps = list(dict.fromkeys(update["step"] for update in user["history"]))
        assert steps == sorted(steps), customer_id
    last: dict[str, int] = {
        row["customer_id"]: row["step"] for row in rows if row["customer_id"] != "user-bad"
    }
    assert {who: attributes["step"] for who, attributes in bulk.attributes().items()} == last


@pytest.mark.volume
def test_events_of_a_user_stay_in_order_across_many_calls_in_flight(bulk_events: Tracker):
    bulk_events.sandbox.fault(kind="slow", seconds=0.02, rate=0.4)
    bulk_events.sandbox.fault(kind="status", status=500, rate=0.1)
    report = bulk_events(events=list(orders(60, 30)), bulk=True, max_bytes=3_000)
    assert outcome(report) == (1_800, 0, 0)
    numbers = defaultdict(list)
    for event in bulk_events.sandbox.events():
        numbers[event["customer_id"]].append(event["attributes"]["number"])
    assert dict(numbers) == {f"user-{n}": list(range(30)) for n in range(60)}


@pytest.mark.volume
@pytest.mark.parametrize(("kind", "expected"), [("users", [60, 60, 60, 50]), ("events", [60, 5])])
def test_calls_are_cut_to_the_window_and_every_window_is_spent_to_the_unit(
    bulk: Tracker, kind: str, expected: list[int]
):
    seconds = 3.0
    bulk.sandbox.settings(**{f"bulk_{kind}_per_minute": 60}, window_seconds=seconds)
    rows = sum(expected)
    if kind == "users":
        report = bulk(users=users(rows), bulk=True)
    else:
        report = bulk.using(MoEngageTrackEventsOperator)(events=list(orders(rows, 1)), bulk=True)
    assert outcome(report) == (rows, 0, 0)
    assert spent(bulk, seconds) == expected
    # The first one shows how small the windows are. It opens none, so the window may end later than it says, and a second
    # one shows when.
    assert quota(bulk, f"bulk_{kind}")["rejected_429"] <= 2


def test_events_without_an_answer_are_counted_one_by_one(bulk_events: Tracker):
    bulk_events.sandbox.fault(kind="drop_after", times=1)
    rows: list[dict[str, Any]] = [
        *orders(10, 1),
        {"customer_id": "user-1", "actions": [{"action": name} for name in ("a1", "a2", "a3")]},
    ]
    report = bulk_events(events=rows, bulk=True)
    assert outcome(report) == (11, 0, 0)
    assert report["unknown"] == 13
    assert report["requests"] == 2
    assert len(bulk_events.sandbox.events()) == 26


def test_events_are_counted_once_though_their_call_is_halved_afterwards(bulk_events: Tracker):
    bulk_events.sandbox.fault(kind="drop_before", times=3)
    bulk_events.sandbox.fault(kind="status", status=400, customer_id="user-7")
    report = bulk_events(events=list(orders(40, 1)), bulk=True, max_rejected=1)
    assert outcome(report) == (39, 1, 0)
    assert report["unknown"] == 40


def test_rejecting_the_unknown_refuses_every_event_of_the_call(bulk_events: Tracker, tmp_path: Any):
    bulk_events.sandbox.fault(kind="drop_after", times=1, after=1)
    rows = list(orders(60, 1))
    report = bulk_events(
        events=rows,
        bulk=True,
        on_unknown="reject",
        max_bytes=3_000,
        max_rejected=60,
        rejected_path=str(tmp_path),
    )
    lost = [call for call in bulk_events.sandbox.requests() if call["status"] is None]
    numbers = [element["customer_id"] for call in lost for element in call["body"]["elements"]]
    assert report["unknown"] == report["rejected"] == len(numbers) > 1
    lines = refused(report["rejected_path"])
    assert [line["row"]["customer_id"] for line in lines] == numbers
    assert {line["code"] for line in lines} == {"unknown"}
    # None is there twice.
    assert len(bulk_events.sandbox.events()) == 60


def test_nothing_is_sent_where_rows_are_only_validated(bulk: Tracker, tmp_path: Any):
    rows = [*users(300), {"customer_id": "unknown"}]
    report = bulk(users=rows, bulk=True, validate_only=True, max_rejected=1, rejected_path=str(tmp_path))
    assert (report["valid"], report["rejected"], report["accepted"]) == (300, 1, 0)
    bulk.using(MoEngageUnsetAttributesOperator)(users=["user-1"], unset=["a"], bulk=True, validate_only=True)
    report = bulk.using(MoEngageTrackEventsOperator)(events=list(orders(9, 9)), bulk=True, validate_only=True)
    assert report["valid"] == 81
    assert bulk.requests == 0


@pytest.mark.parametrize("validate_only", [False, True])
def test_a_row_too_large_for_a_call_is_refused_alone(bulk: Tracker, tmp_path: Any, validate_only: bool):
    rows = users(50)
    rows[20]["bio"] = "b" * 500
    report = bulk(
        users=rows,
        bulk=True,
        max_bytes=400,
        max_rejected=1,
        rejected_path=str(tmp_path),
        validate_only=validate_only,
    )
    assert report["valid" if validate_only else "accepted"] == 49
    (line,) = refused(report["rejected_path"])
    assert (line["position"], line["code"]) == (20, "record_size")
    assert "400 bytes" in line["reason"]


def test_max_bytes_is_the_body_to_the_byte(bulk: Tracker):
    bulk(users=users(1), bulk=True)
    size = int(bulk.sandbox.requests()[0]["headers"]["content-length"])
    assert outcome(bulk(users=users(1), bulk=True, max_bytes=size)) == (1, 0, 0)
    assert outcome(bulk(users=users(1), bulk=True, max_bytes=size - 1, max_rejected=1)) == (0, 1, 0)


def test_an_event_too_large_for_a_call_is_refused_alone(bulk_events: Tracker):
    rows = list(orders(3, 1))
    rows[1]["text"] = "t" * 500
    report = bulk_events(events=rows, bulk=True, max_bytes=400, max_rejected=1)
    assert outcome(report) == (2, 1, 0)


def test_an_event_of_more_actions_than_a_window_holds_does_not_hold_up_the_others(bulk_events: Tracker):
    bulk_events.sandbox.settings(bulk_events_per_minute=10)
    many = {"customer_id": "user-1", "actions": [{"action": f"a{n}"} for n in range(11)]}
    report = bulk_events.report(MoEngageIncompleteRun, events=[*orders(5, 1), many], bulk=True)
    assert outcome(report) == (5, 0, 1)


def test_columns_are_checked_before_the_first_call(bulk: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table customers (customer_id text, status text);")
    error = bulk.fails(MoEngageTaskFailed, sql="select * from customers", sql_conn_id="warehouse", bulk=True)
    assert "account_status" in str(error)
    assert bulk.requests == 0


@pytest.mark.parametrize(
    ("operator", "given"),
    [
        (MoEngageTrackUsersOperator, {"users": []}),
        (MoEngageUnsetAttributesOperator, {"users": [], "unset": ["plan"]}),
        (MoEngageTrackEventsOperator, {"events": []}),
    ],
)
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"bulk": "yes"}, ("bulk", "'yes'", "True or False")),
        ({"bulk": None}, ("bulk", "None")),
        ({"bulk": 1}, ("bulk", "1")),
        ({"bulk": True, "max_bytes": 0}, ("max_bytes", "0", "131072")),
        ({"bulk": True, "max_bytes": 131_073}, ("max_bytes", "131073", "131072")),
        ({"bulk": True, "max_bytes": "99999"}, ("max_bytes", "'99999'")),
        ({"bulk": True, "max_bytes": True}, ("max_bytes", "True")),
        ({"bulk": True, "max_bytes": None}, ("max_bytes", "None")),
        ({"bulk": True, "max_bytes": 1e4}, ("max_bytes", "10000.0")),
    ],
)
def test_wrong_parameters_are_named(
    operator: Any, given: Any, parameters: dict[str, Any], named: tuple[str, ...]
):
    with pytest.raises(MoEngageParameterError) as caught:
        operator(task_id="push", **{**given, **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)
