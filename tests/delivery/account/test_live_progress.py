"""The progress that a task writes while it runs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_moengage.api.rate_limit.window_state import WindowView
from airflow_provider_moengage.delivery.account import live_progress
from airflow_provider_moengage.delivery.account.live_progress import LiveProgress, as_json
from airflow_provider_moengage.delivery.account.progress import Progress
from tests.support.waiting import wait_until

AT = Progress(
    accepted=300,
    valid=0,
    rejected=4,
    total=1_000,
    seconds=30.0,
    throttled_seconds=12.34,
    resets_in=None,
    unchanged=96,
    settled_before=100,
    requests=310,
    retried=6,
    deferrals=2,
    duration_seconds=100.0,
    windows=(WindowView("users", 10_000, 5_000, 1_000, 60.0, 41.26),),
    reasons=(("plan is of type list", 3), ("customer_id is missing", 1)),
)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("airflow_provider_moengage.delivery.account.live_progress.time.monotonic", clock)
    return clock


@pytest.fixture
def every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST", "INTERVAL", "MAX_INTERVAL"):
        monkeypatch.setattr(live_progress, name, 0.01)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_it_says_how_far_the_run_is_and_what_its_window_holds():
    found = as_json(AT, 3)
    assert json.loads(json.dumps(found)) == found
    times = {name: moment(found.pop(name)) for name in ("started_at", "updated_at")}
    assert (times["updated_at"] - times["started_at"]).total_seconds() == pytest.approx(100, abs=0.01)
    assert found == {
        "state": "running",
        "attempt": 3,
        "deferrals": 2,
        "done": 400,
        "of": 1_000,
        "accepted": 300,
        "valid": 0,
        "rejected": 4,
        "unchanged": 96,
        "requests": 310,
        "retried": 6,
        "windows": [
            {
                "quota": "users",
                "limit": 10_000,
                "capacity": 5_000,
                "used": 4_000,
                "left": 1_000,
                "period_seconds": 60.0,
                "resets_in_seconds": 41.3,
            }
        ],
        "throttled_seconds": 12.3,
        "waiting_until": None,
        "rows_per_second": 3.0,
        "seconds_to_go": 45.0,
        "reasons": [
            {"reason": "plan is of type list", "rows": 3},
            {"reason": "customer_id is missing", "rows": 1},
        ],
        "finished_at": None,
        "error": None,
    }


def test_a_wait_is_named_with_its_end():
    found = as_json(replace(AT, resets_in=20.0), 1)
    assert found["state"] == "waiting"
    until = moment(found["waiting_until"]) - moment(found["updated_at"])
    assert until.total_seconds() == pytest.approx(20, abs=0.01)


def test_the_total_is_null_where_nobody_knows_it():
    found = as_json(replace(AT, total=None), 1)
    assert (found["of"], found["seconds_to_go"]) == (None, None)


def test_a_short_run_writes_only_how_it_ended(written: list[dict[str, Any]]):
    live = LiveProgress(written.append, "a list", 1)
    live.watch(lambda: AT)
    live.end("success")
    (last,) = written
    assert (last["state"], last["done"]) == ("success", 400)
    assert moment(last["finished_at"]) <= datetime.now(timezone.utc)


def test_a_long_run_writes_again_and_again(written: list[dict[str, Any]], every_moment: None):
    live = LiveProgress(written.append, "a list", 1)
    live.watch(lambda: AT)
    wait_until(lambda: len(written) > 3, "written again and again")
    live.end("failed", error="MoEngage said no" + "!" * 2_000)
    assert [one["state"] for one in written[:3]] == ["running"] * 3
    assert written[-1]["state"] == "failed"
    assert written[-1]["error"].startswith("MoEngage said no!")
    assert len(written[-1]["error"]) == live_progress.MAX_ERROR


def test_a_task_that_ends_before_it_reads_says_so(written: list[dict[str, Any]]):
    LiveProgress(written.append, "a list", 2).end("failed", error="no such table")
    (last,) = written
    assert (last["state"], last["attempt"], last["done"], last["of"]) == ("failed", 2, 0, None)


def test_a_deferred_task_has_not_finished(written: list[dict[str, Any]]):
    live = LiveProgress(written.append, "a list", 1)
    live.watch(lambda: AT)
    live.end("deferred", resumes_at=datetime(2026, 1, 1, 12, 0, 30, tzinfo=timezone.utc))
    assert written[-1]["state"] == "deferred"
    assert written[-1]["finished_at"] is None
    assert written[-1]["waiting_until"] == "2026-01-01T12:00:30.000Z"


def test_a_store_that_fails_is_logged_once_and_tried_again(
    every_moment: None, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    tries: list[int] = []

    def fail(progress: dict[str, Any]) -> None:
        tries.append(1)
        raise ConnectionError("Wenzelgunde was in the message")

    live = LiveProgress(fail, "the store", 1)
    live.watch(lambda: AT)
    wait_until(lambda: len(tries) > 2, "tried again")
    live.end("success")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "The progress cannot be written to the store: ConnectionError"


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_progress_that_cannot_be_told_is_an_error_of_nobody(in_thread: bool):
    def look() -> Progress:
        raise RuntimeError

    live = LiveProgress(lambda progress: None, "the store", 1, in_thread=in_thread)
    live.watch(look)
    live.tick()
    live.end("success")


def test_a_store_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, every_moment: None):
    monkeypatch.setattr(live_progress, "LAST_WRITE", 0.05)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(progress: dict[str, Any]) -> None:
        hangs.set()
        goes_on.wait()

    live = LiveProgress(hang, "the store", 1)
    live.watch(lambda: AT)
    assert hangs.wait(60)
    live.end("success")
    goes_on.set()


def without_thread(write: Callable[[dict[str, Any]], None], *, ticks: bool = True) -> LiveProgress:
    before = threading.active_count()
    live = LiveProgress(write, "a list", 1, in_thread=False, ticks=ticks)
    live.watch(lambda: AT)
    assert threading.active_count() == before
    return live


def test_without_a_thread_whoever_ticks_writes_when_it_is_due(written: list[dict[str, Any]], clock: Clock):
    live = without_thread(written.append)
    live.tick()
    assert not written
    counts = []
    for _ in range(10):
        clock.now += 1.0
        live.tick()
        counts.append(len(written))
    assert counts == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    live.end("success")
    assert [one["state"] for one in written] == [*["running"] * 4, "success"]


def test_without_a_thread_a_slow_store_costs_a_hundredth_of_the_time(clock: Clock):
    tries: list[float] = []

    def slow(progress: dict[str, Any]) -> None:
        tries.append(clock.now)
        clock.now += 2.0

    live = without_thread(slow)
    for _ in range(600):
        clock.now += 1.0
        live.tick()
    assert len(tries) == 3


def test_where_only_the_first_tick_may_write_the_beginning_and_the_end_are_written(
    written: list[dict[str, Any]], clock: Clock
):
    live = without_thread(written.append, ticks=False)
    # The rows need not wait for it before the first request.
    assert not written
    for _ in range(3):
        live.tick()
        clock.now += 100.0
    live.end("success")
    assert [one["state"] for one in written] == ["running", "success"]
