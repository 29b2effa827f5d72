"""Error trackers print the locals of every frame of an error: no frame of this package shows the key."""

from __future__ import annotations

import base64
import json
import signal
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.errors import MoEngageNetworkError
from airflow_provider_moengage.api.secret import Secret, SecretBytes
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.track_users import TRACK_USERS, USERS
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.hostile import answer, head, serving
from tests.end_to_end.rows import users

KEY = "SECRETKEY-0123456789"
HEADER = base64.b64encode(f"W:{KEY}".encode()).decode()
PACKAGE = "airflow_provider_moengage"


def errors_of(error: BaseException) -> Iterator[BaseException]:
    """Walk an error and those that led to it, as error trackers do."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += [one.__cause__, one.__context__]


def shown(value: object, depth: int = 4) -> Iterator[str]:
    """What a tracker may show of a local: its repr, what is in it, and its attributes."""
    yield repr(value)
    if depth and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from shown(name, depth - 1)
            yield from shown(inner, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from shown(inner, depth - 1)
    elif depth and hasattr(value, "__dict__") and not isinstance(value, type):
        for inner in list(vars(value).values()):
            yield repr(inner)


def check(error: BaseException) -> int:
    """Look through every frame, and return how many of this package there were."""
    own = 0
    for one in errors_of(error):
        for text in (str(one), *shown(one)):
            assert not leaked(text), f"{type(one).__name__} shows the key"
        trace = one.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            trace = trace.tb_next
            module = str(frame.f_globals.get("__name__"))
            if module.startswith("tests"):
                continue
            own += module.startswith(PACKAGE)
            for name, value in frame.f_locals.items():
                for text in shown(value):
                    assert not leaked(text), f"{name} in {frame.f_code.co_name} of {module} shows the key"
    return own


def leaked(text: str) -> bool:
    return KEY in text or HEADER in text


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, fast_retries: None):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def set_connection(**fields: Any) -> None:
        connection = {"conn_type": "moengage", "login": "W", "password": KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))

    return set_connection


def push(count: int = 3) -> BaseException:
    with pytest.raises(BaseException) as caught:
        MoEngageTrackUsersOperator(task_id="push", users=users(count)).execute({})
    return caught.value


def echo(asked: list[bytes]) -> Any:
    """Answer with the request itself, header and all, as a proxy that helps to debug does."""

    def script(body: bytes) -> Iterable[bytes]:
        return answer(asked[-1], status="404 Not Found")

    return script


def drip() -> Iterator[bytes]:
    threading.Event().wait(1)
    yield b""


def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


ANSWERS: dict[str, Any] = {
    "a wrong key": lambda body: answer(b"{}", status="401 Unauthorized"),
    "a server error": lambda body: answer(b"", status="500 Oops"),
    "no success": lambda body: answer(b"{}"),
    "nothing": lambda body: [],
    "half an answer": lambda body: [head("Content-Length: 500"), b"x"],
    "no gzip": lambda body: answer(b"x", "Content-Encoding: gzip"),
    "no HTTP": lambda body: [b"\x00" * 100],
    "endless headers": lambda body: [b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n" * 1000] * 1000],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_error_of_an_answer_does_not_hold_the_key(connect: Any, name: str):
    with serving(ANSWERS[name]) as server:
        connect(host="127.0.0.1", port=server.port)
        assert check(push())


def test_a_request_time_out_does_not_hold_the_key(connect: Any):
    with serving(lambda body: drip()) as server:
        connect(host="127.0.0.1", port=server.port, extra={"timeout": 0.05})
        assert check(push(1))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_closed_port_does_not_show_the_key(connect: Any, scheme: str):
    connect(host=f"{scheme}://127.0.0.1", port=refused_port())
    assert check(push())


def test_an_unknown_host_does_not_show_the_key(connect: Any):
    connect(host="https://moengage.invalid")
    assert check(push(1))


class PlainText(socketserver.BaseRequestHandler):
    """Speaks no TLS."""

    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_failure_of_tls_does_not_show_the_key(connect: Any):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), PlainText) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connect(host=f"https://127.0.0.1:{server.server_address[1]}")
        error = push()
        server.shutdown()
    assert "TLS with 127.0.0.1" in str(error)
    assert check(error)


def test_a_handshake_that_hangs_does_not_show_the_key(connect: Any):
    with serving(lambda body: []) as server:
        connect(host=f"https://127.0.0.1:{server.port}", extra={"timeout": 0.05})
        assert check(push(1))


def test_missing_certificates_do_not_show_the_key(connect: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    connect(host="https://127.0.0.1:9")
    assert check(push())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_missing_proxy_does_not_show_the_key(connect: Any, monkeypatch: pytest.MonkeyPatch, scheme: str):
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{refused_port()}")
    connect(host=f"{scheme}://moengage.invalid", extra={"allow_http": True})
    assert check(push())


def test_a_malformed_proxy_does_not_show_the_key(connect: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http:///")
    connect(host="https://moengage.invalid")
    assert check(push())


def test_a_proxy_that_quotes_the_request_does_not_show_the_key(connect: Any, tmp_path: Path):
    asked: list[bytes] = []
    with serving(echo(asked)) as server:
        asked = server.asked
        server._script = echo(server.asked)
        connect(host="127.0.0.1", port=server.port)
        assert check(push())
        works, said = MoEngageHook().test_connection()
    assert HEADER.encode() in server.asked[-1]
    assert not works
    assert not leaked(said)


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "500 Oops"])
def test_an_error_that_quotes_the_key_does_not_show_it(connect: Any, tmp_path: Path, status: str):
    error = {"type": f"Bad {KEY}", "message": f"{KEY} and Basic {HEADER}", "request_id": HEADER}
    body = json.dumps({"status": "fail", "error": error}).encode()
    with serving(lambda _: answer(body, status=status)) as server:
        connect(host="127.0.0.1", port=server.port)
        with pytest.raises(BaseException) as caught:
            MoEngageTrackUsersOperator(task_id="push", users=users(3), rejected_path=str(tmp_path)).execute(
                {}
            )
    assert check(caught.value)
    for part in tmp_path.rglob("*.ndjson"):
        assert not leaked(part.read_text())


class TimeOut(BaseException):
    """What a signal's handler raises in the middle of whatever the task does."""


