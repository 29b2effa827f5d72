from __future__ import annotations

import heapq
import math
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageStopped
from airflow_provider_moengage.api.windows import Grant, RateHeaders, Window


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"x-ratelimit-limit": "31500; w=60", "x-ratelimit-remaining": "31499", "x-ratelimit-reset": "29"},
            RateHeaders(31500, 60.0, 31499, 29.0),
        ),
        ({"x-ratelimit-limit": "5, 5;w=60"}, RateHeaders(limit=5, period=60.0)),
        ({"x-ratelimit-limit": "100, 100;w=60, 5000;w=3600"}, RateHeaders(limit=100, period=60.0)),
        ({"x-ratelimit-limit": "10000"}, RateHeaders(limit=10000)),
        ({"x-ratelimit-reset": "1700000030"}, RateHeaders(reset=30.0)),
        ({"x-ratelimit-reset": "1699999990"}, RateHeaders()),
        ({"x-ratelimit-reset": "0"}, RateHeaders(reset=0.0)),
        ({"retry-after": "7", "x-ratelimit-reset": "29"}, RateHeaders(reset=29.0, retry_after=7.0)),
        (
            {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-ratelimit-reset": "29"},
            RateHeaders(reset=29.0),
        ),
        ({"x-ratelimit-remaining": "-3"}, RateHeaders(remaining=0)),
        (
            {"x-ratelimit-limit": "soon", "x-ratelimit-remaining": "", "x-ratelimit-reset": "nan"},
            RateHeaders(),
        ),
        ({"x-ratelimit-limit": "0; w=0"}, RateHeaders()),
        ({}, RateHeaders()),
    ],
)
def test_every_spelling_of_the_headers_is_read_and_nonsense_counts_as_absent(headers, expected):
    assert RateHeaders.parse(headers, now=1_700_000_000.0) == expected


def test_a_wait_that_lasts_is_counted_and_its_end_is_known():
    clock = Clock()
    window = Window(1, clock=clock)
    window.answered(window.acquire(1, threading.Event()), RateHeaders(), refused=False)
    assert window.resets_in is None
    waiting = threading.Thread(target=window.acquire, args=(1, threading.Event()))
    waiting.start()
    while window.resets_in is None:
        time.sleep(0.001)
    assert (window.resets_in, window.throttled_seconds) == (60.0, 0.0)
    clock.now += 20
    assert (window.resets_in, window.throttled_seconds) == (40.0, 20.0)
    clock.now += 40
    window.wake()
    waiting.join()
    assert (window.resets_in, window.throttled_seconds) == (None, 60.0)


