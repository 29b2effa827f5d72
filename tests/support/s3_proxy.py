"""
An HTTP proxy in front of the server that stands in for S3, for tests: it counts requests, and fails some of them.

``from tests.support.s3_proxy import weather`` in a conftest makes the fixture available; :func:`running_proxy` works without
pytest.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from airflow_provider_moengage._compat import object_storage_path
from tests.support.redis_server import HOST
from tests.support.s3_server import BUCKET, S3Server

#: Not that of the server itself: Airflow keeps the file system of a connection.
CONN_ID = "weather_conn"
#: Seconds that a request waits at most for :meth:`Proxy.let_go`.
MAX_WAIT = 60.0
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code} by the proxy</Message></Error>'
#: Keys in a page of a listing, as S3 has them.
PAGE = 1_000
SERVED = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;served&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Request:
    """
    A request to S3.

    :param kind: ``LIST``, ``HEAD``, ``GET``, ``PUT``, ``DELETE``, or of a multipart upload ``BEGIN``, ``PART``,
        ``COMPLETE``, ``ABORT``.
    :param key: the object's; of ``LIST`` the prefix.
    :param range: the bytes that are asked for, as (first, last); None: all of them.
    """

    kind: str
    key: str
    range: tuple[int, int] | None = None


@dataclass
class Fault:
    """
    What happens to some requests.

    :param kinds: of the requests, separated by blanks.
    :param key: a part of their keys.
    :param after: requests that pass before the first one that fails.
    :param times: requests that fail; None: all that follow.
    :param status: answer this, with ``code`` as S3's name of the error.
    :param cut: answer so many bytes of the body, and break the connection.
    :param drop: break the connection: ``before`` the request is passed on, or ``after`` that.
    :param held: wait until the proxy lets go.
    """

    kinds: str
    key: str = ""
    after: int = 0
    times: int | None = None
    status: int | None = None
    code: str = "InternalError"
    cut: int | None = None
    drop: str = ""
    held: bool = False
    seen: int = 0

    def takes(self, request: Request) -> bool:
        if request.kind not in self.kinds.split() or self.key not in request.key:
            return False
        self.seen += 1
        return self.after < self.seen and (self.times is None or self.seen <= self.after + self.times)


@dataclass
class Proxy:
    """A running proxy, with the requests that it has seen."""

    server: S3Server
    port: int
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    #: Key of an object that the proxy serves itself → its size, and what returns its bytes from one place to another.
    served: dict[str, tuple[int, Callable[[int, int], bytes]]] = field(default_factory=dict)
    waiting: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def connection_json(self) -> str:
        """The value of an ``AIRFLOW_CONN_…`` variable, for Airflow's ``aws`` connection."""
        return replace(self.server, port=self.port).connection_json

    def fault(self, kinds: str, key: str = "", **what: Any) -> Fault:
        """Let some requests fail from now on."""
        fault = Fault(kinds, key, **what)
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let every request pass, and forget those of the past."""
        self.faults.clear()
        self.requests.clear()
        self.let_go()

    def let_go(self) -> None:
        """End the wait of requests that are held."""
        self.gone.set()
        self.gone, self.waiting = threading.Event(), threading.Event()

    def counts(self, key: str = "") -> Counter[str]:
        """Return how many requests of each kind there were."""
        with self.lock:
            return Counter(request.kind for request in self.requests if key in request.key)

    def take(self, request: Request) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            return next((fault for fault in self.faults if fault.takes(request)), None)


def _request(method: str, target: str, headers: Any) -> Request:
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    key = unquote(url.path.lstrip("/").partition("/")[2])
    span = None
    if (asked := headers.get("Range")) is not None:
        first, _, last = asked.removeprefix("bytes=").partition("-")
        span = (int(first), int(last)) if first and last else None
    if method == "GET" and not key:
        return Request("LIST", query.get("prefix", [""])[0])
    if method == "POST":
        kind = "BEGIN" if "uploads" in query else "COMPLETE" if "uploadId" in query else "DELETE"
    elif "uploadId" in query:
        kind = {"PUT": "PART", "DELETE": "ABORT"}.get(method, method)
    else:
        kind = method
    return Request(kind, key, span)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A response in several packets would wait for the other side's acknowledgement of the first one.
    disable_nagle_algorithm = True
    proxy: Proxy

    def _handle(self) -> None:
        body = self._body()
        request = _request(self.command, self.path, self.headers)
        fault = self.proxy.take(request)
        if fault is not None:
            if fault.held:
                self.proxy.waiting.set()
                self.proxy.gone.wait(MAX_WAIT)
            if fault.status is not None:
                return self._answer(
                    fault.status, {"Content-Type": "application/xml"}, ERROR.format(code=fault.code).encode()
                )
            if fault.drop == "before":
                return self._break()
        status, headers, content = self._served(request) or self._listed(request) or self._passed_on(body)
        if fault is not None and fault.drop == "after":
            return self._break()
        self._answer(status, headers, content, fault.cut if fault is not None else None)
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(HOST, self.proxy.server.port, timeout=MAX_WAIT)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            upstream.request(self.command, self.path, body or None, headers)
            response = upstream.getresponse()
            content = response.read()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
            if self.command == "HEAD":
                kept["Content-Length"] = response.getheader("Content-Length") or "0"
            return response.status, kept, content
        finally:
            upstream.close()

    def _served(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        served = self.proxy.served.get(request.key)
        if served is None or request.kind not in ("HEAD", "GET"):
            return None
        size, content = served
        headers = {
            "ETag": '"served"',
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
            "Accept-Ranges": "bytes",
        }
        if request.kind == "HEAD":
            return 200, {**headers, "Content-Length": str(size)}, b""
        first, last = request.range or (0, size - 1)
        last = min(last, size - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return 206, headers, content(first, last + 1)

    def _listed(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        """Return a page of the objects that the proxy serves itself, if there are any."""
        if request.kind != "LIST" or not any(key.startswith(request.key) for key in self.proxy.served):
            return None
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        after, delimiter = query.get("continuation-token", ""), query.get("delimiter")
        names: dict[str, str] = {}
        for key, (size, _) in sorted(self.proxy.served.items()):
            if not key.startswith(request.key):
                continue
            rest = key[len(request.key) :]
            if delimiter and delimiter in rest:
                folder = escape(request.key + rest.partition(delimiter)[0] + delimiter)
                names[folder] = f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"
            else:
                names[escape(key)] = SERVED.format(key=escape(key), size=size)
        left = [name for name in names if name > after]
        page = left[:PAGE]
        more = len(left) > len(page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        entries = "".join(names[name] for name in page)
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        return 200, {"Content-Type": "application/xml"}, text.encode()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):
            self.wfile.write(content[:cut])
            self.wfile.flush()
        if cut is not None and cut < len(content):
            self._break()

    def _break(self) -> None:
        with suppress(OSError):
            # The other side gets a reset, as of a connection that is gone.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *args: Any) -> None:
        pass


@contextmanager
def running_proxy(server: S3Server) -> Iterator[Proxy]:
    """Run a proxy in front of a server until the end of the block."""
    handler = type("Handler", (_Handler,), {})
    listening = _Server((HOST, 0), handler)
    proxy = handler.proxy = Proxy(server, listening.server_address[1])  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.let_go()
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.fixture(scope="session")
def s3_proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with running_proxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def weather(lake: S3Server, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy in front of the empty bucket ``lake``, which the Airflow connection ``weather_conn`` leads to."""
    s3_proxy.clear()
    s3_proxy.served.clear()
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", s3_proxy.connection_json)
    # One attempt of botocore's and of s3fs's: their pauses would make these tests slow.
    fs = object_storage_path(f"s3://{CONN_ID}@{BUCKET}").fs
    fs.invalidate_cache()
    monkeypatch.setattr(fs, "retries", 1)
    monkeypatch.setattr(fs, "config_kwargs", {"retries": {"total_max_attempts": 1}})
    return s3_proxy
