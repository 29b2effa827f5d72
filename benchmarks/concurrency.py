"""Measures how much of every rate window is used at several latencies with nothing configured, and what an overload costs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from threading import Barrier
from typing import Any

from benchmarks import contenders
from benchmarks.figures import Outcome, Sample
from benchmarks.processes import NO_LIMITS, Measured, connection, contender
from benchmarks.sink import RunningSink, running_sink
from benchmarks.together import STARTING, WINDOW, connections, together

#: Units per window: 10,000 a minute.
LIMIT = 1_667
#: Whole windows of each run, and users beyond them, so that the last one can be whole.
WINDOWS = 5
MORE = 100
#: Seconds before a response, by member of the group.
LATENCIES = {"20ms": 0.02, "200ms": 0.2, "1000ms": 1.0}
FIXED = 16
#: The users that sixteen requests in flight send within some thirty seconds.
FIXED_USERS = {"20ms": 5_000, "200ms": 2_400, "1000ms": 480}
#: Users of the runs without a rate window.
FREE_USERS = 6_000
#: An overloaded server: the requests that it works on at a time, each this many seconds, and the users.
CAPACITY, WORK, OVERLOAD_USERS = 8, 0.05, 3_000


def concurrency(names: Sequence[str], repetitions: int) -> dict[str, Outcome]:
    """
    Measure members of the group.

    :param names: some of :data:`LATENCIES`, ``none`` (no latency, no rate window) and ``overload``.
    """
    samples: dict[str, Outcome] = {}
    latencies = [name for name in names if name in LATENCIES]
    runs: dict[str, list[tuple[Measured, dict[str, Any]]]] = {name: [] for name in latencies}
    fixed: dict[str, list[Measured]] = {name: [] for name in latencies}
    for _ in range(repetitions):
        # The three latencies at once: they mostly sleep.
        for name, run in zip(
            latencies, together([partial(_windows, name) for name in latencies]), strict=True
        ):
            runs[name].append(run)
        ended = together([partial(_fixed, name) for name in latencies])
        for name, measured in zip(latencies, ended, strict=True):
            fixed[name].append(measured)
    for name in latencies:
        samples |= _samples(name, runs[name], fixed[name])
    if "none" in names:
        samples["concurrency.none.cpu"] = _without_latency(repetitions)
    if "overload" in names:
        samples["concurrency.overload.offered"] = _overload(repetitions)
    return samples


def _windows(name: str, all_ready: Barrier) -> tuple[Measured, dict[str, Any]]:
    """Send several windows' worth of users, the first window from its beginning on, with nothing configured."""
    return _run(LATENCIES[name], LIMIT * WINDOWS + MORE, {}, all_ready)


def _fixed(name: str, all_ready: Barrier) -> Measured:
    return _run(LATENCIES[name], FIXED_USERS[name], {"concurrency": FIXED}, all_ready)[0]


def _run(
    latency: float, users: int, parameters: dict[str, Any], all_ready: Barrier
) -> tuple[Measured, dict[str, Any]]:
    with ExitStack() as stack:
        sink = stack.enter_context(running_sink())
        with STARTING:
            prepared = contender(
                contenders.track_without_end, 0, users, 1, parameters, environment=connections(sink)
            )
            ready = stack.enter_context(prepared)
        all_ready.wait()
        sink.settings(latency=latency, limit=LIMIT, window=WINDOW, phase=0.0)
        measured = ready.run()
        return measured, sink.counters()


def _samples(
    name: str, runs: Sequence[tuple[Measured, dict[str, Any]]], fixed: Sequence[Measured]
) -> dict[str, Outcome]:
    windows = [counters["windows"] for _, counters in runs]
    # Of each run, the window that is used least; the last one is not whole.
    used = [min(window[1] for window in run[:-1]) / LIMIT for run in windows]
    refused = [float(max(window[2] for window in run)) for run in windows]
    own = [measured.cpu / measured.count for measured, _ in runs]
    other = [measured.cpu / measured.count for measured in fixed]
    detail = {
        "windows": [[window[1:3] for window in run] for run in windows],
        "most": [counters["most_working"] for _, counters in runs],
    }
    return {
        f"concurrency.{name}.used": Sample(min(used), used, detail),
        f"concurrency.{name}.refused": Sample(max(refused), refused, detail),
        f"concurrency.{name}.cpu": Sample(
            statistics.median(own) / statistics.median(other),
            [one / two for one, two in zip(own, other, strict=True)],
            {"found": own, "fixed": other},
        ),
    }


def _without_latency(repetitions: int) -> Sample:
    found, fixed = [], []
    with running_sink() as sink:
        for _ in range(repetitions):
            fixed.append(_free(sink, FREE_USERS, {"concurrency": FIXED}).cpu)
            found.append(_free(sink, FREE_USERS, {}).cpu)
    ratios = [one / two for one, two in zip(found, fixed, strict=True)]
    detail = {"found": found, "fixed": fixed}
    return Sample(statistics.median(found) / statistics.median(fixed), ratios, detail)


def _overload(repetitions: int) -> Sample:
    """Measure the requests per second that a server is offered, against those that it can serve."""
    offered, detail = [], []
    with running_sink() as sink:
        for _ in range(repetitions):
            measured = _free(sink, OVERLOAD_USERS, {}, latency=WORK, capacity=CAPACITY)
            counters = sink.counters()
            offered.append(counters["calls"] / measured.wall / (CAPACITY / WORK))
            detail.append([counters["calls"], counters["overloaded"], measured.wall])
    return Sample(max(offered), offered, {"calls, 503s, seconds": detail})


def _free(sink: RunningSink, users: int, parameters: dict[str, Any], **settings: Any) -> Measured:
    """Send users without a rate window."""
    sink.settings()
    environment = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS)}
    with contender(contenders.track_users, users, parameters, environment=environment) as ready:
        # With MoEngage's rate headers, of a window that is never used up.
        sink.settings(**{"limit": 10**9, "window": 60.0, **settings})
        return ready.run()
