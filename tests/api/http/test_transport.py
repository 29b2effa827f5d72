"""Connections under way: they can be aborted, released and closed from another thread."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.api.errors import MoEngageNetworkError
from airflow_provider_moengage.api.http.connection import BoundedConnection
from airflow_provider_moengage.api.http.pool import BoundedAdapter
from airflow_provider_moengage.api.http.transport import RawResponse, Transport
from airflow_provider_moengage.api.workspace import Workspace
from tests.end_to_end.hostile import ACCEPTED, answer, head, serving

TRACK_USER = Endpoint("Track User", "/customer/{app_id}", "path")

#: Seconds in which a thread has to end; the transport's own timeout is far beyond.
SOON = 30.0
NEVER = 3600.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def transport_to(port: int, **fields: Any) -> Transport:
    workspace = {"app_id": "W", "api_key": "K", "host": f"127.0.0.1:{port}", "timeout": NEVER, **fields}
    return Transport(Workspace(**workspace), 4)


class Request(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(daemon=True)
        self._transport = transport
        self.outcome: RawResponse | BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._transport.post(self._transport.template(TRACK_USER), b"{}")
        except BaseException as error:
            self.outcome = error

    def result(self) -> RawResponse | BaseException | None:
        self.join(SOON)
        assert not self.is_alive()
        return self.outcome


@contextmanager
def paused(
    *pieces: bytes, then: Iterable[bytes] = ()
) -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """Serve some pieces, and the others once the second event is set; the first event is set in between."""
    reached, go_on = threading.Event(), threading.Event()

    def script(body: bytes) -> Iterator[bytes]:
        yield from pieces
        reached.set()
        go_on.wait(SOON)
        yield from then

    with serving(script) as server:
        yield server.port, reached, go_on
        go_on.set()


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"HTTP/1.1 200"],
        [head("Content-Length: 1000"), b"x"],
        [head("Content-Length: 1000", "Connection: close"), b"x"],
        [head("Transfer-Encoding: chunked"), b"5\r\nx"],
    ],
    ids=["no response", "a status line", "a body", "a closing body", "chunks"],
)
def test_an_abort_ends_a_request_wherever_it_waits(pieces: list[bytes]):
    with paused(*pieces) as (port, reached, _):
        transport = transport_to(port)
        request = Request(transport)
        assert reached.wait(SOON)
        # What was sent before the event may still be on its way; an abort that comes too early is repeated.
        while request.is_alive() and transport._adapter.connections():
            transport.abort()
            request.join(0.05)
        error = request.result()
    assert isinstance(error, MoEngageNetworkError)
    assert error.maybe_processed


def test_an_abort_is_safe_while_other_threads_connections():
    connections: set[Any] = set()
    adapter = BoundedAdapter(1)
    adapter._connections = connections
    interval = sys.getswitchinterval()
    ended = threading.Event()

    def open_many() -> None:
        kept = [BoundedConnection("127.0.0.1", connections=connections) for _ in range(200)]
        while not ended.is_set():
            kept = [
                *kept[100:],
                *(BoundedConnection("127.0.0.1", connections=connections) for _ in range(100)),
            ]

    threads = [threading.Thread(target=open_many, daemon=True) for _ in range(2)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(200):
            adapter.abort()
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(SOON)


def test_a_request_in_flight_outlives_a_release_and_then_its_connection_closes():
    body = head(f"Content-Length: {len(ACCEPTED)}")
    with paused(then=[body, ACCEPTED]) as (port, reached, go_on):
        transport = transport_to(port)
        request = Request(transport)
        assert reached.wait(SOON)
        transport.release()
        (connection,) = transport._adapter.connections()
        sock = connection.sock
        assert sock.fileno() != -1
        go_on.set()
        response = request.result()
    assert isinstance(response, RawResponse)
    assert response.content == ACCEPTED
    assert sock.fileno() == -1


def test_a_request_whose_pool_is_released_just_before_it_is_sent_takes_a_new_one():
    with serving(lambda body: answer(ACCEPTED)) as server:
        transport = transport_to(server.port)
        adapter = transport._adapter
        find = adapter.get_connection_with_tls_context

        def find_and_lose(*args: Any, **settings: Any) -> Any:
            pool = find(*args, **settings)
            if not lost:
                lost.append(pool)
                adapter.release()
            return pool

        lost: list[Any] = []
        adapter.get_connection_with_tls_context = find_and_lose  # type: ignore[method-assign]
        assert transport.post(transport.template(TRACK_USER), b"{}").content == ACCEPTED
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        [b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n" * 1000] * 1000],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 1000,
        [b"x" * 4096] * 1000,
        [b"HTTP/1.1 403 Forbidden\r\n\r\n"],
    ],
    ids=["endless headers", "endless interim responses", "an endless status", "a refusal"],
)
def test_a_proxys_response_to_connect_is_bounded_too(said: list[bytes], monkeypatch: pytest.MonkeyPatch):
    with serving(lambda body: said) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        transport = transport_to(0, host="https://moengage.invalid")
        with pytest.raises(MoEngageNetworkError):
            transport.post(transport.template(TRACK_USER), b"{}")
    assert proxy.asked[0].startswith(b"CONNECT moengage.invalid:443 ")


def test_a_small_request_is_one_packet():
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"".join(answer(ACCEPTED)))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        request = Request(transport_to(listener.getsockname()[1]))
        assert isinstance(request.result(), RawResponse)
        thread.join(SOON)
    (packet,) = received
    assert packet.startswith(b"POST /v1/customer/W HTTP/1.1\r\n")
    assert packet.endswith(b"\r\n\r\n{}")
