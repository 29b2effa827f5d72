"""What sleeps nearly all the time runs side by side, and what comes in bursts does so at different moments."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from benchmarks.processes import NO_LIMITS, connection
from benchmarks.sink import RunningSink

#: Seconds a rate window.
WINDOW = 10.0
#: Held while a process is started: two at a time, as many as the smallest machine has cores.
STARTING = threading.Semaphore(2)

Result = TypeVar("Result")


def together(tasks: Sequence[Callable[[threading.Barrier], Result]]) -> list[Result]:
    """
    Run tasks side by side.

    :param tasks: each gets a barrier, at which it may wait until all of them are ready.
    """
    if not tasks:
        return []
    all_ready = threading.Barrier(len(tasks))

    def run(task: Callable[[threading.Barrier], Result]) -> Result:
        try:
            return task(all_ready)
        except BaseException:
            all_ready.abort()
            raise

    with ThreadPoolExecutor(len(tasks)) as pool:
        under_way = [pool.submit(run, task) for task in tasks]
    errors = [error for future in under_way if (error := future.exception())]
    # Where one task fails, the barrier breaks for the others, which tells nothing.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in under_way]


def begin_windows(sink: RunningSink, place: float, phases: tuple[float, float], **settings: Any) -> None:
    """
    Let a sink's windows begin.

    :param place: where in every ten seconds they end, from 0 to below 1.
    :param phases: the part of the first window that has passed by now lies between these.
    """
    phase = random.uniform(*phases)
    time.sleep((place + phase - 1 - time.time() / WINDOW) % 1 * WINDOW)
    sink.settings(window=WINDOW, phase=phase, **settings)


def connections(sink: RunningSink, key: str = "benchmark-key", **extra: Any) -> dict[str, str]:
    """Give the connection that is measured, whose limits the answers tell, and one without any to the same sink."""
    return {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, key, **extra),
        "AIRFLOW_CONN_UNLIMITED": connection(sink.url, key, limits=NO_LIMITS),
    }
