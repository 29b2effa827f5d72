"""The rate window: spent at once, then waited for; a 429 costs a wait and never a row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.api.rate_limit.window import Window
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no header tells how long a window is, it is a second and not a minute."""
    monkeypatch.setitem(Window.__init__.__kwdefaults__, "period", 1.0)


def connect(track: Tracker, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    connection = {**track.sandbox.connection, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))


def refused_calls(track: Tracker) -> int:
    return sum(window["rejected_429"] for window in track.sandbox.state()["windows"])


@pytest.mark.parametrize(
    ("limit_style", "reset_style"),
    [("semicolon", "ceil"), ("comma", "floor"), ("bare", "ceil"), ("semicolon", "epoch")],
)
def test_windows_are_spent_and_waited_for(track: Tracker, limit_style: str, reset_style: str):
    track.sandbox.settings(
        users_per_minute=50, window_seconds=1.0, limit_style=limit_style, reset_style=reset_style
    )
    report = track(users=users(120))
    assert outcome(report) == (120, 0, 0)
    assert report["throttled_seconds"] > 0
    # One a window at most: the first request of each goes alone.
    assert refused_calls(track) <= 3
    assert report["requests"] == track.requests


@pytest.mark.parametrize("reset_style", ["ceil", "floor"])
def test_no_reset_is_tried_too_early(track: Tracker, reset_style: str):
    track.sandbox.settings(users_per_minute=20, window_seconds=1.0, reset_style=reset_style)
    assert outcome(track(users=users(90))) == (90, 0, 0)
    assert refused_calls(track) == 0


def test_without_headers_the_connections_limits_hold(
    track: Tracker, monkeypatch: pytest.MonkeyPatch, short_minutes: None
):
    track.sandbox.settings(users_per_minute=50, window_seconds=1.0, limit_style="none")
    connect(track, monkeypatch, limits={"users": 50})
    report = track(users=users(120))
    assert outcome(report) == (120, 0, 0)
    assert report["throttled_seconds"] > 0


def test_headers_beat_the_connections_limits(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    track.sandbox.settings(users_per_minute=1_000, window_seconds=1.0)
    connect(track, monkeypatch, limits='{"users": 1}')
    assert outcome(track(users=users(60))) == (60, 0, 0)


def test_a_share_of_the_window_is_left_to_others(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    track.sandbox.settings(users_per_minute=100, window_seconds=60.0)
    connect(track, monkeypatch, rate_limit_share="0.5")
    # Half a window is enough for these, and no unit of the other half is touched.
    assert outcome(track(users=users(50))) == (50, 0, 0)
    assert track.sandbox.state()["windows"][0]["remaining"] == 50


@pytest.mark.parametrize("body", ["json", "empty", "html"])
def test_a_429_costs_a_wait_and_no_row(track: Tracker, body: str, short_minutes: None):
    track.sandbox.fault(kind="status", status=429, body=body, times=2, after=5)
    report = track(users=users(40))
    assert outcome(report) == (40, 0, 0)
    assert report["retried"] == 2
    assert report["throttled_seconds"] > 0
    assert report["unknown"] == 0


def test_five_windows_without_a_unit_end_the_run(track: Tracker):
    track.sandbox.fault(kind="status", status=429, after=10)
    report = track.report(MoEngageIncompleteRun, users=users(60), concurrency=4)
    assert outcome(report) == (10, 0, 50)
    assert report["requests"] == track.requests
    assert report["throttled_seconds"] > 0
    # One a window, after those that were in flight.
    assert report["requests"] <= 10 + 4 + 8


def test_a_429_says_when_to_come_back(track: Tracker):
    track.sandbox.fault(kind="status", status=429, body="empty", headers={"retry-after": "1"}, times=1)
    assert outcome(track(users=users(5))) == (5, 0, 0)
