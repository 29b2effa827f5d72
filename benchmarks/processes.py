"""What is measured runs in a fresh process of its own, with everything it needs ready before the clock starts."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

WORKSPACE, KEY = "BENCHMARK", "benchmark-key"
#: Far above what any figure reaches: where no window is measured, none may be met.
NO_LIMITS = {"users": 10**9, "bulk_users": 10**9, "get_users": 10**9}
#: Nobody reads what the operators say, but saying it costs them time; and they know that no worker called them.
QUIET = {
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.task.operators=ERROR",
}

#: What a process offers to do, by name; made before the clock starts.
Tasks = Mapping[str, Callable[[], int]]


@dataclass(frozen=True)
class Measured:
    """
    One task, measured.

    :param count: what the task says it did.
    :param cpu: seconds of user and system time of the whole process.
    :param wall: seconds from its call to its end.
    :param ended: epoch time of its end.
    :param peak: the largest resident size of the process so far, in bytes.
    """

    count: int
    cpu: float
    wall: float
    ended: float
    peak: int


class Contender:
    """A process that is ready."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        self._answer()

    def start(self, task: str = "run") -> None:
        """Let it begin a task."""
        self._pipe.send(task)

    def result(self) -> Measured:
        """Wait until the task has ended."""
        measured: Measured = self._answer()
        return measured

    def run(self, task: str = "run") -> Measured:
        self.start(task)
        return self.result()

    def ended_early(self) -> bool:
        """Tell whether a task that was started has ended by itself."""
        return self._pipe.poll() or not self._process.is_alive()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"a measured process ended with {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise RuntimeError(f"a measured process failed:\n{answer}")
        return answer


def connection(url: str, key: str = KEY, **extra: Any) -> str:
    """Give the value of an ``AIRFLOW_CONN_…`` variable that leads to a sink."""
    host, port = url.removeprefix("http://").split(":")
    fields = {"conn_type": "moengage", "login": WORKSPACE, "password": key, "host": host, "port": int(port)}
    return json.dumps({**fields, "extra": extra})


@contextmanager
def contender(
    prepare: Callable[..., Tasks], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Iterator[Contender]:
    """
    Start a process, wait until it is ready, and end it.

    :param prepare: called in the process: imports, builds the rows, and gives the tasks.
    :param environment: variables of the process, set before anything of Airflow is imported.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work, args=(theirs, prepare, arguments, dict(environment or {})), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield Contender(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _work(
    pipe: Connection, prepare: Callable[..., Tasks], arguments: tuple[Any, ...], environment: dict[str, str]
) -> None:
    # A proxy is looked up for every request, and nobody here goes through one.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update({**QUIET, **environment})
    # Figures alone go to standard output.
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING)
    try:
        tasks = prepare(*arguments)
        pipe.send(None)
        while True:
            pipe.send(_measure(tasks[pipe.recv()]))
    except EOFError:
        return
    except Exception:
        pipe.send(traceback.format_exc())


def _measure(task: Callable[[], int]) -> Measured:
    cpu, wall = time.process_time(), time.perf_counter()
    count = task()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(count, cpu, wall, time.time(), peak)
