"""How close to a rate window's edge the users get: one process to the end of its users, many processes for as long as wanted."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks import contenders
from benchmarks.figures import PROCESSES, RESETS, Sample
from benchmarks.processes import NO_LIMITS, Contender, Tasks, connection, contender
from benchmarks.servers import running_redis
from benchmarks.sink import RunningSink, running_sink

WINDOW = 10.0
#: Windows' worth of users that are to be finished.
WINDOWS = 3.5
#: Users of each process that shares a window; they come again and again.
DISTINCT = 2_500
#: Processes that start at the same time: as many as the smallest machine has cores.
STARTING = 2


@dataclass(frozen=True)
class Variant:
    """
    Users for several windows.

    :param limit: units a window; what a client can spend within a small part of it.
    :param reset: how the sink spells it, see :class:`benchmarks.sink.Settings`.
    """

    name: str
    limit: int
    reset: str
    prepare: Callable[..., Tasks]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Finished:
    """
    How one run went, in seconds.

    :param took: from the sink's first call to the end of the task.
    :param optimum: the rest of the first window, two whole ones, and half a window's users without a limit.
    :param burst: those half a window's users alone.
    :param refused: the most 429s in one window.
    """

    took: float
    optimum: float
    burst: float
    refused: int


def variants() -> dict[str, Variant]:
    found = {}
    for spelling, reset in RESETS.items():
        for kind, limit, parameters in (("bulk", 10_000, {"bulk": True}), ("single", 2_000, {})):
            name = f"{kind}-{spelling}"
            found[name] = Variant(name, limit, reset, contenders.finish_tracking, (parameters,))
    return {**found, "get-up": Variant("get-up", 1_000, "ceil", contenders.finish_reading)}


def finish(repetitions: int, names: Sequence[str], together: int) -> dict[str, Sample]:
    """
    Run variants next to each other, for they sleep nearly all the time.

    :param together: runs at a time; their windows end one after the other, so that their bursts do not meet.
    """
    known = variants()
    runs = [known[name] for _ in range(repetitions) for name in names]
    done: dict[str, list[Finished]] = {name: [] for name in names}
    for start in range(0, len(runs), together):
        for name, finished in _finish_together(runs[start : start + together]):
            done[name].append(finished)
    samples = {}
    for name, each in done.items():
        ratios = [run.took / run.optimum for run in each]
        detail = {
            "seconds": [run.took for run in each],
            "optimum": [run.optimum for run in each],
            "burst": [run.burst for run in each],
        }
        samples[f"finish.{name}.time"] = Sample(statistics.median(ratios), ratios, detail)
        refused = [float(run.refused) for run in each]
        samples[f"finish.{name}.refused"] = Sample(max(refused), refused)
    return samples


def _finish_together(runs: Sequence[Variant]) -> list[tuple[str, Finished]]:
    starting, alone = threading.Semaphore(STARTING), threading.Lock()
    all_ready = threading.Barrier(len(runs))

    def one(place: int, variant: Variant) -> tuple[str, Finished]:
        try:
            with ExitStack() as stack:
                with starting:
                    sink = stack.enter_context(running_sink())
                    half, count = variant.limit // 2, int(variant.limit * WINDOWS)
                    ready = stack.enter_context(
                        contender(
                            variant.prepare, count, half, *variant.arguments, environment=_connections(sink)
                        )
                    )
                all_ready.wait()
                with alone:
                    burst = _burst(sink, ready, half)
                all_ready.wait()
                slot = (place + random.random()) / len(runs)
                return variant.name, _finish(sink, ready, variant, burst, slot)
        except BaseException:
            all_ready.abort()
            raise

    with ThreadPoolExecutor(len(runs)) as pool:
        under_way = [pool.submit(one, place, variant) for place, variant in enumerate(runs)]
    errors = [error for future in under_way if (error := future.exception())]
    # Where one run fails, the others' barrier breaks, which tells nothing.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in under_way]


def _burst(sink: RunningSink, ready: Contender, half: int) -> float:
    """Time half a window's users without a limit, from the first call on."""
    sink.settings()
    ended = ready.run("burst").ended
    counters = sink.counters()
    if counters["units"] != half:
        raise RuntimeError(f"the sink counted {counters['units']} of {half} users")
    return float(ended - counters["first"])


