"""Answers the requests of a data warehouse's client over HTTP, in a thread of the tests."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: Returns the response to a request: its method, its path, its query and its body.
Respond = Callable[[str, str, dict[str, str], Any], dict[str, Any]]


class Rejected(Exception):
    """Ends a request with another status than 200."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.body = body


@contextmanager
def running(respond: Respond) -> Iterator[int]:
    """Run a server with these responses and return its port on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            url = urlsplit(self.path)
            status = 200
            try:
                found = respond(
                    self.command, url.path, dict(parse_qsl(url.query)), json.loads(raw) if raw else None
                )
            except Rejected as rejected:
                status, found = rejected.status, rejected.body
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
