"""The shared window against a real Redis server; most tests set the clock that the script asks for the time."""

from __future__ import annotations

import math
import multiprocessing
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.api.rate_limit import redis_scripts
from airflow_provider_moengage.api.rate_limit.redis_window import (
    RedisGrant,
    RedisWindow,
    RedisWindows,
    SharedWindowGone,
)
from tests.support.redis_server import HOST, RedisServer, running_redis

USERS, EVENTS = Quota("users", 10_000), Quota("events", 30_000)

LIMIT = 100
PERIOD = 60.0
KEY = "moengage:W:api-01.moengage.com:users"
# Every example sets the same clock anew.
same_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        client.flushall()
        yield client


class Clock:
    """The time as the script reads it; the script itself is the real one, and so is the server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.restart()

    def restart(self) -> None:
        self._client.flushall()
        self.now = 0.0
        self.move(1_700_000_000.0)

    def move(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)
        milliseconds = round(self.now * 1000)
        self._client.rpush("clock", milliseconds // 1000, milliseconds % 1000 * 1000)
        self._client.ltrim("clock", -2, -1)


@pytest.fixture
def clock(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Clock:
    assert redis_scripts.ACQUIRE.count("redis.call('TIME')") == 1
    timed = redis_scripts.ACQUIRE.replace("redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)")
    monkeypatch.setattr(redis_scripts, "ACQUIRE", timed)
    return Clock(client)


class Caller:
    """Takes from the window as one process does."""

    def __init__(self, client: redis.Redis, name: str | None = None) -> None:
        self.window = RedisWindow(client, KEY, name or uuid.uuid4().hex)

    def take(
        self,
        units: int = 1,
        *,
        ends: tuple[float, float] | None = None,
        remaining: int | None = None,
        limit: int = LIMIT,
        period: float = PERIOD,
        guessed: bool = False,
    ) -> RedisGrant:
        return self.window.acquire(
            units, limit=limit, period=period, ends=ends, remaining=remaining, guessed=guessed
        )

    def wait(self, **knowledge: Any) -> float:
        """Seconds until the window ends, as Redis has it; takes nothing."""
        return self.take(0, **knowledge).wait


@pytest.fixture
def caller(client: redis.Redis) -> Caller:
    return Caller(client)


@pytest.fixture
def other(client: redis.Redis) -> Caller:
    return Caller(client)


def test_two_processes_draw_from_one_window(clock: Clock, caller: Caller, other: Caller):
    assert caller.take(70, ends=(59.0, 60.0)) == RedisGrant(70, 0.0)
    clock.move(1.5)
    assert other.take(70) == RedisGrant(30, 0.0)
    assert caller.take(70) == RedisGrant(0, 58.5)
    clock.move(58.499)
    assert other.take(1) == RedisGrant(0, 0.001)
    clock.move(0.001)
    # What the one had beyond its half of that window, the other has in this one.
    assert other.take(70) == RedisGrant(45, 0.0)
    clock.move(30.0)
    assert caller.take(70) == RedisGrant(55, 0.0)


def test_a_process_that_resumes_has_the_part_of_the_one_before_it(
    client: redis.Redis, clock: Clock, other: Caller
):
    deferred = Caller(client, "task")
    other.take(LIMIT - 10, ends=(60.0, 60.0))
    assert deferred.take(30).units == 10
    assert deferred.take(30).units == 0
    deferred.window.stay(0)
    clock.move(60.0)
    # The other one is first, and does not get all of it.
    taken = other.take(LIMIT).units
    assert taken < LIMIT / 2
    clock.move(1.0)
    assert Caller(client, "task").take(LIMIT).units >= LIMIT - taken - 5


def test_the_part_of_a_process_that_does_not_resume_is_free_after_half_a_window(
    client: redis.Redis, clock: Clock, other: Caller
):
    deferred = Caller(client, "task")
    for caller in (other, deferred):
        caller.take(LIMIT // 2, ends=(60.0, 60.0))
    assert deferred.take(30).units == 0
    deferred.window.stay(0)
    clock.move(60.0)
    taken = other.take(LIMIT).units
    clock.move(30.0)
    assert taken + other.take(LIMIT).units == LIMIT


def test_quotas_and_workspaces_have_windows_of_their_own(client: redis.Redis):
    windows = RedisWindows(client, "W:api-01.moengage.com"), RedisWindows(client, "V:api-01.moengage.com")
    for window in (windows[0].window("users"), windows[0].window("events"), windows[1].window("users")):
        assert window.acquire(LIMIT, limit=LIMIT, period=PERIOD, ends=None, remaining=None).units == LIMIT
    assert {key.decode() for key in client.scan_iter()} == {
        "moengage:W:api-01.moengage.com:users",
        "moengage:W:api-01.moengage.com:events",
        "moengage:V:api-01.moengage.com:users",
    }


def test_an_end_that_was_a_guess_gives_way_to_one_that_is_known(clock: Clock, caller: Caller, other: Caller):
    caller.take(10)
    assert other.take(10, ends=(4.0, 5.0), remaining=85) == RedisGrant(10, 0.0)
    assert caller.wait() == 5.0
    # 15 units were used when 85 were left, which is more than was taken here: somebody else sends too.
    assert caller.take(LIMIT).units == 75


def test_an_end_that_is_carried_over_gives_way_to_one_that_is_known(
    clock: Clock, caller: Caller, other: Caller
):
    assert caller.take(LIMIT, ends=(59.5, 60.0)).units == LIMIT
    clock.move(60.0)
    assert caller.take(LIMIT, ends=(59.5, 60.0), guessed=True).units == LIMIT
    assert other.wait() == 60.0
    # MoEngage began the window with the first request, a tenth of a second later.
    clock.move(0.1)
    assert caller.wait(ends=(59.0, 60.0), remaining=0) == 60.0
    clock.move(59.9)
    assert other.take(LIMIT, ends=(-0.5, 0.0), guessed=True) == RedisGrant(0, 0.1)
    clock.move(0.1)
    assert other.take(LIMIT, ends=(-0.6, -0.1), guessed=True).units > 0


def test_a_guess_changes_no_end_that_is_known(clock: Clock, caller: Caller, other: Caller):
    caller.take(LIMIT, ends=(59.0, 60.0))
    clock.move(1.0)
    assert other.wait(ends=(55.0, 56.0), guessed=True) == 59.0
    assert other.wait(ends=(57.0, 58.0)) == 58.0
    clock.move(57.9)
    assert other.take(ends=(59.9, 60.0), guessed=True) == RedisGrant(0, 0.1, fresh=False)


def test_a_guess_that_is_over_is_not_the_window_that_is_known(clock: Clock, caller: Caller, other: Caller):
    caller.take(LIMIT)
    clock.move(61.0)
    assert other.take(LIMIT, ends=(10.0, 11.0)) == RedisGrant(LIMIT, 0.0)
    assert caller.take() == RedisGrant(0, 11.0)


def test_a_window_that_has_ended_tells_nothing_of_the_current_one(
    clock: Clock, caller: Caller, other: Caller
):
    caller.take(60, ends=(10.0, 10.0))
    assert other.take(LIMIT, ends=(-2.0, -1.0), remaining=0).units == 40
    assert other.take(1, ends=(-2.0, -1.0), remaining=0) == RedisGrant(0, 10.0)


def test_a_window_that_is_known_begins_with_what_is_left_of_it(clock: Clock, caller: Caller):
    assert caller.take(LIMIT, ends=(4.0, 5.0), remaining=20) == RedisGrant(20, 0.0)
    assert caller.take() == RedisGrant(0, 5.0)


@pytest.mark.parametrize("remaining", [80, 100, 1000])
def test_remaining_units_that_are_out_of_date_give_nothing_back(
    clock: Clock, caller: Caller, other: Caller, remaining: int
):
    caller.take(LIMIT, ends=(29.0, 30.0), remaining=LIMIT)
    assert other.take(1, ends=(29.0, 30.0), remaining=remaining).units == 0


def test_what_is_left_is_believed_of_the_whole_window_where_only_a_share_is_used(
    clock: Clock, caller: Caller
):
    # 400 of 1,000 are ours.
    assert caller.take(50, limit=400, ends=(29.0, 30.0), remaining=900).units == 50
    assert caller.take(1000, limit=400, ends=(29.0, 30.0), remaining=850).units == 350


def test_remaining_units_without_an_end_bind_the_caller_alone(clock: Clock, caller: Caller, other: Caller):
    assert caller.take(10, remaining=3).units == 3
    assert caller.take(10, remaining=0).units == 0
    # Of all that is left, and not of what the caller knows: its half.
    assert other.take(LIMIT).units == LIMIT // 2


true_ends = st.floats(1.0, 59.0)
brackets = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 0.05)), min_size=1, max_size=15
)


@same_fixtures
@given(true_ends, brackets)
def test_brackets_narrow_and_the_end_is_never_too_early(
    clock: Clock, client: redis.Redis, end: float, brackets: list[tuple[float, float, float]]
):
    clock.restart()
    caller = Caller(client)
    latest, end = clock.now + PERIOD, clock.now + round(end, 3)
    for before, after, pause in brackets:
        left = end - clock.now
        wait = caller.wait(ends=(left - before, left + after))
        assert clock.now + wait >= end - 0.001
        assert clock.now + wait <= min(latest, end + after) + 0.002
        latest = clock.now + wait
        clock.move(pause)


@same_fixtures
@given(
    st.floats(-1.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(0, LIMIT) | st.none(),
    st.floats(0.0, 0.9),
    st.booleans(),
)
def test_a_caller_in_the_old_window_does_not_spoil_the_new_one(
    clock: Clock,
    client: redis.Redis,
    off: float,
    width: float,
    remaining: int | None,
    pause: float,
    tell: bool,
):
    clock.restart()
    caller, stale = Caller(client), Caller(client)
    caller.take(LIMIT, ends=(10.0, 10.0), remaining=LIMIT)
    clock.move(10.0)
    assert caller.take(40, ends=(60.0, 60.0) if tell else None).units == 40
    before = client.hgetall(KEY)
    clock.move(pause)
    knows = (off - pause, off + width - pause)
    taken = stale.take(10, ends=knows, remaining=remaining)
    after = client.hgetall(KEY)
    assert int(after[b"used"]) == int(before[b"used"]) + taken.units
    for name in (b"began", b"ends", b"guess", b"period", b"limit"):
        assert after[name] == before[name]
    # Only one that is sure to be in the old window is held to what that has left, until it is over.
    sure = remaining is not None and int(knows[0] * 1000) > 0
    assert taken.units == (min(10, remaining) if sure else 10)
    assert taken.wait <= 2.0


def test_a_window_that_ends_a_little_later_is_not_left_early(clock: Clock, caller: Caller, other: Caller):
    caller.take(LIMIT, ends=(9.5, 10.0), remaining=LIMIT)
    clock.move(10.0)
    # Here it would be over; by this one's knowledge it is not.
    assert other.take(1, ends=(0.3, 0.5), remaining=0) == RedisGrant(0, 0.5)
    clock.move(0.5)
    assert caller.take(1).units == 1


def test_a_window_that_began_with_its_first_unit_is_the_same_though_it_ends_later(
    clock: Clock, caller: Caller, other: Caller
):
    caller.take(LIMIT, ends=(10.0, 10.0), remaining=LIMIT)
    clock.move(10.0 + 45.0)
    assert caller.take(60).units == 60
    assert caller.wait() == 15.0
    assert other.take(LIMIT, ends=(59.5, 60.0), remaining=LIMIT - 1).units == 40
    assert other.wait() == 60.0


def test_a_window_that_began_before_it_was_thought_to_is_a_new_one(
    clock: Clock, caller: Caller, other: Caller
):
    caller.take(LIMIT, ends=(9.0, 10.0), remaining=LIMIT)
    clock.move(9.5)
    assert other.take(40, ends=(59.0, 60.0), remaining=LIMIT - 1) == RedisGrant(40, 0.0)
    # Its half of what MoEngage has left.
    assert caller.take(LIMIT).units == (LIMIT - 1) // 2
    assert caller.wait() == 60.0


@pytest.mark.parametrize(
    ("pause", "wait"), [(0.002, 60.0), (20.0, 60.0), (40.0, 20.0), (600.0, 60.0), (640.0, 20.0)]
)
def test_the_next_window_ends_where_any_answer_can_mend_it(
    clock: Clock, caller: Caller, pause: float, wait: float
):
    caller.take(1, ends=(10.0, 10.0), remaining=LIMIT)
    clock.move(10.0 + pause)
    caller.take(1)
    assert caller.wait() == wait
    gap = pause % PERIOD
    for end in (PERIOD - gap, PERIOD):
        assert caller.wait(ends=(end, end)) == pytest.approx(end)
        assert caller.take(0).units == 0


def test_a_caller_without_an_answer_goes_by_what_others_were_told(
    clock: Clock, caller: Caller, other: Caller
):
    caller.take(10, limit=50, period=5.0, ends=(4.0, 5.0), remaining=50)
    assert caller.take(20).units == 20
    assert other.take(LIMIT).units == 20
    caller.window.leave(0)
    clock.move(5.0)
    assert other.take(LIMIT).units == 50
    assert other.take(1) == RedisGrant(0, 5.0)


def test_a_process_that_knows_of_no_window_has_the_limit_that_others_have_learned(
    clock: Clock, caller: Caller, other: Caller
):
    # MoEngage may have raised the limit of the workspace, and another one may be configured.
    other.take(140, limit=200, ends=(59.0, 60.0))
    clock.move(30.0)
    assert caller.take(10, limit=100) == RedisGrant(10, 0.0)
    # Nobody waits for the rest of the window.
    assert other.take(100, limit=200, ends=(29.0, 30.0)).units == 50


def test_a_limit_that_changes_holds_from_the_next_answer_on(clock: Clock, caller: Caller):
    caller.take(LIMIT, ends=(29.0, 30.0), remaining=LIMIT)
    assert caller.take(300, limit=250, ends=(29.0, 30.0), remaining=150).units == 150
    clock.move(30.0)
    assert caller.take(20, limit=50, ends=(59.0, 60.0)).units == 20
    assert caller.take(300, limit=10, ends=(59.0, 60.0)).units == 0


def test_what_is_given_back_can_be_taken_by_others(clock: Clock, caller: Caller, other: Caller):
    caller.take(80)
    caller.window.return_units(30)
    caller.window.return_units(0)
    assert other.take(LIMIT).units == 50


def test_what_is_given_back_too_late_is_lost(clock: Clock, caller: Caller, other: Caller):
    caller.take(80)
    clock.move(60.0)
    other.take(50)
    caller.window.return_units(30)
    clock.move(30.0)
    assert other.take(LIMIT).units == 50


KNOWN = (59.0, 60.0)


def clients_of_a_window(clock: Clock, client: redis.Redis, count: int, **knowledge: Any) -> list[Caller]:
    """Return clients that have all asked in the last window, at the beginning of a new one."""
    callers = [Caller(client) for _ in range(count)]
    for one in callers:
        one.take(1, ends=KNOWN, **knowledge)
    clock.move(60.0)
    return callers


def test_all_that_asked_in_the_last_window_have_equal_parts_of_the_next(clock: Clock, client: redis.Redis):
    callers = clients_of_a_window(clock, client, 4)
    # What is not given to the first is held for those that come later.
    assert [one.take(LIMIT).units for one in callers] == [25] * 4
    assert callers[0].take(1) == RedisGrant(0, 60.0)


def test_what_one_does_not_take_is_free_to_the_others_in_the_first_half(clock: Clock, client: redis.Redis):
    first, second, _, _ = clients_of_a_window(clock, client, 4)
    assert (first.take(LIMIT).units, second.take(LIMIT).units) == (25, 25)
    assert 0 < first.take(LIMIT).wait <= 3.0
    assert 0 < second.take(LIMIT).wait <= 3.0
    clock.move(15.0)
    early = first.take(LIMIT).units
    assert 0 < early <= 13
    clock.move(15.0)
    assert second.take(LIMIT).units == 25
    assert first.take(LIMIT).units == 25 - early
    assert first.take(1) == RedisGrant(0, 30.0)


def test_one_that_is_dead_is_forgotten_after_a_window(clock: Clock, client: redis.Redis):
    callers = clients_of_a_window(clock, client, 4)
    living = callers[1:]
    for one in living:
        one.take(1)
    clock.move(60.0)
    assert sum(one.take(33).units for one in living) == 99
    assert len([name for name in client.hkeys(KEY) if name.startswith(b"c:")]) == 3


def test_one_that_leaves_leaves_its_part_at_once(clock: Clock, client: redis.Redis):
    first, second, third, fourth = clients_of_a_window(clock, client, 4)
    first.take(20)
    first.window.leave(15)
    second.window.leave(0)
    second.window.leave(0)
    assert client.hget(KEY, "clients") == b"2"
    # Two halves of the 45 that these two have left.
    assert (third.take(47).units, fourth.take(47).units) == (47, 47)
    assert client.hget(KEY, "used") == b"99"


def test_one_that_leaves_without_having_asked_sends_nothing(client: redis.Redis, caller: Caller):
    caller.window.leave(0)
    assert not client.exists(KEY)


def test_a_late_one_gets_some_of_what_is_left_and_its_part_of_the_next(clock: Clock, client: redis.Redis):
    callers = clients_of_a_window(clock, client, 4)
    assert [one.take(20).units for one in callers] == [20] * 4
    late = Caller(client)
    assert late.take(LIMIT).units == 20
    clock.move(60.0)
    assert [one.take(LIMIT).units for one in (*callers, late)] == [20] * 5


def test_a_request_that_costs_more_than_a_part_is_sent_all_the_same(clock: Clock, client: redis.Redis):
    # Ten each, but only thirty are of use.
    callers = clients_of_a_window(clock, client, 10)
    served: Counter[int] = Counter()
    for _ in range(10):
        units = 0
        for _ in range(20):
            for number, one in enumerate(callers):
                granted = one.window.acquire(
                    30, limit=LIMIT, period=PERIOD, ends=None, remaining=None, minimum=30
                ).units
                assert granted in (0, 30)
                served[number] += granted > 0
                units += granted
            clock.move(3.0)
        assert units == 90
    assert sum(served.values()) == 30
    assert set(served.values()) <= {2, 3, 4}


def test_what_is_of_no_use_is_left_to_others(clock: Clock, client: redis.Redis, caller: Caller):
    caller.take(95, ends=KNOWN)
    other = Caller(client)
    assert other.window.acquire(
        11, limit=LIMIT, period=PERIOD, ends=None, remaining=None, minimum=11
    ) == RedisGrant(0, 60.0)
    assert caller.take(LIMIT).units == 5


def test_before_the_end_is_known_a_client_asks_again_soon(clock: Clock, caller: Caller, other: Caller):
    assert caller.take(LIMIT).units == LIMIT
    assert 0 < other.take(1).wait <= 3.0


@pytest.mark.parametrize(
    ("count", "limit", "chunk", "killed"),
    [(30, 100, 16, 0), (30, 167, 16, 6), (15, 10, 16, 0), (16, 6, 1, 0), (8, 200, 5, 2), (1, 50, 7, 0)],
)
def test_shares_are_even_and_none_waits_more_than_two_windows(
    clock: Clock, client: redis.Redis, count: int, limit: int, chunk: int, killed: int
):
    """However few units there are, and whoever is the fastest; some die in the middle, holding units or a part."""
    chance = random.Random(count)
    callers = [Caller(client) for _ in range(count)]
    wakes = [clock.now + chance.random() for _ in callers]
    pace = [chance.choice([0.0, 0.001, 0.01]) for _ in callers]
    got: list[Counter[int]] = [Counter() for _ in callers]
    start, windows = clock.now, 13
    while True:
        number = min(range(count), key=lambda one: wakes[one])
        clock.move(max(0.0, wakes[number] - clock.now))
        window, elapsed = divmod(clock.now - start, PERIOD)
        if window >= windows:
            break
        if number < killed and window >= 7:
            wakes[number] = float("inf")
            continue
        ends = (PERIOD - elapsed, PERIOD - elapsed)
        granted = callers[number].take(chunk, limit=limit, ends=ends)
        got[number][int(window)] += granted.units
        wakes[number] = clock.now + (granted.wait or pace[number] + 0.001)
    used = [sum(one[window] for one in got) for window in range(windows)]
    assert used == [limit] * windows
    living = got[killed:]
    # The first window, in which nobody knows of the others, goes to the fastest.
    totals = [sum(one[window] for window in range(1, windows)) for one in living]
    assert max(totals) <= 1.5 * min(totals)
    # With fewer units than clients, a share is one unit every few windows.
    windows_for_one = math.ceil(count / limit)
    for one in living:
        for window in range(1, windows - windows_for_one - 1):
            assert any(one[later] for later in range(window, window + windows_for_one + 2))


def test_a_window_is_forgotten_after_some_periods(client: redis.Redis, caller: Caller):
    caller.take(1)
    assert 2 * PERIOD * 1000 < client.pttl(KEY) <= 3 * PERIOD * 1000
    caller.take(1, period=0.01, ends=(0.005, 0.005))
    deadline = time.monotonic() + 30
    while client.exists(KEY) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert caller.take(LIMIT).units == LIMIT


class MoEngage:
    """Fixed windows that follow each other, or begin with their first unit; tells what its headers would."""

    def __init__(self, clock: Clock, phase: float, on_demand: bool, rounds_up: bool) -> None:
        self._clock = clock
        self._ends = clock.now if on_demand else clock.now + phase
        self._on_demand = on_demand
        self._rounds_up = rounds_up
        self.used: list[int] = [0]
        self.refused = 0

    def send(self) -> tuple[bool, int, int]:
        """Answer one unit: whether it passed, the units left, the whole seconds until the reset."""
        now = self._clock.now
        if now >= self._ends:
            gap = 0.0 if self._on_demand else (now - self._ends) % PERIOD
            self._ends = now + PERIOD - gap
            self.used.append(0)
        passes = self.used[-1] < LIMIT
        self.used[-1] += passes
        self.refused += not passes
        seconds = self._ends - now
        return passes, LIMIT - self.used[-1], int(seconds) + (self._rounds_up and seconds % 1 > 0)


class Process:
    """
    Sends one unit after the other and remembers what the answers said of its window.

    Whole seconds may be rounded up or down, which the process does not know.
    """

    def __init__(self, client: redis.Redis, clock: Clock, moengage: MoEngage, chunk: int) -> None:
        self._caller = Caller(client)
        self._clock = clock
        self._moengage = moengage
        self._chunk = chunk
        self._taken = 0
        self._bracket: tuple[float, float] | None = None
        self._remaining: int | None = None
        self.wakes = clock.now
        self.windows: Counter[int] = Counter()

    def step(self) -> None:
        """Send one unit, or take more, or wait."""
        now = self._clock.now
        if self._bracket and now >= self._bracket[1]:
            self._bracket = self._remaining = None
        if self._taken == 0:
            ends = self._bracket and (self._bracket[0] - now, self._bracket[1] - now)
            taken = self._caller.take(self._chunk, ends=ends, remaining=self._remaining)
            self._taken = taken.units
            self.windows[self._caller.window._began] += taken.units
            self.wakes = now + taken.wait
        if self._taken:
            self._taken -= 1
            passes, remaining, reset = self._moengage.send()
            earliest, latest = now + reset - 1, now + reset + 1
            if self._bracket and earliest <= self._bracket[1] and latest >= self._bracket[0]:
                earliest, latest = max(earliest, self._bracket[0]), min(latest, self._bracket[1])
                self._remaining = min(remaining, self._remaining or remaining)
            else:
                self._remaining = remaining
            self._bracket = (earliest, latest)
            if not passes:
                self._caller.window.return_units(1 + self._taken)
                self.windows[self._caller.window._began] -= 1 + self._taken
                self._taken, self._remaining = 0, 0
                self.wakes = now + max(reset, 0.25)


@settings(same_fixtures, max_examples=30)
@given(
    seed=st.integers(0, 1_000_000),
    processes=st.integers(1, 8),
    chunk=st.integers(1, 20),
    phase=st.floats(0.5, 60.0),
    pause=st.just(0.0) | st.floats(0.0, 150.0),
    on_demand=st.booleans(),
    rounds_up=st.booleans(),
)
def test_many_processes_fill_every_window_and_overrun_none(
    clock: Clock, client: redis.Redis, seed: int, processes: int, chunk: int, phase: float, pause: float,
    on_demand: bool, rounds_up: bool,
):  # fmt: skip
    clock.restart()
    chance = random.Random(seed)
    moengage = MoEngage(clock, phase, on_demand, rounds_up)
    senders = [Process(client, clock, moengage, chunk) for _ in range(processes)]
    for _ in range(2):
        stop = clock.now + 2.5 * PERIOD
        sent = sum(moengage.used)
        while (sender := min(senders, key=lambda one: one.wakes)).wakes < stop:
            clock.move(max(0.0, sender.wakes - clock.now) + chance.random() * 0.01)
            sender.step()
        assert sum(moengage.used) - sent >= 2 * LIMIT
        clock.move(stop + pause - clock.now)
        for sender in senders:
            sender.wakes = clock.now
    granted = sum((sender.windows for sender in senders), Counter[int]())
    assert max(granted.values()) <= LIMIT
    # MoEngage's window may begin anew while others hold units of the old one: then each of them meets one 429.
    assert moengage.refused <= processes
    if not pause:
        assert set(moengage.used[1:-1]) == {LIMIT}


def draw(port: int, seconds: float) -> dict[int, int]:
    """Take as much as there is for some time, on the server's own clock; in a process of its own."""
    windows: Counter[int] = Counter()
    with redis.Redis(HOST, port) as client:
        caller = Caller(client)
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            taken = caller.take(7, period=0.3)
            windows[caller.window._began] += taken.units
            time.sleep(taken.wait)
    return dict(windows)


