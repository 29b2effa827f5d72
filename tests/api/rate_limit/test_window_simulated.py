"""
The windows against a simulated server, whatever its limit, latency, clock and other clients are.

Never over the limit by more than what was in flight, never idle while units are left.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.rate_limit import contention
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.window import Grant, Window
from tests.api.rate_limit.simulation import BEGAN, Server, Simulation

#: Seconds: the doubt of a published second, and what is slept through.
DOUBT = 1.05


@st.composite
def simulations(draw: st.DrawFn, spelling: st.SearchStrategy[str]) -> Simulation:
    period = draw(st.sampled_from([5.0, 10.0, 60.0]))
    server = Server(
        limit=draw(st.integers(1, 300)),
        period=period,
        phase=draw(st.floats(0, period * 0.99)),
        spelling=draw(spelling),
        opens_with_a_call=draw(st.booleans()),
    )
    fastest = draw(st.floats(0.001, 0.1))
    return Simulation(
        server,
        latency=(fastest, fastest + draw(st.floats(0, 0.1))),
        concurrency=draw(st.integers(1, 16)),
        call=draw(st.integers(1, min(60, server.limit))),
        seed=draw(st.integers(0, 1_000)),
    )


@settings(deadline=None, max_examples=150)
@given(simulations(st.sampled_from(["up", "down", "epoch"])), st.integers(1, 5))
def test_a_lone_sender_spends_every_window_to_the_unit_and_hardly_meets_a_429(
    simulation: Simulation, windows: int
):
    server = simulation.server
    wanted = windows * server.limit
    simulation.add(wanted)
    calls = wanted / simulation.call + windows
    burst = math.ceil(calls / simulation.concurrency + windows) * simulation.latency[1]
    simulation.run(most_seconds=windows * (server.period + 2 * DOUBT) + burst)
    spent = [server.used[number] for number in range(server.number)]
    # Slow calls may not get through in what is left of the first window.
    assert all(units == server.limit for units in spent[1:]) or burst > server.period / 4
    assert sum(simulation.idle_inside.values()) == 0
    trips = 3 * simulation.latency[1]
    assert max(simulation.idle_before.values(), default=0) <= 2 * DOUBT + trips
    # Rounded up, no call comes too early; rounded down, the first reset shows it.
    assert max(server.refused.values(), default=0) <= 1
    assert sum(server.refused.values()) <= {"up": 0, "down": 1, "epoch": windows}[server.spelling]


def test_calls_in_flight_at_a_reset_are_counted_in_the_window_that_they_fall_into():
    server = Server(limit=4, period=5.0, phase=4.9375)
    simulation = Simulation(server, latency=(0.0625, 0.0625), concurrency=3)
    simulation.add(8)
    simulation.run(most_seconds=10.0)
    assert server.refused == {}


@settings(deadline=None, max_examples=60)
@given(simulations(st.sampled_from(["up", "down", "epoch"])), st.integers(2, 20))
def test_resets_published_in_whole_seconds_cost_one_second_in_all(simulation: Simulation, windows: int):
    server = simulation.server
    server.opens_with_a_call = False
    wanted = windows * server.limit
    simulation.add(wanted)
    # Where the rest of the first window holds all its units, the last window begins so late at the earliest.
    optimum = (windows - 1) * server.period - server.phase
    calls = wanted / simulation.call + windows
    burst = math.ceil(calls / simulation.concurrency + windows) * simulation.latency[1]
    took = simulation.run(most_seconds=windows * (server.period + 2 * DOUBT) + burst)
    missed = sum(server.used[number] < server.limit for number in range(server.number))
    trips = windows * simulation.latency[1]
    assert took <= optimum + missed * server.period + 1 + trips + burst


@settings(deadline=None, max_examples=60)
@given(
    simulations(st.sampled_from(["up", "down", "epoch"])),
    st.lists(st.tuples(st.floats(0, 300), st.integers(1, 100)), max_size=60),
)
def test_what_others_use_costs_429s_within_what_was_in_flight_and_no_unit(
    simulation: Simulation, others: list[tuple[float, int]]
):
    server = simulation.server
    for moment, units in others:
        simulation.others(BEGAN + moment, units)
    sender = simulation.add(4 * server.limit)
    # Those others use 6,000 units at most, each of which may cost a window of one unit.
    simulation.run(most_seconds=10_000 * server.period)
    assert sender.accepted == sender.wanted
    assert all(units <= server.limit for units in server.used.values())
    assert max(server.refused.values(), default=0) <= simulation.concurrency + 2


@settings(deadline=None, max_examples=60)
@given(simulations(st.just("epoch")), st.floats(-20, 20))
def test_a_clock_that_is_off_costs_time_and_neither_a_busy_loop_nor_a_long_sleep(
    simulation: Simulation, ahead: float
):
    server = simulation.server
    server.clock_ahead = ahead
    simulation.add(4 * server.limit)
    # The simulation refuses a wait of no time and one of more than a window.
    simulation.run(most_seconds=60 * server.period)
    assert max(server.refused.values(), default=0) <= 12


@pytest.mark.parametrize(
    ("call", "latency"), [(1, (0.01, 0.08)), (37, (0.003, 0.02))], ids=["single", "bulk"]
)
@pytest.mark.parametrize("spelling", ["up", "down", "epoch"])
def test_many_senders_fill_the_windows_and_none_starves(
    call: int, latency: tuple[float, float], spelling: str
):
    server = Server(limit=1_000, period=10.0, phase=4.2, spelling=spelling)
    simulation = Simulation(server, latency=latency, call=call)
    for _ in range(8):
        simulation.add(100_000)
    with pytest.raises(AssertionError, match="stalls"):
        simulation.run(most_seconds=100.0)
    whole = range(1, server.number)
    assert len(whole) >= 8
    assert sum(server.used[number] for number in whole) >= 0.95 * server.limit * len(whole)
    refused = sum(server.refused[number] for number in whole) / len(whole)
    # Of single calls, what eight times sixteen of them had in flight when the window was spent; of bulk, a call each.
    assert refused <= (40 if call == 1 else 12)
    assert not any(sender.window.starved for sender in simulation.senders)
    assert min(sender.accepted for sender in simulation.senders) > 0


@pytest.mark.parametrize(("senders", "limit", "call"), [(8, 10_000, 400), (3, 1_000, 400), (20, 10_000, 300)])
@pytest.mark.parametrize("spelling", ["up", "down", "epoch"])
def test_of_many_senders_none_meets_two_429s_in_a_window_and_none_goes_without_units(
    monkeypatch: pytest.MonkeyPatch, senders: int, limit: int, call: int, spelling: str
):
    chance = random.Random(limit + senders)
    monkeypatch.setattr(contention, "random", chance)
    server = Server(limit=limit, period=10.0, phase=chance.uniform(6.0, 9.5), spelling=spelling)
    simulation = Simulation(server, latency=(0.01, 0.06), call=call)
    for _ in range(senders):
        simulation.add(100 * limit)
    accepted: list[list[int]] = []
    refused: list[list[int]] = []
    for number in range(1, 14):
        simulation.at(
            BEGAN - server.phase + number * server.period - 0.001,
            lambda: (
                accepted.append([sender.accepted for sender in simulation.senders]),
                refused.append([sender.refused for sender in simulation.senders]),
            ),
        )
    with pytest.raises(AssertionError, match="stalls"):
        simulation.run(most_seconds=130.0)
    assert len(accepted) == 13
    # The first window, of which nobody knows anything, does not count.
    for number, (before, after) in enumerate(pairwise(accepted)):
        assert all(more > less for less, more in zip(before, after, strict=True)), number
    for number, (before, after) in enumerate(pairwise(refused)):
        # Rounded down, the reset after the first whole window shows it, to whoever met no reset of 0 before.
        allowed = 2 if spelling == "down" and number == 0 else 1
        assert max(more - less for less, more in zip(before, after, strict=True)) <= allowed, number


headers = st.builds(
    RateHeaders,
    limit=st.none() | st.integers(1, 10**12),
    period=st.none() | st.floats(0.001, 1e6),
    remaining=st.none() | st.integers(0, 10**12),
    reset=st.none() | st.floats(0, 1e12),
    retry_after=st.none() | st.floats(0, 1e12),
    by_clock=st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(headers, st.booleans(), st.floats(0, 2)), min_size=1, max_size=40))
def test_whatever_headers_say_waits_are_bounded_and_429s_do_not_follow_at_once(answers):
    now = 0.0
    window = Window(100, clock=lambda: now)
    period = 60.0
    refused_at: list[tuple[float, float]] = []
    for told, refused, latency in answers:
        asked_at = now
        while not isinstance(grant := window.try_acquire(1), Grant):
            assert 0 < grant <= period + 0.5 + 1e-6
            now += grant
            assert now - asked_at <= 2 * period + 2, "a window that never opens"
        now += latency
        window.settle(grant, told, throttled=refused)
        period = told.period or period
        refused_at = [*refused_at, (now, period)] if refused else []
    # After the second refusal in a row each try is further from the last, up to a window.
    for (earlier, period), (later, _) in pairwise(refused_at[2:]):
        assert later - earlier >= min(0.25, period) - 1e-6
