"""Twenty thousand rows: what was unfit stands in the parts, everything else arrives, also when calls fail."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.rows import attributes_of, outcome, parts, refused, users
from tests.end_to_end.tracker import Tracker

pytestmark = pytest.mark.volume

ROWS = 20_000
EVERY = 100
#: Each kind of documented rule: what makes a row unfit, and the rule's code.
UNFIT: tuple[tuple[dict[str, Any], str], ...] = (
    ({"customer_id": "Unknown"}, "blocked_customer_id"),
    ({"customer_id": "x"}, "customer_id_length"),
    ({"customer_id": None}, "customer_id_missing"),
    ({"customer_id": 12.5}, "customer_id_type"),
    ({"_id": "no"}, "blocked_attribute"),
    ({"status": "no"}, "reserved_attribute"),
    ({"USER_ATTRIBUTE_PLAN": "no"}, "reserved_attribute"),
    ({"t_rev": 1}, "fetch_only_attribute"),
    ({"moe_segment": "no"}, "system_attribute"),
    ({"n" * 201: 1}, "attribute_name_length"),
    ({"bio": "b" * 513}, "value_length"),
    ({"born": "2020-05-31 03:47:35"}, "date_format"),
    ({"born": "2021-02-30"}, "date_format"),
    ({"tags": list(range(51))}, "array_length"),
    ({"tags": [1, "one"]}, "array_mixed"),
    ({"tags": [["one"]]}, "array_element_type"),
    ({"box": {"a": {"b": {"c": 1}}}}, "object_levels"),
    ({"box": {f"k{number}": number for number in range(101)}}, "object_keys"),
    ({"photo": b"jpeg"}, "value_type"),
    ({"seen": datetime(2026, 1, 1)}, "naive_datetime"),
    ({"platforms": [{"platform": "symbian", "active": True}]}, "platforms"),
    ({"moe_geo_location": {"lat": 91, "lon": 0}}, "moe_geo_location"),
)


def test_unfit_rows_stand_in_the_parts_and_all_others_arrive(track: Tracker, tmp_path: Path):
    rows = users(ROWS)
    expected = {}
    for number, position in enumerate(range(EVERY // 2, ROWS, EVERY)):
        change, code = UNFIT[number % len(UNFIT)]
        rows[position] = {**rows[position], **change}
        expected[position] = code

    folder = tmp_path / "rejected"
    report = track(users=rows, max_rejected=0.01, rejected_path=str(folder))

    assert outcome(report) == (ROWS - len(expected), len(expected), 0)
    assert report["requests"] == track.requests == report["accepted"]
    lines = refused(report["rejected_path"])
    assert {line["position"]: line["code"] for line in lines} == expected
    assert len(lines) == len(expected)
    assert sum(report["reasons"].values()) == len(expected)
    attributes = track.attributes()
    assert attributes == attributes_of(row for n, row in enumerate(users(ROWS)) if n not in expected)

    # Mended in place, the folder is a source.
    mended = users(ROWS)
    for part in parts(folder):
        part.write_text(
            "".join(
                json.dumps({**line, "row": mended[line["position"]]}) + "\n"
                for line in map(json.loads, part.read_text("utf-8").splitlines())
            )
        )
    again = track(path=str(folder))
    assert outcome(again) == (len(expected), 0, 0)
    assert track.attributes() == attributes_of(mended)


def test_calls_that_fail_lose_nothing_and_count_nothing_twice(track: Tracker):
    rows = users(ROWS)
    faults: list[dict[str, Any]] = [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502, "body": "html"},
        {"kind": "status", "status": 503, "body": "empty"},
        {"kind": "status", "status": 408},
        {"kind": "status", "status": 429, "headers": {"retry-after": "0"}, "times": 3},
        {"kind": "drop_before"},
        {"kind": "drop_after"},
    ]
    for fault in faults:
        track.sandbox.fault(**fault, rate=0.05 / len(faults))

    report = track(users=rows)

    assert outcome(report) == (len(rows), 0, 0)
    calls = track.sandbox.requests()
    assert report["requests"] == len(calls)
    assert report["retried"] == len(calls) - len(rows)
    fired = {fault["kind"]: 0 for fault in faults}
    for fault in track.sandbox.faults():
        fired[fault["kind"]] += fault["fired"]
    assert sum(fired.values()) == report["retried"]
    assert fired["status"]
    assert fired["drop_before"]
    assert fired["drop_after"]
    dropped = {call["body"]["customer_id"] for call in calls if call["status"] is None}
    assert report["unknown"] == len(dropped) > 0
    assert track.attributes() == attributes_of(rows)
