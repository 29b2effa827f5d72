"""Runs each measurement in a fresh process, which is ready before the measurement starts."""

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
from pathlib import Path
from typing import Any

WORKSPACE, KEY = "BENCHMARK", "benchmark-key"
#: Far above what any benchmark sends, for measurements without a rate window.
NO_LIMITS = {"users": 10**9, "bulk_users": 10**9, "get_users": 10**9}
#: Logging would cost time, and the operators would warn that no worker runs them.
QUIET = {
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.task.operators=ERROR",
}

#: The tasks of a process, by name; prepared before the measurement.
Tasks = Mapping[str, Callable[[], int]]


@dataclass(frozen=True)
class Measured:
    """
    The measurement of one task.

    :param count: the count that the task returned.
    :param cpu: seconds of user and system time of the whole process.
    :param wall: seconds from start to end.
    :param ended: epoch time of its end.
    :param peak: the peak resident size of the process so far, in bytes.
    """

    count: int
    cpu: float
    wall: float
    ended: float
    peak: int


class Contender:
    """A process that is ready to run its tasks."""

    def __init__(self, process: Any, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        self._receive()

    def start(self, task: str = "run") -> None:
        """Start a task."""
        self._pipe.send(task)

    def result(self) -> Measured:
        """Wait for the end of the task, and return its measurement."""
        measured: Measured = self._receive()
        return measured

    def run(self, task: str = "run") -> Measured:
        self.start(task)
        return self.result()

    def ended_early(self) -> bool:
        """Whether a started task has already ended."""
        return self._pipe.poll() or not self._process.is_alive()

    def _receive(self) -> Any:
        try:
            received = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"a measured process ended with {self._process.exitcode}") from None
        if isinstance(received, str):
            raise RuntimeError(f"a measured process failed:\n{received}")
        return received


def connection(url: str, key: str = KEY, **extra: Any) -> str:
    """Return the connection to a sink, as JSON for an ``AIRFLOW_CONN_…`` variable."""
    host, port = url.removeprefix("http://").split(":")
    fields = {"conn_type": "moengage", "login": WORKSPACE, "password": key, "host": host, "port": int(port)}
    return json.dumps({**fields, "extra": extra})


@contextmanager
def contender(
    prepare: Callable[..., Tasks], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Iterator[Contender]:
    """
    Start a process, wait until it is ready, and end it on exit.

    :param prepare: called in the process: imports, builds the rows, and returns the tasks.
    :param environment: variables of the process, set before Airflow is imported.
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


def memory(kind: str) -> int:
    """
    Return a size of this process in bytes; Linux only.

    :param kind: ``VmHWM``, the peak of what is resident; unlike ``ru_maxrss``, it knows nothing of the parent process.
        ``RssAnon``, what is resident now without pages of files.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{kind}:"))) * 1024


def _work(
    pipe: Connection, prepare: Callable[..., Tasks], arguments: tuple[Any, ...], environment: dict[str, str]
) -> None:
    # Without proxy variables, which would be looked up for every request.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update({**QUIET, **environment})
    # Standard output is for the figures only.
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
    # In KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(count, cpu, wall, time.time(), peak)
