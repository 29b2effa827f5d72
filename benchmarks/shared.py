"""Measures how much of one rate window several processes use, and how many 429s they get."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from benchmarks import contenders
from benchmarks.figures import PROCESSES, Outcome, Sample
from benchmarks.processes import Contender, contender
from benchmarks.servers import running_redis, why_no_redis
from benchmarks.sink import RunningSink, running_sink
from benchmarks.together import STARTING, WINDOW, begin_windows, connections, together

#: Units per window.
LIMIT = 10_000
#: Distinct users of each process, which it sends repeatedly.
DISTINCT = 2_500


def shared(names: Sequence[str], windows: int) -> dict[str, Outcome]:
    """
    Run eight processes that share a window, for several whole windows.

    :param names: some of ``redis``, ``headers`` and ``bulk``. Each has processes and a sink of its own; the windows
        of two of them are offset by half a window.
    """
    why_not = {"redis": why_no_redis()}
    able = [name for name in names if not why_not.get(name)]
    tasks = [partial(_shared, name, windows, place / len(able)) for place, name in enumerate(able)]
    outcomes = dict(zip(able, together(tasks), strict=True))
    return {
        f"shared.{name}.{what}": outcome
        for name in names
        for what, outcome in (outcomes.get(name) or _neither(why_not[name])).items()
    }


def _shared(name: str, windows: int, place: float, all_ready: threading.Barrier) -> dict[str, Outcome]:
    parameters = {"bulk": True} if name == "bulk" else {"concurrency": 16}
    with ExitStack() as stack:
        sink = stack.enter_context(running_sink())
        redis = stack.enter_context(running_redis()) if name == "redis" else None
        extra = {"rate_limit_conn_id": "rate_limit"} if redis else {}
        environment = {"AIRFLOW_CONN_RATE_LIMIT": redis.connection_json} if redis else {}

        def start(number: int) -> Contender:
            # Enough users for one process to use all windows alone, the first and the last included.
            rows = (number * DISTINCT, DISTINCT, LIMIT * (windows + 3) // DISTINCT)
            own = {**environment, **connections(sink, f"key-{number}", **extra)}
            with STARTING:
                prepared = contender(contenders.track_without_end, *rows, parameters, environment=own)
                return stack.enter_context(prepared)

        with ThreadPoolExecutor(PROCESSES) as pool:
            ready = list(pool.map(start, range(PROCESSES)))
        all_ready.wait()
        counters = _run(sink, ready, windows, place)
        if redis and redis.calls() < windows:
            return _neither("rate_limit_conn_id led nobody to Redis")
    return _samples(name, counters, windows)


def _run(sink: RunningSink, prepared: Sequence[Contender], windows: int, place: float) -> dict[str, Any]:
    """Return the counters after the whole windows that follow the first, partial one."""
    begin_windows(sink, place, (0.6, 0.95), limit=LIMIT, reset="ceil")
    for ready in prepared:
        ready.start()
    ends = sink.counters()["began"] + (windows + 1) * WINDOW
    time.sleep(max(0.0, ends + 0.2 - time.time()))
    counters = sink.counters()
    for ready in prepared:
        if ready.ended_early():
            raise RuntimeError(f"a process came to the end of its users: {ready.result()}")
    return counters


def _neither(why: str) -> dict[str, Outcome]:
    return {"used": why, "refused": why}


def _samples(name: str, counters: dict[str, Any], windows: int) -> dict[str, Outcome]:
    # The windows in which the processes started and were ended do not count.
    counted = [window for window in counters["windows"] if 1 <= window[0] <= windows]
    units, refused = [window[1] for window in counted], [window[2] for window in counted]
    detail = {"units": units, "refused": refused}
    used = Sample(sum(units) / (LIMIT * windows), [one / LIMIT for one in units], detail)
    if name == "bulk":
        most = [float(window[3]) for window in counted]
        refusals = Sample(max(most), most)
    else:
        shares = [no / (yes + no) for yes, no in zip(units, refused, strict=True)]
        refusals = Sample(sum(refused) / (sum(units) + sum(refused)), shares)
    return {"used": used, "refused": refusals}