def _finish(sink: RunningSink, ready: Contender, variant: Variant, burst: float, place: float) -> Finished:
    # At least half of the first window is left, so that it can be filled.
    phase = random.uniform(0, 0.5)
    # The task begins at a random moment of its window, and its windows end at a place of their own.
    time.sleep((place * WINDOW - (1 - phase) * WINDOW - time.time()) % WINDOW)
    sink.settings(limit=variant.limit, window=WINDOW, phase=phase, reset=variant.reset)
    measured = ready.run()
    counters = sink.counters()
    if counters["units"] != measured.count:
        raise RuntimeError(f"{measured.count} users were accepted, {counters['units']} counted by the sink")
    first_window_left = counters["began"] + WINDOW - counters["first"]
    return Finished(
        took=measured.ended - counters["first"],
        optimum=first_window_left + 2 * WINDOW + burst,
        burst=burst,
        refused=max(window[2] for window in counters["windows"]),
    )


def shared(name: str, windows: int) -> dict[str, Sample]:
    """
    Let many processes share one window of 10,000 units for as many whole windows as wanted.

    :param name: ``redis``, ``headers`` or ``bulk``.
    """
    limit = 10_000
    parameters = {"bulk": True} if name == "bulk" else {"concurrency": 16}
    with ExitStack() as stack:
        sink = stack.enter_context(running_sink())
        redis = stack.enter_context(running_redis()) if name == "redis" else None
        extra = {"rate_limit_conn_id": "rate_limit"} if redis else {}
        environment = {"AIRFLOW_CONN_RATE_LIMIT": redis.connection_json} if redis else {}

        def start(number: int) -> Contender:
            # A process could have the windows for itself, the first and the last one included.
            rows = (number * DISTINCT, DISTINCT, limit * (windows + 3) // DISTINCT)
            connections = _connections(sink, f"key-{number}", **extra)
            prepared = contender(
                contenders.track_without_end, *rows, parameters, environment={**environment, **connections}
            )
            return stack.enter_context(prepared)

        with ThreadPoolExecutor(STARTING) as pool:
            ready = list(pool.map(start, range(PROCESSES)))
        counters = _run_whole_windows(sink, ready, limit, windows)
        if redis and redis.calls() < windows:
            raise RuntimeError("rate_limit_conn_id led nobody to Redis")
    # What was begun before the first whole window and what was not over at the end do not count.
    counted = [window for window in counters["windows"] if 1 <= window[0] <= windows]
    units, refused = [window[1] for window in counted], [window[2] for window in counted]
    used = Sample(
        sum(units) / (limit * windows), [one / limit for one in units], {"units": units, "refused": refused}
    )
    if name == "bulk":
        most = [float(window[3]) for window in counted]
        return {"shared.bulk.used": used, "shared.bulk.refused": Sample(max(most), most)}
    shares = [no / (yes + no) for yes, no in zip(units, refused, strict=True)]
    refusals = Sample(sum(refused) / (sum(units) + sum(refused)), shares)
    return {f"shared.{name}.used": used, f"shared.{name}.refused": refusals}


def _run_whole_windows(
    sink: RunningSink, prepared: Sequence[Contender], limit: int, windows: int
) -> dict[str, Any]:
    """Give the counters once the whole windows after the first, partial one are over."""
    sink.settings(limit=limit, window=WINDOW, phase=random.uniform(0.6, 0.95), reset="ceil")
    for ready in prepared:
        ready.start()
    ends = sink.counters()["began"] + (windows + 1) * WINDOW
    time.sleep(max(0.0, ends + 0.2 - time.time()))
    counters = sink.counters()
    if any(ready.ended_early() for ready in prepared):
        raise RuntimeError("a process came to the end of its users, or failed")
    return counters


def _connections(sink: RunningSink, key: str = "benchmark-key", **extra: Any) -> dict[str, str]:
    """Give the connection that is measured, whose limits the answers tell, and one to the same sink without any."""
    return {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, key, **extra),
        "AIRFLOW_CONN_UNLIMITED": connection(sink.url, key, limits=NO_LIMITS),
    }