@given(
    st.dictionaries(
        st.sampled_from(["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text()
    )
)
def test_no_header_text_is_an_error(headers):
    RateHeaders.parse(headers, now=1_700_000_000.0)


def test_the_first_grant_of_a_window_goes_alone():
    window = Window(100, clock=Clock())
    first = window.offer(1)
    assert isinstance(first, Grant)
    assert first.first
    assert window.offer(1) == math.inf
    window.answered(first, RateHeaders(), refused=False)
    second = window.offer(1)
    assert isinstance(second, Grant)
    assert not second.first


def test_a_lost_first_answer_does_not_block_the_others():
    window = Window(100, clock=Clock())
    window.lost(window.offer(1))
    assert isinstance(window.offer(1), Grant)


def test_published_limits_beat_configured_ones():
    clock = Clock()
    window = Window(10_000, clock=clock)
    window.answered(window.offer(1), RateHeaders(limit=3, period=10.0, remaining=2, reset=4.0), refused=False)
    assert isinstance(window.offer(2), Grant)
    assert window.offer(1) == pytest.approx(4.0)
    clock.now += 4.0
    assert isinstance(window.offer(1), Grant)


def test_what_other_clients_use_is_left_alone():
    window = Window(100, clock=Clock())
    window.answered(window.offer(1), RateHeaders(limit=100, remaining=10, reset=30.0), refused=False)
    grants = [window.offer(1) for _ in range(10)]
    assert all(isinstance(grant, Grant) for grant in grants)
    assert window.offer(1) == pytest.approx(30.0)
    window.answered(grants[0], RateHeaders(limit=100, remaining=2, reset=30.0), refused=False)
    assert window.offer(1) == pytest.approx(30.0)


def test_a_share_leaves_the_rest_of_the_window_to_others():
    window = Window(10, share=0.5, clock=Clock())
    window.answered(window.offer(1), RateHeaders(limit=10, remaining=9, reset=30.0), refused=False)
    granted = sum(isinstance(window.offer(1), Grant) for _ in range(10))
    assert granted == 4


def test_without_headers_the_configured_limit_holds_for_sixty_seconds():
    clock = Clock()
    window = Window(5, clock=clock)
    window.answered(window.offer(1), RateHeaders(), refused=False)
    for _ in range(4):
        window.answered(window.offer(1), RateHeaders(), refused=False)
    assert window.offer(1) == pytest.approx(60.0)
    clock.now += 60.0
    assert isinstance(window.offer(1), Grant)


def test_a_429_closes_the_window_until_its_reset_whatever_remains():
    window = Window(100, clock=Clock())
    first = window.offer(1)
    window.answered(first, RateHeaders(limit=100, remaining=99, reset=30.0), refused=False)
    window.answered(window.offer(1), RateHeaders(limit=100, remaining=98, reset=30.0), refused=True)
    assert window.offer(1) == pytest.approx(30.0)


def test_a_429_without_a_word_costs_one_whole_window():
    window = Window(100, clock=Clock())
    window.answered(window.offer(1), RateHeaders(), refused=True)
    assert window.offer(1) == pytest.approx(60.0)


def test_a_429_with_a_reset_of_zero_does_not_spin():
    window = Window(100, clock=Clock())
    window.answered(window.offer(1), RateHeaders(limit=100, remaining=0, reset=0.0), refused=True)
    assert window.offer(1) >= 0.2


def test_a_reset_beyond_the_window_is_not_believed():
    window = Window(100, clock=Clock())
    window.answered(
        window.offer(1), RateHeaders(limit=100, period=60.0, remaining=0, reset=86400.0), refused=False
    )
    assert window.offer(1) == pytest.approx(60.0)


def test_five_windows_without_a_unit_are_starvation_and_one_answer_ends_it():
    clock = Clock()
    window = Window(100, period=10.0, clock=clock)
    for number in range(5):
        window.answered(window.offer(1), RateHeaders(), refused=True)
        assert not window.starved, number
        clock.now += 10.0
    window.answered(window.offer(1), RateHeaders(), refused=True)
    assert window.starved
    clock.now += 10.0
    window.answered(window.offer(1), RateHeaders(), refused=False)
    assert not window.starved


def test_a_late_answer_of_the_last_window_does_not_spoil_this_one():
    clock = Clock()
    window = Window(100, period=10.0, clock=clock)
    window.answered(window.offer(1), RateHeaders(limit=100, remaining=99, reset=10.0), refused=False)
    late = window.offer(1)
    clock.now += 10.0
    window.answered(window.offer(1), RateHeaders(limit=100, remaining=99, reset=10.0), refused=False)
    window.answered(late, RateHeaders(limit=100, remaining=0, reset=1.0), refused=False)
    assert isinstance(window.offer(50), Grant)


def test_more_than_a_window_holds_is_granted_alone_in_a_fresh_one():
    clock = Clock()
    window = Window(5, clock=clock)
    window.answered(window.offer(1), RateHeaders(limit=5, remaining=4, reset=10.0), refused=False)
    assert window.offer(50) == pytest.approx(10.0)
    clock.now += 10.0
    assert isinstance(window.offer(50), Grant)


def test_a_stopped_run_grants_nothing_and_wakes_who_waits():
    window = Window(1)
    window.answered(window.offer(1), RateHeaders(limit=1, remaining=0, reset=50.0), refused=False)
    halt = threading.Event()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            window.acquire(1, halt)
        except MoEngageStopped as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    halt.set()
    window.wake()
    thread.join(timeout=10)
    assert len(outcome) == 1


class Server:
    """A fixed window as MoEngage documents it, in a clock of the test's own."""

    def __init__(self, limit: int, period: float, phase: float, rounding: str, others: int) -> None:
        self.limit, self.period, self.phase, self.rounding, self.others = (
            limit,
            period,
            phase,
            rounding,
            others,
        )
        self.window, self.used = -1, 0
        self.refused = 0
        self.granted: dict[int, int] = {}

    def serve(self, now: float, units: int) -> tuple[RateHeaders, bool]:
        number = int((now - self.phase) // self.period)
        if number != self.window:
            self.window, self.used = number, min(self.others, self.limit)
        left = self.period - (now - self.phase) % self.period
        reset = {"up": math.ceil(left), "down": math.floor(left)}[self.rounding]
        refused = self.used + units > self.limit
        if not refused:
            self.used += units
            self.granted[number] = self.granted.get(number, 0) + units
        self.refused += refused
        headers = RateHeaders(self.limit, self.period, self.limit - self.used, float(reset))
        return headers, refused


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(1, 60),
    period=st.sampled_from([2.0, 10.0, 60.0]),
    phase=st.floats(0, 60),
    rounding=st.sampled_from(["up", "down"]),
    others=st.integers(0, 5),
    latency=st.floats(0.001, 0.4),
    concurrency=st.integers(1, 16),
)
def test_against_a_simulated_server_all_units_are_used_and_a_429_only_costs_a_wait(
    limit, period, phase, rounding, others, latency, concurrency
):
    """Every request is accepted in the end, windows are filled, and 429s stay within what was in flight."""
    others = min(others, limit - 1)
    clock = Clock()
    server = Server(limit, period, phase, rounding, others)
    window = Window(10_000, clock=clock)
    wanted = 4 * limit
    accepted = 0
    pending = wanted
    flying: list[tuple[float, int, Grant, RateHeaders, bool]] = []
    number = 0
    began = clock.now
    burst = math.ceil(wanted / concurrency) * latency
    while accepted < wanted:
        while pending and len(flying) < concurrency and isinstance(offer := window.offer(1), Grant):
            headers, refused = server.serve(clock.now + latency / 2, 1)
            number += 1
            pending -= 1
            heapq.heappush(flying, (clock.now + latency, number, offer, headers, refused))
        wait = math.inf
        if pending and len(flying) < concurrency:
            assert not isinstance(offer, Grant)
            assert offer > 0
            wait = clock.now + offer
        clock.now = min(wait, flying[0][0] if flying else math.inf)
        while flying and flying[0][0] <= clock.now:
            _, _, grant, headers, refused = heapq.heappop(flying)
            window.answered(grant, headers, refused=refused)
            accepted += not refused
            pending += refused
        assert clock.now - began < 40 * period + 2 * burst, "a sender that stalls"
    assert all(used <= limit for used in server.granted.values())
    usable = limit - others
    windows = math.ceil(wanted / usable)
    assert clock.now - began <= windows * (period + 1.5 + 3 * latency) + burst + period
