"""Track Events: every event once and in its user's order, at the right second, or refused with its reason."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import PERSON

MOMENT = 1_433_837_969
ISO = "2015-06-09T08:19:29Z"


@pytest.fixture
def events(track: Tracker) -> Tracker:
    track.sandbox.settings(events_per_minute=10_000_000)
    return track.using(MoEngageTrackEventsOperator)


def orders(users: int, each: int) -> Iterator[dict[str, Any]]:
    for user in range(users):
        for number in range(each):
            yield {
                "customer_id": f"user-{user}",
                "action": "Order placed",
                "event_time": MOMENT + number,
                "number": number,
                "buyer": PERSON,
            }


def silent_events(track: Tracker) -> int:
    """Events in the requests that got no answer, each request counted once."""
    bodies = {
        json.dumps(call["body"]): call["body"] for call in track.sandbox.requests() if call["status"] is None
    }
    return sum(len(body["actions"]) for body in bodies.values())


def numbers_of(track: Tracker) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in track.sandbox.events():
        found[event["customer_id"]].append(event["attributes"]["number"])
    return found


@pytest.mark.volume
def test_an_orders_table_arrives_in_every_users_order_though_calls_fail(
    events: Tracker, sqlite_warehouse: Callable[..., None]
):
    users, each = 14_000, 5
    sqlite_warehouse(
        "create table orders (customer_id text, action text, event_time integer, number integer);"
    )
    sqlite_warehouse(
        "insert into orders values (:customer_id, :action, :event_time, :number)", orders(users, each)
    )
    for kind in ("drop_after", "drop_before"):
        events.sandbox.fault(kind=kind, rate=0.01)
    events.sandbox.fault(kind="status", status=500, rate=0.02)

    report = events(sql="select * from orders order by customer_id, number", sql_conn_id="warehouse")

    assert outcome(report) == (users * each, 0, 0)
    calls = events.sandbox.requests()
    assert report["requests"] == len(calls)
    assert report["retried"] == len(calls) - users
    assert report["unknown"] == silent_events(events) > 0
    silent = {call["body"]["customer_id"] for call in calls if call["status"] is None}
    stored = numbers_of(events)
    assert len(stored) == users
    for user, numbers in stored.items():
        if user in silent:
            assert list(dict.fromkeys(numbers)) == list(range(each)), user
        else:
            assert numbers == list(range(each)), user


def test_rejecting_the_unknown_never_makes_a_duplicate(events: Tracker, tmp_path: Any):
    events.sandbox.fault(kind="drop_after", rate=0.05)
    events.sandbox.fault(kind="drop_before", rate=0.05)
    rows = list(orders(400, 3))
    report = events(events=rows, on_unknown="reject", max_rejected=len(rows), rejected_path=str(tmp_path))
    assert report["unknown"] == report["rejected"] == silent_events(events) > 0
    assert report["accepted"] == len(rows) - report["rejected"]
    lines = refused(report["rejected_path"])
    assert {line["code"] for line in lines} == {"unknown"}
    assert len(lines) == report["rejected"]
    for user, numbers in numbers_of(events).items():
        assert numbers == [0, 1, 2], user


def test_rejecting_the_unknown_still_repeats_what_was_answered(events: Tracker):
    events.sandbox.fault(kind="status", status=503, rate=0.3)
    report = events(events=list(orders(50, 2)), on_unknown="reject")
    assert outcome(report) == (100, 0, 0)
    assert report["unknown"] == 0
    assert report["retried"] > 0


def test_a_server_that_never_answers_ends_a_run_that_rejects_the_unknown(events: Tracker):
    events.sandbox.fault(kind="drop_before")
    report = events.report(
        MoEngageIncompleteRun, events=list(orders(300, 1)), on_unknown="reject", max_rejected=300
    )
    assert report["accepted"] == 0
    assert report["unsent"] > 200
    assert report["unknown"] == report["requests"]


def test_actions_of_one_row_count_each_as_unknown(events: Tracker):
    events.sandbox.fault(kind="drop_after", times=1)
    row = {"customer_id": "user-1", "actions": [{"action": name} for name in ("a1", "a2", "a3")]}
    report = events(events=[row])
    assert report["read"] == 1
    assert report["unknown"] == 3
    assert len(events.sandbox.events()) == 6


def test_rows_of_a_user_that_stand_together_share_calls_of_up_to_128_kb(events: Tracker):
    rows = [
        {"customer_id": "user-1", "action": "seen", "event_time": MOMENT, "number": n, "text": "t" * 500}
        for n in range(600)
    ]
    report = events(events=[*rows, {**rows[0], "customer_id": "user-2"}, {**rows[0], "number": 600}])
    assert outcome(report) == (602, 0, 0)
    sizes = [int(call["headers"]["content-length"]) for call in events.sandbox.requests()]
    assert max(sizes) <= 128 * 1024
    assert len(sizes) == 5
    assert sorted(sizes)[-2] > 127 * 1024
    assert numbers_of(events)["user-1"] == list(range(601))


def test_a_refused_call_is_halved_until_the_bad_event_stands_alone(events: Tracker, tmp_path: Any):
    rows = list(orders(1, 40))
    # What the sandbox was told to take is less than what a call may hold: 413 for all but short ones.
    events.sandbox.settings(max_body_bytes=600)
    rows[17]["text"] = "t" * 500
    report = events(events=rows, max_rejected=1, rejected_path=str(tmp_path))
    assert outcome(report) == (39, 1, 0)
    assert [line["position"] for line in refused(report["rejected_path"])] == [17]
    assert numbers_of(events)["user-0"] == [number for number in range(40) if number != 17]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (MOMENT, ISO),
        (float(MOMENT) + 0.75, ISO),
        (str(MOMENT), ISO),
        (MOMENT * 1_000 + 123, ISO),
        (str(MOMENT * 1_000), ISO),
        (datetime(2015, 6, 9, 8, 19, 29, tzinfo=timezone.utc), ISO),
        (datetime(2015, 6, 9, 13, 49, 29, 999_999, tzinfo=ZoneInfo("Asia/Kolkata")), ISO),
        (datetime(2015, 6, 9, 13, 49, 29), ISO),
        ("2015-06-09 13:49:29", ISO),
        ("2015-06-09T08:19:29Z", ISO),
        ("2015-06-09T08:19:29+00:00", ISO),
        (date(2015, 6, 9), "2015-06-08T18:30:00Z"),
        (0, "1970-01-01T00:00:00Z"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc), "1969-12-31T23:59:59Z"),
        (Decimal(MOMENT), ISO),
    ],
    ids=repr,
)
def test_an_event_happened_at_its_second_and_is_sent_in_seconds(events: Tracker, value: Any, stored: str):
    events(events=[{"customer_id": "user-1", "action": "seen", "event_time": value}], timezone="Asia/Kolkata")
    (event,) = events.sandbox.events()
    assert event["time"] == stored
    sent = events.sandbox.requests()[0]["body"]["actions"][0]["current_time"]
    assert type(sent) is int
    assert sent < 10**10


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime(2026, 1, 1), "timezone="),
        ("2026-01-01 10:00:00", "timezone="),
        (date(2026, 1, 1), "timezone="),
        # Named, because names that hold the time are others in each worker of pytest-xdist.
        pytest.param(datetime.now(tz=timezone.utc) + timedelta(days=1), "future", id="datetime of tomorrow"),
        pytest.param(time.time() + 86_400, "future", id="seconds of tomorrow"),
        pytest.param((time.time() + 86_400) * 1_000, "future", id="milliseconds of tomorrow"),
        ("yesterday", "datetime"),
        ("2026-02-30", "datetime"),
        ("", "empty"),
        (None, "missing"),
        (float("nan"), "not a time"),
        (True, "bool"),
        (-1, "time"),
        (b"1", "bytes"),
        ([MOMENT], "list"),
    ],
    ids=repr,
)
def test_a_time_that_is_none_is_refused(events: Tracker, value: Any, reason: str):
    row = {"customer_id": "user-1", "action": "seen", "event_time": value}
    report = events(events=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert reason in next(iter(report["reasons"]))
    assert events.requests == 0


def test_a_minute_of_grace_for_clocks_that_differ(events: Tracker):
    row = {"customer_id": "user-1", "action": "seen", "event_time": time.time() + 40}
    assert outcome(events(events=[row])) == (1, 0, 0)


def test_no_time_column_means_the_time_of_receipt(events: Tracker):
    before = int(time.time())
    events(events=[{"customer_id": "user-1", "action": "seen", "page": "home"}], time_column=None)
    (action,) = events.sandbox.requests()[0]["body"]["actions"]
    assert action == {"action": "seen", "attributes": {"page": "home"}}
    stored = datetime.fromisoformat(events.sandbox.events()[0]["time"].replace("Z", "+00:00"))
    assert before - 1 <= stored.timestamp() <= time.time() + 1


def test_the_columns_are_parameters(events: Tracker):
    row = {"who": 12345, "what": "seen", "when": MOMENT, "p": "1.5", "rest": "kept out"}
    events(
        events=[row],
        id_column="who",
        action_column="what",
        time_column="when",
        attributes={"price": "p"},
        types={"price": "number"},
    )
    (event,) = events.sandbox.events()
    assert (event["customer_id"], event["action"], event["time"]) == ("12345", "seen", ISO)
    assert event["attributes"] == {"price": 1.5}


def test_the_apis_own_shape_is_sent_as_it_is(events: Tracker):
    row = {
        "type": "event",
        "customer_id": "user-1",
        "device_id": "device-1",
        "actions": [
            {
                "action": "seen",
                "attributes": {"price": Decimal("39.5"), "gone": None},
                "platform": "TV",
                "moe_os_type": "ROKU",
                "app_version": "1.2.3",
                "user_time": "2015-06-09T13:49:29",
                "user_timezone_offset": 19_800,
            },
            {"action": "left", "current_time": str(MOMENT * 1_000)},
        ],
    }
    events(events=[row])
    seen, left = events.sandbox.events()
    assert (seen["time"], seen["user_timezone_offset"]) == (ISO, 19_800)
    assert (seen["platform"], seen["moe_os_type"], seen["app_version"]) == ("TV", "ROKU", "1.2.3")
    assert (seen["attributes"], seen["device_id"]) == ({"price": 39.5}, "device-1")
    assert (left["action"], left["time"]) == ("left", ISO)


@pytest.mark.parametrize(
    "row",
    [
        {"customer_id": "user-1", "actions": []},
        {"customer_id": "user-1", "actions": ["seen"]},
        {"customer_id": "user-1", "actions": [{"action": "seen"}], "plan": "gold"},
        {"customer_id": "user-1", "actions": [{"action": "seen", "plan": "gold"}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "platform": "symbian"}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "platform": "iOS", "moe_os_type": "ROKU"}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "user_timezone_offset": 54_001}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "current_time": "soon"}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "current_time": datetime(2020, 1, 1)}]},
        {"customer_id": "user-1", "type": "Event", "actions": [{"action": "seen"}]},
        {"customer_id": "unknown", "actions": [{"action": "seen"}]},
        {"customer_id": "user-1", "actions": [{"action": "seen", "attributes": {"moe_own": 1}}]},
        {"customer_id": "user-1", "action": None, "event_time": 1},
        {"customer_id": "user-1", "action": "", "event_time": 1},
        {"customer_id": "user-1", "action": 5, "event_time": 1},
        {"customer_id": "user-1", "action": "n" * 201, "event_time": 1},
        {"customer_id": "user-1", "action": "MOE_own", "event_time": 1},
        {"customer_id": None, "action": "seen", "event_time": 1},
        {"customer_id": "user-1", "action": "half \ud83d", "event_time": 1},
        {"customer_id": "half \ud83d", "action": "seen", "event_time": 1},
        {"customer_id": "user-1", "action": "seen", "event_time": 1, **{f"a{n}": n for n in range(101)}},
        {"customer_id": "user-1", "action": "seen", "event_time": 1, "text": "t" * 513},
        {"customer_id": "user-1", "action": "seen", "event_time": 1, "born": "2021-02-30"},
        "seen",
    ],
)
def test_what_moengage_would_drop_or_bend_is_refused(events: Tracker, row: Any):
    report = events(events=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert sum(report["reasons"].values()) == 1
    assert events.requests == 0


def test_a_column_that_moengage_does_not_take_ends_the_task_first(
    events: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table e (customer_id text, action text, event_time int, moe_x int);")
    sql = {"sql": "select * from e", "sql_conn_id": "warehouse"}
    assert "'moe_x'" in str(events.fails(MoEngageTaskFailed, **sql))
    assert "time_column=" in str(events.fails(MoEngageTaskFailed, time_column="at", **sql))
    assert "action_column=" in str(events.fails(MoEngageTaskFailed, action_column="what", **sql))
    assert events.requests == 0


def test_the_window_is_counted_in_events(events: Tracker):
    events.sandbox.settings(events_per_minute=100, window_seconds=1.0)
    report = events(events=list(orders(25, 10)))
    assert outcome(report) == (250, 0, 0)
    assert report["throttled_seconds"] > 0
    assert all(numbers == list(range(10)) for numbers in numbers_of(events).values())


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"events": None}, ("events=", "sql=", "path=")),
        ({"on_unknown": "ignore"}, ("on_unknown", "'resend'")),
        ({"id_column": ""}, ("id_column",)),
        ({"action_column": None}, ("action_column",)),
        ({"time_column": ""}, ("time_column",)),
        ({"timezone": "Mars"}, ("timezone",)),
        ({"types": {"n": "int"}}, ("types['n']",)),
        ({"attributes": ["moe_own"]}, ("attributes", "'moe_own'")),
        ({"identifiers": [5]}, ("identifiers",)),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageTrackEventsOperator(task_id="events", **{"events": [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)
