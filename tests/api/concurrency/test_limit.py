"""The rule that finds how many requests to have in flight, against simulated servers."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.concurrency.limit import FEW, START, ConcurrencyLimit

#: Of 10,000 requests a minute.
RATE = 10_000 / 60


@dataclass
class Simulation:
    """
    A sender that always has something to send, and a server.

    :param serve: returns the seconds that a request takes, and whether it fails, given the requests that the server
        works on and the time.
    :param rate: the requests per second that the rate window allows.
    """

    serve: Callable[[int, float], tuple[float, bool]]
    rate: float = RATE
    maximum: int = 256
    now: float = 0.0
    sent: int = 0
    failed: int = 0
    most: int = 0
    limits: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limit = ConcurrencyLimit(self.maximum)
        self._ends: list[tuple[float, float, bool]] = []
        # The first request of a run goes alone.
        self._send()
        self._settle()

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            while self.limit.has_room:
                self._send()
            self._settle()

    def rest(self, seconds: float) -> None:
        """Send nothing for some time."""
        while self._ends:
            self._settle()
        self.now += seconds

    def _send(self) -> None:
        self.limit.begin()
        self.sent += 1
        seconds, fails = self.serve(self.limit.in_flight, self.now)
        heapq.heappush(self._ends, (self.now + seconds, self.now, fails))
        self.most = max(self.most, self.limit.in_flight)

    def _settle(self) -> None:
        self.now, began, fails = heapq.heappop(self._ends)
        self.failed += fails
        latency = None if fails else self.now - began
        self.limit.end(self.now, began, latency, failed=fails, rate=self.rate)
        self.limits.append((self.now, self.limit.limit))


def steady(seconds: float) -> Callable[[int, float], tuple[float, bool]]:
    """A server that takes about as long for every request."""
    chance = random.Random(1)
    return lambda working, now: (seconds * chance.uniform(1.0, 1.1), False)


@pytest.mark.parametrize(("latency", "at_most"), [(0.02, START), (0.2, 200), (1.0, 256)])
def test_as_many_as_use_the_rate_window_are_opened_within_a_few_round_trips(latency: float, at_most: int):
    simulation = Simulation(steady(latency))
    simulation.run(4 * latency)
    assert min(RATE * latency, 256) < simulation.limit.limit <= at_most
    simulation.run(60.0)
    assert min(RATE * latency, 256) < simulation.limit.limit <= at_most
    # A window of ten seconds is used from its first one on, with a second for its beginning.
    assert sum(1 for now, _ in simulation.limits if now <= 9.0 + latency) >= 0.95 * 10 * RATE


@pytest.mark.parametrize("maximum", [1, 2, 16, 40])
def test_no_more_are_opened_than_the_maximum(maximum: int):
    simulation = Simulation(steady(1.0), maximum=maximum)
    simulation.run(60.0)
    assert simulation.most == maximum


def test_a_window_without_limit_opens_them_one_round_trip_after_the_other():
    simulation = Simulation(steady(0.05), rate=inf)
    assert simulation.limit.limit == START
    simulation.run(1.0)
    assert simulation.limit.limit == 256


def test_failures_of_one_round_trip_close_half():
    limit = ConcurrencyLimit(64)
    for _ in range(16):
        limit.begin()
    for _ in range(16):
        limit.end(1.0, 0.0, None, failed=True)
    assert limit.limit == 8
    limit.begin()
    limit.end(2.0, 1.5, None, failed=True)
    assert limit.limit == 4


def test_a_server_that_fails_always_is_asked_one_request_at_a_time():
    simulation = Simulation(lambda working, now: (0.05, True))
    simulation.run(2.0)
    assert simulation.limit.limit == 1


@pytest.mark.parametrize("capacity", [1, 3, 8, 50])
def test_a_server_that_turns_away_what_is_above_its_capacity_is_used_and_not_hammered(capacity: int):
    simulation = Simulation(lambda working, now: (0.001, True) if working > capacity else (0.05, False))
    simulation.run(60.0)
    possible = 60.0 * capacity / 0.05
    served = simulation.sent - simulation.failed
    assert simulation.sent <= 2 * possible
    assert simulation.failed <= 0.35 * simulation.sent
    # Of 50, the rate window needs fewer.
    assert served >= 0.6 * min(possible, 60.0 * START / 0.05)


@pytest.mark.parametrize("workers", [4, 16])
def test_a_server_that_queues_what_is_above_its_capacity_gets_a_short_queue(workers: int):
    simulation = Simulation(lambda working, now: (0.05 * max(1.0, working / workers), False), rate=inf)
    simulation.run(60.0)
    assert workers / 2 <= simulation.limit.limit <= 4 * workers


def test_a_sender_that_is_slow_itself_opens_few():
    """Each thread waits for all others: then more of them only cost CPU time."""
    simulation = Simulation(lambda working, now: (0.0004 * working, False), rate=inf)
    simulation.run(30.0)
    settled = [limit for now, limit in simulation.limits if now > 1.0]
    assert max(settled) <= START
    assert sum(settled) / len(settled) <= 2 * FEW


def test_a_server_that_has_become_slower_for_good_gets_as_many_as_its_new_latency_takes():
    simulation = Simulation(lambda working, now: (0.05 if now < 5.0 else 0.6, False))
    simulation.run(5.5)
    assert simulation.limit.limit < RATE * 0.6
    simulation.run(60.0)
    assert simulation.limit.limit >= RATE * 0.6


def test_a_slow_server_is_closed_for_until_it_has_recovered():
    simulation = Simulation(lambda working, now: (2.0 if 10.0 <= now < 14.0 else 0.2, False))
    simulation.run(10.0)
    before = simulation.limit.limit
    simulation.run(7.0)
    assert min(limit for now, limit in simulation.limits if now > 10.0) <= before / 2
    simulation.run(20.0)
    assert simulation.limit.limit >= RATE * 0.2


def test_what_was_found_holds_while_nothing_is_sent():
    simulation = Simulation(steady(0.5))
    simulation.run(10.0)
    found = simulation.limit.limit
    simulation.rest(50.0)
    assert simulation.limit.limit == found


def test_a_response_that_is_no_success_says_nothing():
    limit = ConcurrencyLimit(256)
    for moment in range(100):
        limit.begin()
        limit.end(moment + 0.5, float(moment), None)
    assert limit.limit == START


outcomes = st.tuples(st.booleans(), st.floats(0.0, 100.0), st.sampled_from(["ok", "failed", "nothing"]))


@given(st.integers(1, 256), st.lists(outcomes, max_size=200), st.sampled_from([0.0, 0.01, RATE, inf]))
def test_the_limit_stays_within_its_bounds_whatever_comes(maximum, drawn, rate):
    limit = ConcurrencyLimit(maximum)
    began: list[float] = []
    now = 0.0
    for begins, seconds, outcome in drawn:
        now += seconds
        if begins and limit.has_room:
            limit.begin()
            began.append(now)
        elif began:
            latency = seconds if outcome == "ok" else None
            limit.end(now, began.pop(0), latency, failed=outcome == "failed", rate=rate)
        assert 1 <= limit.limit <= maximum
        assert limit.in_flight == len(began)
