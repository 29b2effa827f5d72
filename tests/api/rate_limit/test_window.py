from __future__ import annotations

import math
import threading

import pytest

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.api.errors import MoEngageStopped
from airflow_provider_moengage.api.rate_limit.contention import MAX_JITTER
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.limiter import RateLimiter
from airflow_provider_moengage.api.rate_limit.redis_sharing import PREFETCHED_UNITS
from airflow_provider_moengage.api.rate_limit.redis_window import RedisGrant
from airflow_provider_moengage.api.rate_limit.window import Grant, Window
from airflow_provider_moengage.api.workspace import Workspace
from tests.support.interruption import interruptions
from tests.support.waiting import wait_until

USERS = Quota("users", 10_000)
BULK_USERS = Quota("bulk_users", 10_000)
BULK_EVENTS = Quota("bulk_events", 30_000)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_that_lasts_is_counted_and_its_end_is_known():
    clock = Clock()
    window = Window(1, clock=clock)
    window.settle(window.try_acquire(1), RateHeaders(), throttled=False)
    assert window.resets_in is None
    waiting = threading.Thread(target=window.wait, args=(60.0, window.changes))
    waiting.start()
    wait_until(lambda: window.resets_in is not None, "a thread waits for the window")
    assert (window.resets_in, window.throttled_seconds) == (60.0, 0.0)
    clock.now += 20
    assert (window.resets_in, window.throttled_seconds) == (40.0, 20.0)
    clock.now += 40
    window.wake()
    waiting.join()
    assert (window.resets_in, window.throttled_seconds) == (None, 60.0)


def test_the_first_grant_of_a_window_goes_alone():
    window = Window(100, clock=Clock())
    first = window.try_acquire(1)
    assert isinstance(first, Grant)
    assert first.first
    assert window.try_acquire(1) == math.inf
    window.settle(first, RateHeaders(), throttled=False)
    second = window.try_acquire(1)
    assert isinstance(second, Grant)
    assert not second.first


def test_a_lost_first_answer_does_not_block_the_others():
    window = Window(100, clock=Clock())
    window.settle_unconfirmed(window.try_acquire(1))
    assert isinstance(window.try_acquire(1), Grant)


def test_published_limits_beat_configured_ones():
    clock = Clock()
    window = Window(10_000, clock=clock)
    window.settle(
        window.try_acquire(1), RateHeaders(limit=3, period=10.0, remaining=2, reset=4.0), throttled=False
    )
    assert isinstance(window.try_acquire(2), Grant)
    assert window.try_acquire(1) == pytest.approx(4.0)
    clock.now += 4.0
    assert isinstance(window.try_acquire(1), Grant)


def test_what_other_clients_use_is_left_alone():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=10, reset=30.0), throttled=False)
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=2, reset=30.0), throttled=False)
    for left in (1, 0):
        grant = window.try_acquire(1)
        assert isinstance(grant, Grant)
        assert 30.0 <= window.try_acquire(1) <= 30.0 + MAX_JITTER
        window.settle(grant, RateHeaders(limit=100, remaining=left, reset=30.0), throttled=False)
    assert 30.0 <= window.try_acquire(1) <= 30.0 + MAX_JITTER


def test_the_first_grant_beside_others_is_at_most_our_part_of_the_last_window():
    clock = Clock()
    window = Window(1_000, clock=clock)
    headers = RateHeaders(limit=1_000, period=10.0, remaining=0, reset=5.0)
    window.settle(window.try_acquire(200), headers, throttled=False)
    clock.now += 5.3
    first = window.try_acquire(1_000, 1)
    assert isinstance(first, Grant)
    assert first.units == 160


def test_beside_others_one_does_not_try_early_and_not_at_the_same_moment():
    waits = set()
    for _ in range(20):
        clock = Clock()
        window = Window(1_000, clock=clock)
        window.settle(
            window.try_acquire(200),
            RateHeaders(limit=1_000, period=10.0, remaining=0, reset=10.0),
            throttled=False,
        )
        clock.now += 10.2
        window.settle(
            window.try_acquire(200),
            RateHeaders(limit=1_000, period=10.0, remaining=0, reset=10.0),
            throttled=False,
        )
        waits.add(window.try_acquire(1))
    assert len(waits) > 10
    assert all(9.7 < wait <= 10.21 for wait in waits)


