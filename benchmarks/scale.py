"""
Measures how hundreds of clients share one window in Redis: what they use of it, how evenly, and how long one waits.

A client is a ``RateLimiter`` with its own connection to a real Redis, in a thread that always wants one more unit. Fifty
of them are a process. No HTTP: the processes share a :class:`Workspace`, which counts units and answers at once.
"""

from __future__ import annotations

import fcntl
import math
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Sequence
from ctypes import c_double, c_long
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.api.errors import MoEngageStopped
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.limiter import RateLimiter
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.workspace import Workspace
from benchmarks.figures import Outcome, Sample
from benchmarks.servers import RunningRedis, running_redis, why_no_redis
from benchmarks.together import WINDOW, together

QUOTA = Quota("users", 10_000)
#: Clients of a process; three hundred processes are too many for two cores.
TOGETHER = 50
#: Seconds before the first window, in which the processes start.
STARTING = 20.0
#: Seconds within which the clients start one after the other, as tasks do.
RAMP = 2.0


@dataclass(frozen=True)
class Scenario:
    """
    Clients that share a window.

    :param limit: units per window.
    :param clients: their number, those that join late included.
    :param late: how many of them join in the middle of the run, and how many others are killed later.
    :param latency: seconds that each request takes.
    """

    limit: int
    clients: int
    late: int = 0
    latency: float = 0.0


