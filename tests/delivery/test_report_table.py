"""What the log says at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_moengage.delivery.report_table import outcome, table

REPORT: dict[str, Any] = {
    "read": 50_000,
    "accepted": 49_996,
    "rejected": 4,
    "unsent": 0,
    "unknown": 0,
    "requests": 50_011,
    "retried": 15,
    "deferrals": 0,
    "throttled_seconds": 184.2,
    "duration_seconds": 241.0,
    "source_exhausted": True,
    "rejected_path": "s3://lake/rejected/push",
    "reasons": {"customer_id is missing": 3, "the row is of type list": 1},
    "dropped": {"joined": {"has no date": 12}},
}
NOTHING = {"read": 0, "accepted": 0, "rejected": 0, "requests": 0}


@pytest.mark.parametrize(
    ("changes", "failed", "line"),
    [
        ({}, False, "Completed in 4 min: 49,996 of 50,000 rows accepted, 4 rejected"),
        ({}, True, "Failed after 4 min: 49,996 of 50,000 rows accepted, 4 rejected"),
        (
            {"accepted": 6, "unsent": 49_990},
            True,
            "Stopped after 4 min: 6 of 50,000 rows accepted, 4 rejected, 49,990 not sent",
        ),
        (
            {"read": 1, "accepted": 1, "rejected": 0},
            False,
            "Completed in 4 min: 1 of 1 row accepted, 0 rejected",
        ),
        (
            {"accepted": 0, "valid": 49_996},
            False,
            "Validated in 4 min: 49,996 of 50,000 rows valid, 4 rejected, nothing was sent",
        ),
        (NOTHING, False, "Completed in 4 min: no rows"),
        ({**NOTHING, "source_exhausted": False}, True, "Stopped after 4 min: no row was read"),
    ],
)
def test_the_end_is_one_line(changes: dict[str, Any], failed: bool, line: str):
    assert outcome({**REPORT, **changes}, failed=failed) == line


def test_the_table_is_aligned_and_leaves_out_what_tells_nothing():
    assert table(REPORT) == [
        "read               50,000",
        "accepted           49,996",
        "rejected                4",
        "unsent                  0",
        "requests           50,011",
        "retried                15",
        "throttled_seconds     184",
        "Rejected: 3 rows, customer_id is missing",
        "Rejected: 1 row, the row is of type list",
        "Dropped 'joined' of 12 rows: has no date",
        "Rejected rows: s3://lake/rejected/push",
    ]


def test_of_a_run_that_only_validates_there_is_nothing_about_sending():
    report = {**REPORT, "accepted": 0, "valid": 49_996, "requests": 0, "retried": 0, "throttled_seconds": 0.0}
    report.update(reasons={}, dropped={}, rejected_path=None)
    assert table(report) == ["read      50,000", "valid     49,996", "rejected       4"]


def test_of_no_rows_there_is_no_table():
    assert table({**REPORT, **NOTHING, "reasons": {}, "dropped": {}}) == []


def test_the_shortest_run_takes_longer_than_nothing():
    assert outcome({**REPORT, "duration_seconds": 0.003}, failed=False).startswith("Completed in 0.1 s: ")


def test_a_source_that_was_not_read_to_its_end_and_a_password_in_a_url():
    report = {**REPORT, "source_exhausted": False, "rejected_path": "ftp://user:PASSWORD@host/rejected"}
    lines = table(report)
    assert "source_exhausted    False" in lines
    assert lines[-1] == "Rejected rows: ftp://user:***@host/rejected"
