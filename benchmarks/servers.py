"""Servers that a benchmark needs in addition to the sink."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

PROGRAM = "redis-server"


@dataclass(frozen=True)
class RunningRedis:
    """
    A Redis server for one benchmark.

    :param port: its port on loopback.
    """

    port: int

    @property
    def connection_json(self) -> str:
        """The connection as JSON, for an ``AIRFLOW_CONN_…`` variable."""
        return json.dumps({"conn_type": "redis", "host": "127.0.0.1", "port": self.port, "extra": {"db": 0}})

    def calls(self) -> int:
        """Return the number of commands from other clients, without those that open a connection."""
        with redis.Redis(port=self.port) as client:
            stats = client.info("commandstats")
        opening = ("auth", "client", "command", "hello", "info", "ping", "select")
        return sum(
            used["calls"]
            for command, used in stats.items()
            if command.removeprefix("cmdstat_").split("|")[0] not in opening
        )


def why_no_redis() -> str:
    """Return why Redis is not available; an empty string if it is."""
    return "" if shutil.which(PROGRAM) else f"no {PROGRAM} in PATH (on Debian: apt-get install {PROGRAM})"


@contextmanager
def running_redis() -> Iterator[RunningRedis]:
    """
    Start a Redis server on a free loopback port, and stop it on exit.

    :raises FileNotFoundError: Redis is not available, see :func:`why_no_redis`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield RunningRedis(port)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