def test_a_call_is_cut_to_what_is_left():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(60), RateHeaders(limit=100, remaining=40, reset=30.0), throttled=False)
    assert window.try_acquire(60) == pytest.approx(30.0)
    grant = window.try_acquire(60, 1)
    assert isinstance(grant, Grant)
    assert grant.units == 40


def test_what_is_given_back_can_be_granted_again():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(50), RateHeaders(limit=100, remaining=50, reset=30.0), throttled=False)
    grant = window.try_acquire(50)
    assert isinstance(grant, Grant)
    assert not isinstance(window.try_acquire(1), Grant)
    left = window.return_units(grant, 20)
    assert left is not None
    assert left.units == 30
    assert isinstance(window.try_acquire(20), Grant)


def test_a_first_grant_that_is_given_back_lets_another_be_the_first():
    window = Window(100, clock=Clock())
    assert window.return_units(window.try_acquire(50), 50) is None
    again = window.try_acquire(50)
    assert isinstance(again, Grant)
    assert again.first


def test_a_share_leaves_the_rest_of_the_window_to_others():
    window = Window(10, share=0.5, clock=Clock())
    window.settle(window.try_acquire(1), RateHeaders(limit=10, remaining=9, reset=30.0), throttled=False)
    granted = sum(isinstance(window.try_acquire(1), Grant) for _ in range(10))
    assert granted == 4


def test_without_headers_the_configured_limit_holds_for_sixty_seconds():
    clock = Clock()
    window = Window(5, clock=clock)
    window.settle(window.try_acquire(1), RateHeaders(), throttled=False)
    for _ in range(4):
        window.settle(window.try_acquire(1), RateHeaders(), throttled=False)
    assert window.try_acquire(1) == pytest.approx(60.0)
    clock.now += 60.0
    assert isinstance(window.try_acquire(1), Grant)


def test_a_429_closes_the_window_until_its_reset():
    window = Window(100, clock=Clock())
    first = window.try_acquire(1)
    window.settle(first, RateHeaders(limit=100, remaining=99, reset=30.0), throttled=False)
    # Two units are spent, of which MoEngage refused one: another client uses the window too.
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=98, reset=30.0), throttled=True)
    assert 30.0 <= window.try_acquire(1) <= 30.0 + MAX_JITTER


def test_a_429_of_a_call_that_did_not_fit_leaves_the_rest_to_a_smaller_one():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(60), RateHeaders(), throttled=False)
    window.settle(window.try_acquire(40), RateHeaders(remaining=7), throttled=True)
    grant = window.try_acquire(40, 1)
    assert isinstance(grant, Grant)
    assert grant.units == 7


def test_a_429_without_a_word_costs_one_whole_window():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(1), RateHeaders(), throttled=True)
    assert window.try_acquire(1) == pytest.approx(60.0)


def test_a_429_with_a_reset_of_zero_does_not_spin():
    window = Window(100, clock=Clock())
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=0, reset=0.0), throttled=True)
    assert window.try_acquire(1) >= 0.2


@pytest.mark.parametrize("by_clock", [False, True])
def test_a_reset_beyond_the_window_is_not_believed(by_clock: bool):
    window = Window(100, clock=Clock())
    headers = RateHeaders(limit=100, period=60.0, remaining=0, reset=86400.0, by_clock=by_clock)
    window.settle(window.try_acquire(100), headers, throttled=False)
    wait = window.try_acquire(1)
    assert not isinstance(wait, Grant)
    assert 59 <= wait <= 61


def test_five_windows_without_a_unit_are_starvation_and_one_answer_ends_it():
    clock = Clock()
    window = Window(100, period=10.0, clock=clock)
    for number in range(5):
        window.settle(window.try_acquire(1), RateHeaders(), throttled=True)
        assert not window.starved, number
        clock.now += 10.0
    window.settle(window.try_acquire(1), RateHeaders(), throttled=True)
    assert window.starved
    clock.now += 10.0
    window.settle(window.try_acquire(1), RateHeaders(), throttled=False)
    assert not window.starved


