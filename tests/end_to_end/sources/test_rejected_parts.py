"""Rejected rows that are fed back are sent as their source would be, or rejected again; no type's name becomes data."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageTrackUsersOperator,
)
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.support.strange_values import VALUES

#: Under which type what cannot be kept as it is.
LOST: dict[str | None, list[str]] = {
    "date": ["moment of no zone"],
    "json": [
        "arrow day", "arrow moment", "day", "moment", "numpy day", "numpy year", "pandas ns", "uuid"
    ],
}  # fmt: skip
INDIA = timezone(timedelta(hours=5, minutes=30))


def bodies(track: Tracker) -> dict[str, Any]:
    """What was sent of each customer."""
    return {call["body"]["customer_id"]: call["body"] for call in track.sandbox.requests()}


@pytest.mark.parametrize("kind", [None, "string", "number", "boolean", "datetime", "date", "json"])
def test_every_value_comes_back_as_what_it_was(track: Tracker, tmp_path: Path, kind: str | None):
    track.may_bend = True
    rows = [
        {"customer_id": f"user-{n}", "value": value, "moe_x": 1}
        for n, (value, _) in enumerate(VALUES.values())
    ]
    track(users=rows, max_rejected=len(rows), rejected_path=str(tmp_path))
    assert track.requests == 0
    mended = {
        "attributes": ["value"],
        "types": {"value": kind} if kind else None,
        "timezone": "Asia/Kolkata",
        "max_rejected": len(rows),
    }
    direct = track(users=rows, **mended)
    expected = bodies(track)
    track.sandbox.reset()
    again = track(path=str(tmp_path), **mended)
    found = bodies(track)
    # What has no form to be kept in, and a date under the type of JSON texts, is rejected again.
    lost = {who: body for who, body in expected.items() if who not in found}
    assert found == {who: body for who, body in expected.items() if who not in lost}
    assert sorted(list(VALUES)[int(who.removeprefix("user-"))] for who in lost) == LOST.get(kind, [])
    assert outcome(again)[:2] == (direct["accepted"] - len(lost), direct["rejected"] + len(lost))


def test_binary_ids_do_not_become_one_user(track: Tracker, tmp_path: Path):
    rows = [{"customer_id": bytes([n]), "at": datetime(2025, 1, 1, tzinfo=INDIA)} for n in range(3)]
    report = track(users=rows, max_rejected=3, rejected_path=str(tmp_path / "one"))
    assert outcome(report) == (0, 3, 0)
    again = track(path=str(tmp_path / "one"), max_rejected=3, rejected_path=str(tmp_path / "two"))
    assert outcome(again) == (0, 3, 0)
    assert again["reasons"] == report["reasons"]
    lines = [refused(tmp_path / folder) for folder in ("one", "two")]
    assert [line["row"] for line in lines[0]] == [line["row"] for line in lines[1]]
    assert track.requests == 0


@pytest.mark.parametrize(
    "value", [datetime(2025, 1, 1, tzinfo=timezone.utc), Decimal("1.5"), True, time(1), 2.0**60]
)
def test_an_id_of_a_wrong_type_is_rejected_again(track: Tracker, tmp_path: Path, value: Any):
    for operator, noun in ((MoEngageTrackUsersOperator, "users"), (MoEngageDeleteUsersOperator, "users")):
        folder = tmp_path / operator.__name__
        track.using(operator)
        report = track(**{noun: [{"customer_id": value}]}, max_rejected=1, rejected_path=str(folder))
        again = track(path=str(folder), max_rejected=1)
        assert outcome(again) == outcome(report) == (0, 1, 0)
        assert again["reasons"] == report["reasons"]
    assert track.requests == 0


def test_a_zone_or_a_type_mends_what_is_fed_back(track: Tracker, tmp_path: Path):
    naive = {
        "customer_id": "user-1",
        "seen": datetime(2025, 1, 1, 10),
        "opens": time(9),
        "lasts": timedelta(hours=1),
    }
    track(users=[naive], max_rejected=1, rejected_path=str(tmp_path))
    track(path=str(tmp_path), timezone="Asia/Kolkata", types={"opens": "string", "lasts": "string"})
    assert track.attributes() == {
        "user-1": {"seen": "2025-01-01T04:30:00Z", "opens": "09:00:00", "lasts": "01:00:00"}
    }


def test_a_date_keeps_its_day_and_a_decimal_its_digits(track: Tracker, tmp_path: Path):
    row = {
        "customer_id": "user-1",
        "day": datetime(2025, 1, 1, 2, tzinfo=INDIA),
        "price": Decimal("1.10"),
        "moe_x": 1,
    }
    track(users=[row], max_rejected=1, rejected_path=str(tmp_path))
    track(path=str(tmp_path), attributes=["day", "price"], types={"day": "date", "price": "string"})
    assert track.attributes() == {"user-1": {"day": "2025-01-01", "price": "1.10"}}


def test_what_is_kept_is_as_it_is_sent_where_that_loses_nothing(track: Tracker, tmp_path: Path):
    row = {
        "customer_id": "unknown", "price": Decimal("1.5"), "whole": Decimal("3"), "nothing": float("nan"),
        "seen": datetime(2025, 1, 1, tzinfo=timezone.utc), "box": {"a": [1, None]},
    }  # fmt: skip
    track(users=[row], max_rejected=1, rejected_path=str(tmp_path))
    (line,) = refused(tmp_path)
    assert line["row"] == {
        "customer_id": "unknown", "price": 1.5, "whole": 3, "nothing": None, "seen": "2025-01-01T00:00:00Z",
        "box": {"a": [1, None]},
    }  # fmt: skip


def test_a_row_that_looks_like_what_is_written_comes_back_as_it_was(track: Tracker, tmp_path: Path):
    box = {"$type": "bytes", "$value": "eA=="}
    rows = [{"customer_id": "user-1", "box": box}, box, {"customer_id": "user-2", "box": {"in": [box]}}]
    report = track(users=rows, max_rejected=3, rejected_path=str(tmp_path / "one"))
    again = track(path=str(tmp_path / "one"), max_rejected=3, rejected_path=str(tmp_path / "two"))
    assert outcome(again) == outcome(report) == (0, 3, 0)
    assert again["reasons"] == report["reasons"]
    for part in (tmp_path / "two").rglob("*.ndjson"):
        part.write_text(part.read_text().replace('"user-1"', '"user-7"'))
    again = track(path=str(tmp_path / "two"), max_rejected=3, types={"box": "string"})
    assert outcome(again) == (0, 3, 0)
    assert track.requests == 0


@pytest.mark.parametrize(
    "written",
    [
        {"$type": "unknown", "$value": "x"}, {"$type": "bytes", "$value": "§"}, {"$type": ["a"], "$value": 1},
        {"$type": "datetime", "$value": "soon"}, {"$type": "dict", "$value": 5}, {"$type": "unsupported", "$value": ["a"]},
    ],
)  # fmt: skip
def test_what_cannot_be_read_back_is_rejected(track: Tracker, tmp_path: Path, written: Any):
    line = {"position": 0, "reason": "r", "code": "c", "request_id": None}
    rows = [{"customer_id": "user-1", "value": written}, {"customer_id": written}, written]
    content = "".join(json.dumps({**line, "row": row}) + "\n" for row in rows)
    (tmp_path / "part-1.ndjson").write_text(content)
    report = track(path=str(tmp_path), max_rejected=3)
    assert outcome(report) == (0, 3, 0)
    assert track.requests == 0


def test_lines_that_were_no_rows_are_none_again(track: Tracker, tmp_path: Path):
    (tmp_path / "users.ndjson").write_text('{"customer_id": "ann"\n{"customer_id": "ben"}\n')
    (tmp_path / "users.csv").write_text("customer_id,a\nx1,2,3\n")
    track.using(MoEngageDeleteUsersOperator)
    for name in ("users.ndjson", "users.csv"):
        report = track(path=str(tmp_path / name), max_rejected=2, rejected_path=str(tmp_path / f"r-{name}"))
        again = track(path=str(tmp_path / f"r-{name}"), max_rejected=2)
        assert again["rejected"] == again["read"] == report["rejected"] == 1
        assert again["reasons"] == report["reasons"]


def test_the_users_own_clock_stays_what_it_is(track: Tracker, tmp_path: Path):
    action = {"action": "seen", "user_time": datetime(2025, 1, 1, 10), "attributes": {"moe_x": 1}}
    row = {"customer_id": "user-1", "actions": [action]}
    track.using(MoEngageTrackEventsOperator)
    track(events=[row], max_rejected=1, rejected_path=str(tmp_path), timezone="Asia/Kolkata")
    for part in tmp_path.rglob("*.ndjson"):
        part.write_text(part.read_text().replace('"moe_x"', '"x"'))
    track(path=str(tmp_path), timezone="Asia/Kolkata")
    (call,) = track.sandbox.requests()
    assert call["body"]["actions"][0]["user_time"] == 1_735_725_600


def test_elements_of_bulk_import_come_back(track: Tracker, tmp_path: Path):
    element = {
        "type": "customer", "customer_id": "user-1", "attributes": {"opens": time(9), "seen": datetime(2025, 1, 1)}
    }  # fmt: skip
    track.using(MoEngageBulkImportOperator)
    track(elements=[element], max_rejected=1, rejected_path=str(tmp_path))
    for part in tmp_path.rglob("*.ndjson"):
        part.write_text(part.read_text().replace('"time"', '"str"').replace('"09:00:00"', '"9:00"'))
    track(path=str(tmp_path), timezone="UTC")
    assert track.attributes() == {"user-1": {"opens": "9:00", "seen": "2025-01-01T00:00:00Z"}}
