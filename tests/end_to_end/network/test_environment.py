"""Proxies and CA settings of the environment hold for every call, though they are looked up once."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.errors import MoEngageNetworkError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import outcome, users

ACCEPTED = b'{"status": "success", "message": "Your request has been accepted and will be processed soon."}'
NO_SETTINGS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Server(ThreadingHTTPServer):
    """Accepts every call, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(ACCEPTED)))
        self.end_headers()
        self.wfile.write(ACCEPTED)

    def log_message(self, *message: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    connection = {"conn_type": "moengage", "login": "W", "password": "K", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))


def push(count: int = 5) -> dict[str, Any]:
    return MoEngageTrackUsersOperator(task_id="push", users=users(count)).execute({})


def test_calls_go_through_the_environments_proxy(server: Server, monkeypatch: pytest.MonkeyPatch):
    connect(monkeypatch, host="http://moengage.invalid", extra={"allow_http": True})
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    assert outcome(push()) == (5, 0, 0)
    assert {path for path, _ in server.asked} == {"http://moengage.invalid/v1/customer/W"}
    assert {authorization for _, authorization in server.asked} == {"Basic VzpL"}


def test_no_proxy_is_honoured(server: Server, monkeypatch: pytest.MonkeyPatch):
    connect(
        monkeypatch, host=f"http://localhost.localdomain:{server.server_port}", extra={"allow_http": True}
    )
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", ".localdomain")
    monkeypatch.setattr("socket.getaddrinfo", resolved_here)
    assert outcome(push()) == (5, 0, 0)
    assert len(server.asked) == 5


def resolved_here(host: str, port: int, *more: Any, **settings: Any) -> Any:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_the_key_of_a_loopback_host_goes_to_no_proxy(
    moengage_sandbox: Sandbox, server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
):
    monkeypatch.setattr("socket.getaddrinfo", resolved_here)
    connection = {**moengage_sandbox.connection, "host": host}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}")
    assert outcome(push()) == (5, 0, 0)
    assert len(moengage_sandbox.users()) == 5
    assert server.asked == []


@pytest.fixture
def certificate(tmp_path: Path, server: Server) -> Path:
    """Let the server speak TLS with a certificate that only this file vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return file


def test_the_environments_certificates_are_trusted_and_no_others(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, fast_retries: None
):
    host = f"127.0.0.1:{server.server_port}"
    connect(monkeypatch, host=f"https://{host}")
    with pytest.raises(MoEngageIncompleteRun) as caught:
        push()
    for words in ("TLS with", host, "verification of its certificate failed", "REQUESTS_CA_BUNDLE"):
        assert words in str(caught.value)
    assert (outcome(caught.value.report), caught.value.report["unknown"]) == ((0, 0, 5), 0)
    assert server.asked == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert outcome(push()) == (5, 0, 0)
    assert len(server.asked) == 5


def failed(kind: type[BaseException] = MoEngageIncompleteRun) -> tuple[str, dict[str, Any]]:
    with pytest.raises(kind) as caught:
        push(1)
    return str(caught.value), caught.value.report


def test_a_name_that_the_certificate_does_not_bear_is_named(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, fast_retries: None
):
    monkeypatch.setattr("socket.getaddrinfo", resolved_here)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    connect(monkeypatch, host=f"https://proxy.example.com:{server.server_port}")
    said, report = failed()
    assert "Hostname mismatch" in said
    assert f"proxy.example.com:{server.server_port}" in said
    assert (report["unsent"], report["unknown"]) == (1, 0)


def test_a_server_that_speaks_no_tls_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, fast_retries: None
):
    connect(monkeypatch, host=f"https://127.0.0.1:{server.server_port}")
    said, report = failed()
    assert "TLS with 127.0.0.1" in said
    assert "verification" not in said
    assert (report["unsent"], report["unknown"]) == (1, 0)


@pytest.mark.parametrize("content", [None, "no certificates"])
def test_a_file_of_certificates_that_cannot_be_read_is_named(
    server: Server,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    fast_retries: None,
    tmp_path: Path,
    content: str | None,
):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    connect(monkeypatch, host=f"https://127.0.0.1:{server.server_port}")
    said, report = failed()
    assert "TLS with 127.0.0.1" in said
    assert "REQUESTS_CA_BUNDLE" in said
    assert (report["unsent"], report["unknown"]) == (1, 0)


def test_a_connection_that_breaks_after_tls_was_established_is_no_failure_of_tls(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, fast_retries: None
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr(Handler, "do_POST", lambda self: self.connection.unwrap().close())
    connect(monkeypatch, host=f"https://127.0.0.1:{server.server_port}")
    said, report = failed()
    assert "did not respond" in said
    assert (report["unsent"], report["unknown"]) == (1, 1)


def test_a_request_over_tls_is_aborted_while_it_waits(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    arrived, ended = threading.Event(), threading.Event()

    def wait(handler: Handler) -> None:
        arrived.set()
        ended.wait(60)

    monkeypatch.setattr(Handler, "do_POST", wait)
    client = MoEngageClient(
        Workspace("W", "K", host=f"https://127.0.0.1:{server.server_port}", timeout=3600.0)
    )
    outcomes: list[BaseException] = []

    def request() -> None:
        try:
            client.test_connection()
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    assert arrived.wait(60)
    client.abort()
    thread.join(60)
    ended.set()
    assert [type(error) for error in outcomes] == [MoEngageNetworkError]
    assert "did not respond" in str(outcomes[0])