def test_eight_processes_on_a_real_clock_take_no_more_than_a_window_holds(
    client: redis.Redis, redis_server: RedisServer
):
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool, ThreadPoolExecutor(4) as threads:
        drawn = [threads.submit(draw, redis_server.port, 2.0) for _ in range(4)]
        windows = sum(
            (Counter(one) for one in pool.starmap(draw, [(redis_server.port, 2.0)] * 4)), Counter[int]()
        )
        windows += sum((Counter(one.result()) for one in drawn), Counter[int]())
    assert len(windows) > 1
    assert max(windows.values()) == LIMIT


def test_a_server_that_stops_is_gone_and_its_successor_begins_anew(own_redis_server: RedisServer):
    # Without the client's own repetitions, which would take seconds.
    client = redis.Redis(own_redis_server.host, own_redis_server.port, retry=Retry(NoBackoff(), 0))
    caller, windows = Caller(client), RedisWindows(client, "W:host")
    caller.take(LIMIT)
    own_redis_server.stop()
    with pytest.raises(SharedWindowGone, match="ConnectionError"):
        caller.take(1)
    caller.window.return_units(1)
    with running_redis(own_redis_server.port):
        # The successor does not know the script: it is sent again.
        assert caller.take(1).units == 1
        window = windows.window(USERS)
        assert window.acquire(1, limit=LIMIT, period=PERIOD, ends=None, remaining=None).units == 1
        windows.close()


def test_what_redis_refuses_counts_as_gone(client: redis.Redis, caller: Caller):
    client.set(KEY, "not a hash")
    with pytest.raises(SharedWindowGone, match="WRONGTYPE"):
        caller.take(1)


def test_nothing_is_imported_before_it_is_used():
    program = "import sys, airflow_provider_moengage.api.rate_limit.redis_window as _; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