def test_a_late_answer_of_the_last_window_does_not_spoil_this_one():
    clock = Clock()
    window = Window(100, period=10.0, clock=clock)
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=99, reset=10.0), throttled=False)
    late = window.try_acquire(1)
    clock.now += 10.0
    window.settle(window.try_acquire(1), RateHeaders(limit=100, remaining=99, reset=10.0), throttled=False)
    window.settle(late, RateHeaders(limit=100, remaining=0, reset=1.0), throttled=False)
    assert isinstance(window.try_acquire(50), Grant)


def test_a_late_answer_may_be_the_one_that_began_this_window():
    clock = Clock()
    window = Window(100, clock=clock)
    window.settle(
        window.try_acquire(1), RateHeaders(limit=100, period=60.0, remaining=99, reset=30.0), throttled=False
    )
    clock.now += 29.9
    late = window.try_acquire(1)
    assert isinstance(late, Grant)
    clock.now += 0.1
    assert isinstance(window.try_acquire(1), Grant)
    clock.now += 0.2
    window.settle(late, RateHeaders(limit=100, period=60.0, remaining=99, reset=60.0), throttled=False)
    assert window.published_reset_in == pytest.approx(60.0)


def test_more_than_a_window_holds_is_granted_alone_in_a_fresh_one():
    clock = Clock()
    window = Window(5, clock=clock)
    window.settle(window.try_acquire(1), RateHeaders(limit=5, remaining=4, reset=10.0), throttled=False)
    window.settle(window.try_acquire(4), RateHeaders(limit=5, remaining=0, reset=10.0), throttled=False)
    assert window.try_acquire(50) == pytest.approx(10.0)
    clock.now += 10.0
    assert isinstance(window.try_acquire(50), Grant)


def test_a_stopped_run_grants_nothing_and_wakes_who_waits():
    windows = RateLimiter(Workspace("W", "K", data_center="01", limits={"users": 1}))
    halt = threading.Event()
    windows.acquire({USERS: 1}, halt).settle(RateHeaders(remaining=0, reset=50.0), 200)
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            windows.acquire({USERS: 1}, halt)
        except MoEngageStopped as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    halt.set()
    windows.wake()
    thread.join(timeout=10)
    assert len(outcome) == 1


@pytest.mark.parametrize("moment", ["before it asks", "after it asks"])
def test_a_stop_is_not_missed_between_the_question_and_the_wait(monkeypatch: pytest.MonkeyPatch, moment: str):
    windows = RateLimiter(Workspace("W", "K", data_center="01", limits={"users": 1}))
    halt = threading.Event()
    windows.acquire({USERS: 1}, halt).settle(RateHeaders(remaining=0, reset=50.0), 200)
    offer = Window.try_acquire

    def stopped_meanwhile(window: Window, units: int, least: int | None = None) -> Grant | float:
        if moment == "before it asks":
            halt.set()
            windows.wake()
        answer = offer(window, units, least)
        halt.set()
        windows.wake()
        return answer

    monkeypatch.setattr(Window, "try_acquire", stopped_meanwhile)
    stopped = threading.Event()

    def wait() -> None:
        with pytest.raises(MoEngageStopped):
            windows.acquire({USERS: 1}, halt)
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    assert stopped.wait(10)


def test_a_call_of_two_quotas_waits_for_both_and_holds_neither_meanwhile():
    limits = {"bulk_users": 10, "bulk_events": 10}
    windows = RateLimiter(Workspace("W", "K", data_center="01", limits=limits))
    halt = threading.Event()
    both = {BULK_USERS: 5, BULK_EVENTS: 5}
    windows.acquire(both, halt).settle(RateHeaders(), 200)
    spent = windows.acquire({BULK_EVENTS: 5}, halt)
    waiting = threading.Thread(target=lambda: windows.acquire(both, halt).settle_unconfirmed(), daemon=True)
    waiting.start()
    # The users that the waiting call wants too are free for another one all the time.
    for _ in range(20):
        permit = windows.acquire({BULK_USERS: 5}, halt)
        permit.keep({})
    spent.keep({})
    waiting.join(timeout=10)
    assert not waiting.is_alive()