@pytest.mark.parametrize(
    "pieces", [[], [head("Content-Length: 500"), b"x"]], ids=["no answer", "half an answer"]
)
def test_a_task_time_out_in_a_call_does_not_show_the_key(connect: Any, pieces: list[bytes]):
    def ring(*_: Any) -> None:
        raise TimeOut

    def script(body: bytes) -> Iterator[bytes]:
        yield from pieces
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        threading.Event().wait(2)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with serving(script) as server:
            connect(host="127.0.0.1", port=server.port)
            error = push(1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert isinstance(error, TimeOut)
    assert check(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"password": f" {KEY}"},
        {"password": f"{KEY}\n"},
        {"login": "a:b"},
        {"login": None},
        {"host": "http://proxy.example.com"},
        {"host": "proxy.example.com/elsewhere"},
        {"extra": {"data_center": "99"}},
        {"extra": {"timeout": "soon"}},
        {"extra": {"limits": "[1]"}},
        {"extra": {"rate_limit_conn_id": "nowhere"}},
        {"extra": ["no object"]},
        {},
    ],
    ids=str,
)
def test_a_wrong_connection_does_not_show_the_key(connect: Any, fields: dict[str, Any]):
    connect(**fields)
    assert check(push())


def test_a_client_of_ones_own_does_not_show_the_key(fast_retries: None):
    client = MoEngageClient(Workspace("W", Secret(KEY), host=f"127.0.0.1:{refused_port()}"))
    exchange = client.send(TRACK_USERS.endpoint, b"{}", {USERS: 1})
    for raises in (exchange.response, client.test_connection):
        with pytest.raises(Exception) as caught:
            raises()
        assert check(caught.value)
    for one in (
        client,
        client.workspace,
        client._transport,
        client._transport._session,
        client._transport.template(TRACK_USERS.endpoint),
    ):
        assert not any(leaked(text) for text in shown(one))


def test_a_connection_that_was_used_does_not_show_the_key():
    with serving(lambda body: answer(b"{}")) as server:
        client = MoEngageClient(Workspace("W", Secret(KEY), host=f"127.0.0.1:{server.port}"))
        client.send(TRACK_USERS.endpoint, b"{}", {USERS: 1})
        (connection,) = client._transport._adapter.connections()
        assert HEADER.encode() in server.asked[0]
        for one in (connection, client._transport._adapter):
            assert not any(leaked(text) for text in shown(one))


def test_frames_of_whoever_called_are_left_as_they_are():
    client = MoEngageClient(Workspace("W", Secret(KEY), host=f"127.0.0.1:{refused_port()}"))

    def fail() -> None:
        raise KeyError("theirs")

    try:
        fail()
    except KeyError as error:
        theirs = error
        with pytest.raises(MoEngageNetworkError) as caught:
            client.test_connection()
    assert theirs in errors_of(caught.value)
    assert theirs.__traceback__ is not None
    assert theirs.__traceback__.tb_next is not None


def test_secrets_are_texts_that_do_not_show():
    secret, raw = Secret(KEY), SecretBytes(KEY.encode())
    assert (secret, raw, str(secret), bytes(raw)) == (KEY, KEY.encode(), KEY, KEY.encode())
    assert f"{secret}" == KEY
    for text in (repr(secret), repr(raw), repr({"a": [secret, raw]}), f"{secret!r}"):
        assert not leaked(text)
