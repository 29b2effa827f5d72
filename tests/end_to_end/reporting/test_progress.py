"""What a run says of itself while it lasts, in whatever way it ends."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.delivery.account import progress
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks import metrics
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker

LINE = re.compile(
    r"(?:(?:Completed in|Failed after|Stopped after|Validated in) .*?: |\d+ % \(|[\d,]+ rows? done)[^\[\n\x1b]*"
)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the log's lines of progress and of the end, in their order."""
    caplog.set_level(logging.INFO)
    # Airflow 3 logs to the standard output, Airflow 2 through logging.
    return lambda: [
        line.rstrip() for line in LINE.findall(capfd.readouterr().out) or LINE.findall(caplog.text)
    ]


@pytest.fixture
def every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval is a twentieth of a second."""
    monkeypatch.setattr(progress, "INTERVAL", 0.05)


def reporters() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "moengage-progress"]


def test_a_short_run_has_the_line_of_its_end_alone(track: Tracker, lines):
    track(users=[*users(199), {"customer_id": "unknown"}], max_rejected=1)
    (line,) = lines()
    assert re.fullmatch(r"Completed in [\d.]+ s: 199 of 200 rows accepted, 1 rejected", line)


def test_the_line_comes_while_every_thread_waits_for_the_window(track: Tracker, lines, every_moment: None):
    track.sandbox.settings(users_per_minute=20, window_seconds=2.0)
    track(users=users(50))
    *during, end = lines()
    waiting = [line for line in during if "window full, " in line]
    # The same rows again and again: nothing moves, and yet the line comes.
    assert len([line for line in waiting if line.startswith("40 % (20 of 50), about ")]) > 1
    assert all("to go" in line for line in waiting)
    assert end.endswith("50 of 50 rows accepted, 0 rejected")


def test_the_total_of_a_query_is_told_once_it_is_known(
    track: Tracker, lines, every_moment: None, sqlite_warehouse
):
    sqlite_warehouse("create table people (customer_id text)")
    sqlite_warehouse("insert into people values (?)", [[f"user-{number}"] for number in range(200)])
    track.sandbox.settings(latency_seconds=0.05)
    track(sql="select * from people", sql_conn_id="warehouse", concurrency=4)
    first, *_, end = lines()
    assert re.match(r"\d+ rows? done, ", first)
    assert "to go" not in first
    assert "200 of 200 rows accepted" in end


def test_a_first_answer_that_takes_its_time_is_told_of_too(
    track: Tracker, lines, every_moment: None, monkeypatch: pytest.MonkeyPatch
):
    told = threading.Event()
    monkeypatch.setattr(metrics.RunMetrics, "__call__", lambda *_: told.set())
    real = MoEngageClient.send

    def once_told(*arguments: Any, **parameters: Any) -> Any:
        assert told.wait(60)
        return real(*arguments, **parameters)

    monkeypatch.setattr(MoEngageClient, "send", once_told)
    track(users=users(1))
    assert lines()[0].startswith("0 % (0 of 1), 0 rejected, 0.0/s")


def test_validating_only_is_told_of_as_well(track: Tracker, lines):
    track(users=users(30), validate_only=True)
    (line,) = lines()
    assert line.endswith("30 of 30 rows valid, 0 rejected, nothing was sent")


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_run_that_ends_well_leaves_no_thread_behind(track: Tracker, every_moment: None, concurrency: int):
    track(users=users(30), concurrency=concurrency)
    assert reporters() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 401}, MoEngageTaskFailed),
        ({"kind": "status", "status": 500}, MoEngageIncompleteRun),
    ],
)
def test_a_run_that_fails_says_how_far_it_came_and_leaves_no_thread_behind(
    track: Tracker, lines, fault: dict[str, Any], kind: type[Exception]
):
    track.sandbox.fault(**fault, after=10)
    track.fails(kind, users=users(60), concurrency=1)
    (line,) = lines()
    assert line.startswith("Stopped after ")
    assert line.endswith("10 of 60 rows accepted, 0 rejected, 50 not sent")
    assert reporters() == []


def test_a_run_that_is_interrupted_says_how_far_it_came_and_leaves_no_thread_behind(
    track: Tracker, lines, monkeypatch: pytest.MonkeyPatch
):
    class TimeIsUp(BaseException):
        """As Airflow's own task time-out: no Exception."""

    real = MoEngageClient.send
    sent: list[int] = []

    def until_then(*arguments: Any, **parameters: Any) -> Any:
        sent.append(1)
        if len(sent) > 3:
            raise TimeIsUp
        return real(*arguments, **parameters)

    monkeypatch.setattr(MoEngageClient, "send", until_then)
    track.fails(TimeIsUp, users=users(10), concurrency=1)
    (line,) = lines()
    assert line.endswith("3 of 10 rows accepted, 0 rejected, 7 not sent")
    assert reporters() == []


def test_rows_that_cannot_be_read_at_all_are_told_of_too(track: Tracker, lines):
    track.fails(MoEngageTaskFailed, path="file:///nowhere/at/all.csv")
    (line,) = lines()
    assert line.startswith("Stopped after ")
    assert line.endswith("no row was read")
    assert reporters() == []


def test_metrics_that_fail_cost_no_row_and_are_not_tried_again(
    track: Tracker, every_moment: None, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []

    class Broken:
        @staticmethod
        def incr(stat: str, **_: Any) -> None:
            calls.append(stat)
            raise RuntimeError("no such host")

    monkeypatch.setattr(metrics, "Stats", Broken)
    track.sandbox.settings(users_per_minute=20, window_seconds=1.0)
    assert outcome(track(users=users(50))) == (50, 0, 0)
    assert len(calls) == 1
