"""Rows that MoEngage refuses: kept with its reason, bounded by ``max_rejected``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage._compat import AirflowFailException
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from tests.end_to_end.rows import outcome, parts, refused, users
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import PERSON


def unfit(count: int) -> list[dict[str, Any]]:
    return [{"customer_id": "unknown", "number": number, "name": PERSON} for number in range(count)]


def test_a_refused_record_is_kept_with_moengages_reason(track: Tracker, tmp_path: Path):
    track.sandbox.fault(
        kind="status", status=400, type="MissingAttributeError", message="no good", customer_id="user-4"
    )
    report = track(users=users(10), max_rejected=1, rejected_path=str(tmp_path))
    assert outcome(report) == (9, 1, 0)
    assert report["reasons"] == {"MoEngage answered 400 MissingAttributeError": 1}
    (line,) = refused(report["rejected_path"])
    (call,) = (call for call in track.sandbox.requests() if call["status"] == 400)
    assert line == {
        "position": 4,
        "reason": "MoEngage answered 400 MissingAttributeError: no good",
        "code": "MissingAttributeError",
        "request_id": call["request_id"],
        "row": users(1, first=4)[0],
    }
    assert "user-4" not in track.attributes()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 413}, "Payload too large"),
        ({"kind": "status", "status": 413, "body": "html"}, "http_413"),
        ({"kind": "status", "status": 400, "body": "empty"}, "http_400"),
        ({"kind": "fail_200"}, "Internal Server Error"),
    ],
)
def test_other_ways_to_refuse_a_record(track: Tracker, tmp_path: Path, fault: dict[str, Any], code: str):
    track.sandbox.fault(**fault, customer_id="user-2")
    report = track(users=users(5), max_rejected=1, rejected_path=str(tmp_path))
    assert outcome(report) == (4, 1, 0)
    (line,) = refused(tmp_path)
    assert (line["position"], line["code"]) == (2, code)
    assert report["requests"] == 5


def test_fifty_refusals_of_one_type_and_no_success_stop_the_run(track: Tracker, tmp_path: Path):
    track.sandbox.fault(kind="status", status=400, type="MissingAttributeError")
    error = track.fails(
        MoEngageTaskFailed, users=users(500), max_rejected=400, concurrency=1, rejected_path=str(tmp_path)
    )
    report = track.ti.xcoms["report"]
    assert outcome(report) == (0, 50, 450)
    assert len(refused(tmp_path)) == 50
    assert "MissingAttributeError" in str(error)


def test_one_success_lets_the_refusals_go_on(track: Tracker):
    track.sandbox.fault(kind="status", status=400, type="MissingAttributeError", after=1)
    report = track(users=users(120), max_rejected=119)
    assert outcome(report) == (1, 119, 0)


def test_unfit_rows_alone_do_not_stop_the_run(track: Tracker):
    report = track(users=[*unfit(120), *users(1)], max_rejected=120)
    assert outcome(report) == (1, 120, 0)


@pytest.mark.parametrize(
    ("rows", "rejected", "allowed"),
    [(10, 0, 0), (10, 2, 2), (100, 1, 0.01), (100, 29, 0.29), (100, 57, 0.57), (1000, 7, 0.007)],
)
def test_as_many_as_max_rejected_are_allowed(track: Tracker, rows: int, rejected: int, allowed: float):
    report = track(users=[*users(rows - rejected), *unfit(rejected)], max_rejected=allowed)
    assert outcome(report) == (rows - rejected, rejected, 0)


@pytest.mark.parametrize(("rejected", "allowed"), [(1, 0), (3, 2), (2, 0.01), (1, 0.0)])
def test_more_than_max_rejected_fail_the_task_after_all_good_rows(
    track: Tracker, tmp_path: Path, rejected: int, allowed: float
):
    rows = [*unfit(rejected), *users(100 - rejected)]
    error = track.fails(MoEngageTaskFailed, users=rows, max_rejected=allowed, rejected_path=str(tmp_path))
    assert isinstance(error, AirflowFailException)
    report = track.ti.xcoms["report"]
    assert outcome(report) == (100 - rejected, rejected, 0)
    assert len(track.attributes()) == 100 - rejected
    assert f"{rejected} x customer_id is one of the words" in str(error)
    assert report["rejected_path"] in str(error)
    assert len(refused(report["rejected_path"])) == rejected


def test_without_a_folder_the_error_says_how_to_keep_the_rows(track: Tracker):
    error = track.fails(MoEngageTaskFailed, users=unfit(1))
    assert "rejected_path" in str(error)
    assert track.ti.xcoms["report"]["rejected_path"] is None


def test_parts_lie_under_the_dag_run_task_and_map_index(track: Tracker, tmp_path: Path):
    report = track(users=unfit(1), max_rejected=1, rejected_path=f"file://{tmp_path}/")
    (part,) = parts(tmp_path)
    assert part.parent == tmp_path / "dag" / track.ti.run_id / "push"
    assert report["rejected_path"].endswith(f"{tmp_path}/dag/{track.ti.run_id}/push")

    track.ti.__class__.map_index = 3
    try:
        track(users=unfit(1), max_rejected=1, rejected_path=str(tmp_path))
    finally:
        track.ti.__class__.map_index = -1
    assert len(parts(tmp_path / "dag" / track.ti.run_id / "push" / "3")) == 1


def test_a_second_try_replaces_the_parts_of_the_first(track: Tracker, tmp_path: Path):
    for _ in range(2):
        track(users=unfit(3), max_rejected=3, rejected_path=str(tmp_path))
    assert len(refused(tmp_path)) == 3


def test_many_refused_rows_become_several_parts(track: Tracker, tmp_path: Path):
    track(users=unfit(2_500), max_rejected=2_500, rejected_path=str(tmp_path))
    assert len(parts(tmp_path)) == 3
    assert [line["position"] for line in refused(tmp_path)] == list(range(2_500))


def test_at_most_twenty_reasons_are_named_and_all_are_counted(track: Tracker):
    rows = [{"customer_id": "ann", f"moe_{number}": 1} for number in range(30)]
    report = track(users=rows, max_rejected=30)
    assert len(report["reasons"]) == 20
    assert sum(report["reasons"].values()) == 30
    assert report["reasons"]["other reasons"] == 11


def test_a_folder_that_cannot_be_written_stops_the_run_before_the_first_request(
    track: Tracker, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="file") as caught:
        track(users=users(5), rejected_path=str(tmp_path / "file"))
    assert caught.value.report["unsent"] == 5
    assert track.requests == 0


def test_an_integer_of_thousands_of_digits_is_refused_alone(track: Tracker, tmp_path: Any):
    huge = 10**5_000
    rows = [{"customer_id": huge}, {"customer_id": "user-1", "n": huge}, {"customer_id": "user-2", "n": 1}]
    report = track(users=rows, max_rejected=2, rejected_path=str(tmp_path))
    assert outcome(report) == (1, 2, 0)
    assert [line["code"] for line in refused(report["rejected_path"])] == [
        "customer_id_length",
        "number_range",
    ]


def test_half_a_character_inside_an_object_is_refused_alone(track: Tracker):
    boxes = [{"a": "half \ud83d"}, {"a": "\ud83d\ude00"}, {"a": {"\ud83d": 1}}]
    rows = [{"customer_id": f"user-{n}", "box": box} for n, box in enumerate(boxes)]
    report = track(users=rows, max_rejected=2)
    assert outcome(report) == (1, 2, 0)
    assert track.attributes() == {"user-1": {"box": {"a": "😀"}}}
