"""A server that sends whatever a test wants it to send, byte by byte."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import TaskInstance

ACCEPTED = b'{"status": "success", "message": "Your request has been accepted and will be processed soon."}'
#: What a server says to one request, piece by piece.
Script = Callable[[bytes], Iterable[bytes]]


class HostileServer:
    """Sends whatever it is told to send, byte by byte, and hangs up."""

    def __init__(self, script: Script) -> None:
        self.asked: list[bytes] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listener.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            head = b""
            while (line := stream.readline()) != b"\r\n":
                if not line:
                    # The client hung up before it had asked for anything.
                    return
                head += line
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = stream.read(int(length[1])) if length else b""
            self.asked.append(head)
            for piece in self._script(body):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            # A reset would take away what was not read yet.
            stream.read()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving(script: Script) -> Iterator[HostileServer]:
    server = HostileServer(script)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(name="run")
def run_against(
    monkeypatch: pytest.MonkeyPatch, fast_retries: None
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run an operator against a server that answers so, and give its report, however the run ends."""
    servers: list[HostileServer] = []

    def against(
        script: Script | list[bytes],
        operator: Any = MoEngageTrackUsersOperator,
        timeout: float = 20,
        **parameters: Any,
    ) -> dict[str, Any]:
        server = HostileServer(script if callable(script) else lambda body: script)
        servers.append(server)
        connect(monkeypatch, server.port, timeout)
        ti = TaskInstance()
        sources = {"users", "events", "devices", "elements", "pairs"}
        rows = {} if sources & parameters.keys() else {"users": users(3)}
        with suppress(MoEngageTaskFailed, MoEngageIncompleteRun):
            operator(task_id="push", **{**rows, "concurrency": 2, **parameters}).execute({"ti": ti})
        report: dict[str, Any] = ti.xcoms["report"]
        assert report["read"] == report["accepted"] + report["rejected"] + report["unsent"]
        assert report["requests"] == len(server.asked)
        return report

    yield against
    for server in servers:
        server.close()


def connect(monkeypatch: pytest.MonkeyPatch, port: int, timeout: float = 20) -> None:
    connection = {
        "conn_type": "moengage",
        "login": "W",
        "password": "K",
        "host": "127.0.0.1",
        "port": port,
        "extra": {"timeout": timeout},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode("latin-1")


def answer(body: bytes, *lines: str, status: str = "200 OK") -> list[bytes]:
    return [head(f"Content-Length: {len(body)}", "Connection: close", *lines, status=status), body]


def chunked(pieces: Iterable[bytes], *lines: str) -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked", *lines)
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