def test_a_call_of_two_quotas_is_cut_to_the_one_that_has_less_left():
    windows = RateLimiter(Workspace("W", "K", data_center="01", limits={"bulk_users": 10, "bulk_events": 4}))
    halt = threading.Event()
    windows.acquire({BULK_USERS: 1, BULK_EVENTS: 1}, halt).settle(RateHeaders(), 200)
    wanted = {BULK_USERS: 6, BULK_EVENTS: 6}
    permit = windows.acquire(wanted, halt, {BULK_USERS: 1, BULK_EVENTS: 1})
    assert permit.units == {BULK_USERS: 6, BULK_EVENTS: 3}


class Shared:
    """A shared window that gives all that is asked for, each time of the window it is told to be in."""

    def __init__(self) -> None:
        self.fresh = False
        self.given_back: list[int] = []

    def acquire(self, units: int, **known: object) -> RedisGrant:
        return RedisGrant(units, 0.0, self.fresh)

    def return_units(self, units: int) -> None:
        self.given_back.append(units)

    def leave(self, units: int) -> None:
        self.given_back.append(units)


def test_what_was_drawn_before_a_window_began_is_not_lost_to_the_others():
    clock, shared = Clock(), Shared()
    window = Window(100, shared=shared, clock=clock)
    window.settle(
        window.try_acquire(1), RateHeaders(limit=100, period=60.0, remaining=99, reset=30.0), throttled=False
    )
    clock.now += 31.0
    assert isinstance(window.try_acquire(1), Grant)
    window.close()
    assert shared.given_back == [PREFETCHED_UNITS - 1] * 2


def test_what_was_drawn_of_a_shared_window_that_is_over_is_not_spent_in_the_next():
    shared = Shared()
    window = Window(100, shared=shared, clock=Clock())
    window.settle(
        window.try_acquire(1), RateHeaders(limit=100, period=60.0, remaining=99, reset=30.0), throttled=False
    )
    shared.fresh = True
    assert window.try_acquire(PREFETCHED_UNITS + 4, minimum=1).units == 5


def test_the_windows_to_come_are_counted():
    clock = Clock()
    window = Window(300, clock=clock)
    # Nothing is known of the window yet: what it holds can be sent at once, the rest a window later and more.
    assert [window.seconds_for(units) for units in (0, 300, 301, 600, 601)] == [0.0, 0.0, 60.0, 60.0, 120.0]
    grant = window.try_acquire(1)
    assert isinstance(grant, Grant)
    window.settle(grant, RateHeaders(limit=300, remaining=0, reset=19), throttled=False)
    assert window.seconds_for(1_200) == pytest.approx(19 + 3 * 60, abs=1.0)
    clock.now += 19
    assert window.seconds_for(1_200) == pytest.approx(3 * 60, abs=1.0)


def test_units_in_flight_are_granted_already():
    window = Window(10, share=0.5, clock=Clock())
    window.try_acquire(1)
    assert [window.seconds_for(units) for units in (5, 6)] == [0.0, 60.0]


def test_a_caller_interrupted_anywhere_does_not_keep_the_window_from_others():
    window = Window(1)

    def steps() -> None:
        window.settle(window.try_acquire(1), RateHeaders(limit=1, remaining=0, reset=50.0), throttled=False)
        changes = window.changes
        assert not isinstance(window.try_acquire(1), Grant)
        window.wait(0.0001, changes)
        window.wake()

    seen = 0
    for event in interruptions(steps):
        other = threading.Thread(target=window.wake, daemon=True)
        other.start()
        other.join(2.0)
        assert not other.is_alive(), f"interrupted at event {event}"
        window = Window(1)
        seen = event
    assert seen > 10
