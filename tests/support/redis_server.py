"""
A real Redis server for tests and benchmarks.

``from tests.support.redis_server import redis_server`` in a conftest makes the fixture available; :func:`running_redis` works
without pytest. Each server has a free loopback port and a temporary folder, and keeps nothing.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.1"
START_SECONDS = 30.0
MISSING = "no Redis server here: redis-server is not in PATH (on Debian: apt-get install redis-server)"


@dataclass(frozen=True)
class RedisServer:
    port: int
    process: subprocess.Popen[bytes]
    host: str = HOST

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection."""
        return {"conn_type": "redis", "host": self.host, "port": self.port}

    @property
    def connection_json(self) -> str:
        """The value of an ``AIRFLOW_CONN_…`` variable."""
        return json.dumps(self.connection)

    def stop(self) -> None:
        """End the server now, as if it had crashed; all it held is gone."""
        self.process.kill()
        self.process.wait()


def find_program() -> str | None:
    """Return the server's program, or None."""
    return shutil.which("redis-server")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(server: RedisServer) -> bool:
    """Whether it is this server that answers, and none that has had the port before."""
    try:
        with socket.create_connection((server.host, server.port), timeout=1) as connection:
            connection.sendall(b"INFO server\r\n")
            return f"process_id:{server.process.pid}\r".encode() in connection.recv(65536)
    except OSError:
        return False


@contextmanager
def running_redis(port: int | None = None) -> Iterator[RedisServer]:
    """
    Run a server until the end of the block.

    :param port: of a server that was stopped, to start its successor; None: a free one.
    """
    program = find_program()
    if program is None:
        raise RuntimeError(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    port = port or _free_port()
    # fmt: off
    command = [
        program, "--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no",
        "--daemonize", "no",
    ]
    # fmt: on
    log = folder / "log"
    try:
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        server = RedisServer(port, process)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(server):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"redis-server does not answer:\n{log.read_text()}")
                time.sleep(0.02)
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    if find_program() is None:
        pytest.skip(MISSING)
    with running_redis() as server:
        yield server


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A server for one test, which may stop it."""
    if find_program() is None:
        pytest.skip(MISSING)
    with running_redis() as server:
        yield server
