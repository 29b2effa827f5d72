"""Tasks whose connection names a Redis draw from one window: filled by all together, overrun by none."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.rate_limit.test_deferral import run
from tests.end_to_end.rows import outcome, users
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.redis_server import RedisServer
from tests.support.task_state_store import TaskStateStore

Connect = Callable[..., None]
#: Seconds of a window. Its end is published in whole ones, and a window must be much longer than what is unknown of it.
PERIOD = 2.5


@pytest.fixture(autouse=True)
def nothing_in_redis(redis_server: RedisServer) -> None:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        client.flushdb()


@pytest.fixture
def connect(track: Tracker, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Let the connection name a Redis of the given fields."""

    def connections(server: dict[str, Any], **extra: Any) -> None:
        moengage = {**track.sandbox.connection, "extra": {"rate_limit_conn_id": "limits", **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(moengage))
        monkeypatch.setenv("AIRFLOW_CONN_LIMITS", json.dumps({"conn_type": "redis", **server}))

    return connections


@pytest.fixture
def shared(track: Tracker, connect: Connect, redis_server: RedisServer) -> Tracker:
    connect(redis_server.connection)
    return track


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return the warnings that speak of Redis."""

    def warnings() -> list[str]:
        found = [record for record in caplog.records if record.levelno >= logging.WARNING]
        return [text for record in found if "Redis" in (text := record.getMessage())]

    return warnings


def at_once(senders: int, each: int, *, bulk: bool = False) -> list[dict[str, Any]]:
    """Send users from several threads at the same time, as tasks do, each with a hook of its own; gives the reports."""
    together = threading.Barrier(senders)

    def send(number: int) -> dict[str, Any]:
        together.wait()
        rows = users(each, first=number * each)
        return MoEngageHook().track_users(rows, bulk=bulk, concurrency=4)

    with ThreadPoolExecutor(senders) as pool:
        return list(pool.map(send, range(senders)))


def units_of(call: dict[str, Any]) -> int:
    return len(call["body"].get("elements", [None]))


def spent(track: Tracker, seconds: float = PERIOD) -> list[int]:
    """Units that were taken in each window; a window opens with the first one."""
    windows: list[int] = []
    began = -math.inf
    for call in track.sandbox.requests():
        if call["status"] != 200:
            continue
        if call["at"] - began >= 0.95 * seconds:
            windows.append(0)
            began = call["at"]
        windows[-1] += units_of(call)
    return windows


def refused_calls(track: Tracker) -> int:
    return sum(window["rejected_429"] for window in track.sandbox.state()["windows"])


@pytest.mark.volume
def test_tasks_at_once_fill_every_window_and_hardly_overrun_one(shared: Tracker):
    shared.sandbox.settings(users_per_minute=120, window_seconds=PERIOD)
    reports = at_once(3, 90)
    assert [outcome(report) for report in reports] == [(90, 0, 0)] * 3
    assert len(shared.attributes()) == 270
    windows = spent(shared)
    assert sum(windows) == 270
    # One more on a machine that does other things too: how full windows become there is for the benchmarks to say.
    assert 3 <= len(windows) <= 4
    # A call that comes a millisecond before the reset is one too many.
    assert refused_calls(shared) <= 6


@pytest.mark.volume
def test_bulk_calls_at_once_are_cut_to_what_the_others_leave(
    track: Tracker, connect: Connect, redis_server: RedisServer
):
    connect(redis_server.connection, limits={"bulk_users": 120})
    track.sandbox.settings(bulk_users_per_minute=120, window_seconds=PERIOD)
    reports = at_once(2, 100, bulk=True)
    assert [outcome(report) for report in reports] == [(100, 0, 0)] * 2
    assert spent(track) == [120, 80]
    assert refused_calls(track) <= 1


@pytest.mark.volume
def test_all_together_use_their_share(track: Tracker, connect: Connect, redis_server: RedisServer):
    connect(redis_server.connection, rate_limit_share=0.5)
    track.sandbox.settings(users_per_minute=100, window_seconds=PERIOD)
    reports = at_once(2, 45)
    assert [outcome(report) for report in reports] == [(45, 0, 0)] * 2
    windows = spent(track)
    assert sum(windows) == 90
    assert max(windows) <= 50
    assert refused_calls(track) == 0


def test_units_that_were_not_used_are_given_back_at_the_end_of_a_run(shared: Tracker):
    shared.sandbox.settings(users_per_minute=40, window_seconds=60.0)
    assert outcome(shared(users=users(7))) == (7, 0, 0)
    assert outcome(shared(users=users(33))) == (33, 0, 0)
    assert shared.sandbox.state()["windows"][0]["remaining"] == 0


def test_units_are_given_back_where_a_run_fails_too(shared: Tracker):
    shared.sandbox.settings(users_per_minute=40, window_seconds=60.0)
    shared.sandbox.fault(kind="status", status=500, after=5)
    report = shared.report(MoEngageIncompleteRun, users=users(7), concurrency=1)
    assert outcome(report) == (5, 0, 2)
    shared.sandbox.clear_faults()
    # Whether MoEngage counts a call that it answers 500 is not known: to be safe, it does.
    again = shared(users=users(40 - report["requests"]))
    assert again["throttled_seconds"] == 0


def test_an_event_of_more_actions_than_a_window_holds_is_not_waited_for_without_end(shared: Tracker):
    shared.sandbox.settings(events_per_minute=10, window_seconds=0.5)
    many = {"customer_id": "user-1", "actions": [{"action": f"a{n}"} for n in range(11)]}
    few = {"customer_id": "user-2", "actions": [{"action": "seen"}]}
    report = shared.using(MoEngageTrackEventsOperator).report(MoEngageIncompleteRun, events=[few, many])
    assert outcome(report) == (1, 0, 1)


def test_redis_holds_one_small_hash_and_no_secret(shared: Tracker, redis_server: RedisServer):
    shared(users=[{"customer_id": "PERSON-1", "plan": "PRIVATE"}])
    with redis.Redis(redis_server.host, redis_server.port) as client:
        (key,) = client.scan_iter()
        held = client.dump(key) + key + repr(client.hgetall(key)).encode()
        assert 0 < client.pttl(key) <= 180_000
    assert key == f"moengage:{shared.sandbox.workspace_id}:127.0.0.1:{shared.sandbox.port}:users".encode()
    for secret in (shared.sandbox.api_key, "PERSON", "PRIVATE", "Basic"):
        assert secret.encode() not in held


def test_a_deferred_task_is_the_same_client_when_it_resumes(shared: Tracker, redis_server: RedisServer):
    shared.sandbox.settings(users_per_minute=30, window_seconds=1.0)
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), users=users(80), deferrable=True, defer_threshold=0.1
    )
    found: list[set[bytes]] = []

    def clients() -> set[bytes]:
        with redis.Redis(redis_server.host, redis_server.port) as client:
            return {
                name for key in client.scan_iter() for name in client.hkeys(key) if name.startswith(b"c:")
            }

    report, deferrals = run(task, lambda: found.append(clients()))
    assert (report["accepted"], deferrals) == (80, len(found))
    assert deferrals >= 2
    assert len(found[0]) == 1
    assert set.union(*found) == found[0]
    # A task that has ended leaves its part to the others.
    assert clients() == set()


@pytest.mark.volume
def test_a_redis_that_stops_costs_one_warning_and_no_row(
    track: Tracker, connect: Connect, own_redis_server: RedisServer, said: Callable[[], list[str]]
):
    connect(own_redis_server.connection)
    track.sandbox.settings(users_per_minute=100)
    track.sandbox.fault(kind="slow", seconds=0.01)
    stop = threading.Timer(0.5, own_redis_server.stop)
    stop.start()
    report = track(users=users(150))
    stop.join()
    assert outcome(report) == (150, 0, 0)
    assert max(spent(track, 1.0)) <= 100
    assert len(said()) == 1
    assert "the rate headers alone are followed until it does" in said()[0]


@pytest.mark.parametrize("bulk", [False, True])
def test_a_redis_that_is_not_there_costs_one_warning_and_no_row(
    track: Tracker, connect: Connect, own_redis_server: RedisServer, said: Callable[[], list[str]], bulk: bool
):
    own_redis_server.stop()
    connect({**own_redis_server.connection, "password": "REDISKEY"})
    quota = "bulk_users" if bulk else "users"
    track.sandbox.settings(**{f"{quota}_per_minute": 100}, window_seconds=0.5)
    report = track(users=users(150), bulk=bulk)
    assert outcome(report) == (150, 0, 0)
    (warning,) = said()
    assert "REDISKEY" not in warning


def test_the_log_says_that_the_window_is_shared(shared: Tracker, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    shared(users=users(3))
    assert "rate window: 10,000,000 users in 1 s (published, shared through Redis)" in caplog.text
