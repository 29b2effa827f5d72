"""Runs tasks that mostly sleep concurrently, with their bursts at different times."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from benchmarks.processes import NO_LIMITS, connection
from benchmarks.sink import RunningSink

#: Seconds per rate window.
WINDOW = 10.0
#: Held while a process starts: two at a time, since the smallest machine has two cores.
STARTING = threading.Semaphore(2)

Result = TypeVar("Result")


def together(tasks: Sequence[Callable[[threading.Barrier], Result]]) -> list[Result]:
    """
    Run tasks concurrently.

    :param tasks: each gets a barrier, at which it can wait until all of them are ready.
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
    # If one task fails, the barrier breaks for the others, so raise the first error that is not a broken barrier.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in under_way]


def begin_windows(sink: RunningSink, place: float, phases: tuple[float, float], **settings: Any) -> None:
    """
    Start a sink's windows.

    :param place: where in every ten seconds they end, from 0 to below 1.
    :param phases: the range for the part of the first window that has passed at the start.
    """
    phase = random.uniform(*phases)
    time.sleep((place + phase - 1 - time.time() / WINDOW) % 1 * WINDOW)
    sink.settings(window=WINDOW, phase=phase, **settings)


def connections(sink: RunningSink, key: str = "benchmark-key", **extra: Any) -> dict[str, str]:
    """Return the measured connection, whose limits come from the responses, and an unlimited one to the same sink."""
    return {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, key, **extra),
        "AIRFLOW_CONN_UNLIMITED": connection(sink.url, key, limits=NO_LIMITS),
    }