SCENARIOS = {
    "many": Scenario(10_000, 300),
    "scarce": Scenario(10_000 // 6, 300),
    "changing": Scenario(10_000, 300, late=TOGETHER),
    "eight": Scenario(10_000, 8, latency=0.002),
    "one": Scenario(10_000, 1),
}


class Counts:
    """
    What MoEngage and the clients counted, in memory that all processes share.

    :param windows: the number of windows, from 0, in which the clients start.
    """

    def __init__(self, context: Any, clients: int, windows: int) -> None:
        self.windows = windows
        self.used = context.RawArray(c_long, windows)
        self.refused = context.RawArray(c_long, windows)
        #: Units by client and window.
        self.units = context.RawArray(c_long, clients * windows)
        #: The longest wait for a unit, by client, in seconds.
        self.longest = context.RawArray(c_double, clients)
        #: Seconds of CPU, by the first client of a process.
        self.cpu = context.RawArray(c_double, clients)


class Counter:
    """
    A workspace's windows, which follow each other without a gap.

    :param began: the start of window 0, by the clock that all processes share.
    :param lock: a file; the lock of a process that is killed is released.
    """

    def __init__(self, counts: Counts, limit: int, began: float, lock: str) -> None:
        self._counts = counts
        self._limit = limit
        self._began = began
        self._threads = threading.Lock()
        self._file = os.open(lock, os.O_RDWR)

    def request(self) -> tuple[int, RateHeaders, int]:
        """Count one unit; return the window, the headers and the status."""
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            number, elapsed = divmod(time.monotonic() - self._began, WINDOW)
            window = min(int(number), self._counts.windows - 1)
            fits = self._counts.used[window] < self._limit
            (self._counts.used if fits else self._counts.refused)[window] += 1
            left = self._limit - self._counts.used[window]
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        reset = float(math.ceil(WINDOW - elapsed))
        return window, RateHeaders(self._limit, WINDOW, left, reset), 200 if fits else 429


def scale(names: Sequence[str], windows: int) -> dict[str, Outcome]:
    """
    Run clients that share a window, for several whole windows.

    :param names: some of :data:`SCENARIOS`; they run concurrently, their windows at different times.
    """
    if why := why_no_redis():
        return {
            f"scale.{name}.{what}": why for name in names for what in ("used", "overrun", "spread", "wait")
        }
    tasks = [partial(_run, SCENARIOS[name], windows, place / len(names)) for place, name in enumerate(names)]
    return {
        f"scale.{name}.{what}": sample
        for name, samples in zip(names, together(tasks), strict=True)
        for what, sample in samples.items()
    }


def _run(scenario: Scenario, windows: int, place: float, all_ready: threading.Barrier) -> dict[str, Outcome]:
    context = multiprocessing.get_context("spawn")
    # The window in which the clients start, the whole ones, and the one in which they end.
    counts = Counts(context, scenario.clients, windows + 2)
    joins, dies = 1 + windows // 3, 1 + windows * 2 // 3
    with running_redis() as server, tempfile.NamedTemporaryFile() as lock:
        all_ready.wait()
        began = time.monotonic() + STARTING + place * WINDOW
        # The clients start early in window 0, so that it is used up like the others.
        start = began + 0.2 * WINDOW
        groups: list[Any] = []
        for first in range(0, scenario.clients, TOGETHER):
            clients = range(first, min(first + TOGETHER, scenario.clients))
            is_late = clients.stop > scenario.clients - scenario.late
            starts = began + (joins + 0.5) * WINDOW if is_late else start
            arguments = (counts, scenario, server.port, lock.name, clients, began, starts)
            groups.append(context.Process(target=_clients, args=arguments, daemon=True))
            groups[-1].start()
        _sleep_until(began + WINDOW)
        before = _figures_of(server)
        if scenario.late:
            # While its clients draw units, and hold some.
            _sleep_until(began + dies * WINDOW + 0.2)
            groups[0].kill()
        _sleep_until(began + (windows + 1) * WINDOW)
        after = _figures_of(server)
        for group in groups:
            group.join(WINDOW)
    return _samples(scenario, counts, windows, dies, [b - a for a, b in zip(before, after, strict=True)])


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _figures_of(server: RunningRedis) -> tuple[float, float]:
    with redis.Redis(port=server.port) as client:
        cpu, calls = client.info("cpu"), client.info("commandstats")
    return calls["cmdstat_evalsha"]["calls"], cpu["used_cpu_user"] + cpu["used_cpu_sys"]


def _clients(
    counts: Counts, scenario: Scenario, port: int, lock: str, clients: range, began: float, start: float
) -> None:
    """Run the clients of a process until the whole windows are over."""
    counter = Counter(counts, scenario.limit, began, lock)
    ends = began + (counts.windows - 1) * WINDOW
    threads = [
        threading.Thread(target=_client, args=(counts, counter, scenario, port, client, start, ends))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    counts.cpu[clients.start] = usage.ru_utime + usage.ru_stime


def _client(
    counts: Counts, counter: Counter, scenario: Scenario, port: int, client: int, start: float, ends: float
) -> None:
    workspace = Workspace(
        app_id="SCALE", api_key="benchmark-key", data_center="01", limits={"users": scenario.limit}
    )
    limiter = RateLimiter(workspace, RedisWindows(redis.Redis(port=port, socket_timeout=10.0), "SCALE"))
    halt = threading.Event()
    over = threading.Timer(ends - time.monotonic(), lambda: (halt.set(), limiter.wake()))
    over.daemon = True
    over.start()
    _sleep_until(start + RAMP * client / scenario.clients)
    last = time.monotonic()
    try:
        while not halt.is_set():
            permit = limiter.acquire({QUOTA: 1}, halt)
            window, headers, status = counter.request()
            if scenario.latency:
                time.sleep(scenario.latency)
            permit.settle(headers, status)
            if status == 200:
                now = time.monotonic()
                counts.units[client * counts.windows + window] += 1
                counts.longest[client] = max(counts.longest[client], now - last)
                last = now
    except MoEngageStopped:
        pass
    counts.longest[client] = max(counts.longest[client], min(time.monotonic(), ends) - last)
    limiter.close()


def _samples(
    scenario: Scenario, counts: Counts, windows: int, dies: int, redis_used: list[float]
) -> dict[str, Outcome]:
    whole = range(1, windows + 1)
    killed, stay = scenario.late, range(scenario.late, scenario.clients - scenario.late)
    used = [counts.used[window] / scenario.limit for window in whole]
    refused = [float(counts.refused[window]) for window in whole]
    by_window = [[counts.units[client * counts.windows + window] for client in stay] for window in whole]
    totals = [sum(units) for units in zip(*by_window, strict=True)]
    # What killed clients hold is lost for that window.
    counted = [used[window - 1] for window in whole if not killed or window != dies]
    detail = {
        "scripts_per_window": redis_used[0] / windows,
        "redis_cpu": redis_used[1] / (windows * WINDOW),
        "clients_cpu": sum(counts.cpu) / (windows * WINDOW),
    }
    waits = [wait / WINDOW for wait in counts.longest[killed:]]
    return {
        "used": Sample(min(counted), used, detail),
        "overrun": Sample(max(refused), refused),
        "spread": Sample(_spread(totals), [_spread(units) for units in by_window]),
        "wait": Sample(max(waits), [max(waits)]),
    }


def _spread(units: Sequence[int]) -> float:
    return max(units) / min(units) if min(units) else math.inf
