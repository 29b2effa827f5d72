"""How many requests are in flight: as many as it takes, never more than ``concurrency``, fewer for a server in trouble."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from airflow_provider_moengage.api.concurrency.limiter import ConcurrencyLimiter
from airflow_provider_moengage.delivery import attempt
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def limiters(monkeypatch: pytest.MonkeyPatch) -> list[ConcurrencyLimiter]:
    """The limiter of each run."""
    made: list[ConcurrencyLimiter] = []

    def limiter(*arguments: Any) -> ConcurrencyLimiter:
        made.append(ConcurrencyLimiter(*arguments))
        return made[-1]

    monkeypatch.setattr(attempt, "ConcurrencyLimiter", limiter)
    return made


def test_a_distant_server_gets_as_many_requests_as_its_window_allows(
    track: Tracker, limiters: list[ConcurrencyLimiter]
):
    track.sandbox.settings(latency_seconds=0.3, users_per_minute=10_000, window_seconds=60.0)
    assert outcome(track(users=users(400))) == (400, 0, 0)
    # 50 are in flight if 167 a second take 0.3 seconds each.
    assert 50 <= limiters[0].peak <= 256


def test_a_window_of_few_units_never_has_more_requests_in_flight(
    track: Tracker, limiters: list[ConcurrencyLimiter]
):
    track.sandbox.settings(latency_seconds=0.1, users_per_minute=5, window_seconds=1.0)
    assert outcome(track(users=users(12))) == (12, 0, 0)
    assert limiters[0].peak <= 5


@pytest.mark.parametrize("concurrency", [2, 20])
def test_concurrency_is_a_ceiling(track: Tracker, limiters: list[ConcurrencyLimiter], concurrency: int):
    track.sandbox.settings(latency_seconds=0.2, users_per_minute=10_000)
    assert outcome(track(users=users(40), concurrency=concurrency)) == (40, 0, 0)
    assert limiters[0].peak == concurrency


def test_a_server_in_trouble_gets_fewer_requests_and_every_row(
    track: Tracker, limiters: list[ConcurrencyLimiter], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.05)
    track.sandbox.settings(latency_seconds=0.3, users_per_minute=10_000, window_seconds=60.0)
    track.sandbox.fault(kind="status", status=503, times=8, after=1)
    report = track(users=users(100))
    assert outcome(report) == (100, 0, 0)
    assert report["retried"] == 8
    assert limiters[0].limit < 50


def test_the_log_tells_how_many_there_were_if_none_were_configured(
    track: Tracker, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "airflow_provider_moengage")
    track(users=users(40))
    track(users=users(40), concurrency=4)
    assert len(re.findall(r"At most \d+ requests? in flight at once", caplog.text)) == 1
