"""The key stays out of every log; people stay out of everything above DEBUG, of reports and of errors."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.end_to_end.rows import refused
from tests.end_to_end.tracker import Tracker

ROWS: list[dict[str, Any]] = [
    *({"customer_id": f"PERSON-{n}", "email": f"PRIVATE-{n}@example.com", "n": n} for n in range(20)),
    {"customer_id": "PERSON-20", "bio": "PRIVATE" * 100},
    {"customer_id": "PERSON-21", "born": "2026-02-30 PRIVATE"},
    {"customer_id": "PERSON-22", "tags": ["PRIVATE", 1]},
    {"customer_id": "PERSON-23", "box": {"a": {"b": {"c": "PRIVATE"}}}},
    {"customer_id": "PERSON-24", "unset_attributes": "PRIVATE", "attributes": {}},
    {"customer_id": "PERSON-25", "number": "PRIVATE"},
    {"customer_id": "PERSON" * 100, "n": 1},
    "PERSON-26",
]


@pytest.fixture
def everything_said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    # Airflow 3 logs to the standard output, Airflow 2 through logging.
    return lambda: caplog.text + "".join(capfd.readouterr())


def run(track: Tracker, **parameters: Any) -> str:
    try:
        track(users=ROWS, types={"number": "number"}, **parameters)
    except (MoEngageTaskFailed, MoEngageIncompleteRun) as error:
        return f"{error} {error.report}"
    return ""


@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"kind": "status", "status": 400, "message": "PRIVATE of PERSON", "times": 3},
        {"kind": "status", "status": 401, "message": "PRIVATE of PERSON", "body": "json"},
        {"kind": "status", "status": 500, "message": "PRIVATE of PERSON"},
        {"kind": "drop_after"},
        {"kind": "fail_200", "message": "PRIVATE of PERSON"},
        {"kind": "status", "status": 404, "body": "html"},
    ],
)
def test_people_stay_out_of_logs_reports_and_errors(
    track: Tracker, caplog: pytest.LogCaptureFixture, everything_said, tmp_path: Path, fault: Any
):
    caplog.set_level(logging.INFO)
    if fault:
        track.sandbox.fault(**fault)
    raised = run(track, rejected_path=str(tmp_path))
    for text in (everything_said(), raised, str(track.ti.xcoms)):
        assert "PRIVATE" not in text
        assert "PERSON" not in text


def test_refused_rows_stand_in_the_parts_alone(track: Tracker, tmp_path: Path):
    run(track, rejected_path=str(tmp_path))
    lines = refused(tmp_path)
    assert [line["position"] for line in lines] == list(range(20, 28))
    for line in lines:
        assert "PERSON" in str(line["row"])
        assert "PRIVATE" not in line["reason"]
    (part,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert part.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("status", [None, 401, 500])
@pytest.mark.parametrize("validate_only", [False, True])
def test_the_key_stays_out_of_every_log(
    track: Tracker,
    caplog: pytest.LogCaptureFixture,
    everything_said,
    status: int | None,
    validate_only: bool,
):
    caplog.set_level(logging.DEBUG)
    if status:
        track.sandbox.fault(kind="status", status=status)
    raised = run(track, validate_only=validate_only)
    credentials = f"{track.sandbox.workspace_id}:{track.sandbox.api_key}".encode()
    for text in (everything_said(), raised, str(track.ti.xcoms)):
        assert track.sandbox.api_key not in text
        assert base64.b64encode(credentials).decode() not in text
