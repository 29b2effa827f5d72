"""
ClickHouse over HTTP for tests: chDB, which is ClickHouse's engine as a library, behind as much of the server's interface as
the driver uses.

``from tests.support.clickhouse import clickhouse_server`` in a conftest makes the fixture available. What it answers to
``kill query`` is not ClickHouse's: it ends the response of that query, and remembers that it did. A query with
:data:`HANGS` in it runs until it is killed.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from tests.support.dag_runs import ROOT

HOST = "127.0.0.1"
HANGS = "runs until it is killed"


@dataclass(frozen=True)
class ClickHouseServer:
    port: int

    @property
    def connection_json(self) -> str:
        """Return the value of an ``AIRFLOW_CONN_…`` variable."""
        return json.dumps({"conn_type": "clickhouse", "host": HOST, "port": self.port, "login": "default"})

    def queries(self) -> dict[str, list[str]]:
        """Return the queries that run, and the ids of those that were killed."""
        with urlopen(f"http://{HOST}:{self.port}/queries") as response:
            found: dict[str, list[str]] = json.load(response)
        return found


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[ClickHouseServer]:
    pytest.importorskip("chdb", reason="ClickHouse's engine is not installed (chdb-core-lite)")
    pytest.importorskip("airflow.providers.clickhousedb", reason="ClickHouse's provider is not installed")
    with subprocess.Popen(
        [sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield ClickHouseServer(int(server.stdout.readline()))
        finally:
            server.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: By their ids: the connection and the statement.
    running: dict[str, tuple[socket.socket, str]] = {}
    killed: list[str] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/queries":
            self._answer(
                json.dumps(
                    {"running": [text for _, text in list(self.running.values())], "killed": self.killed}
                ).encode()
            )
        else:
            self.do_POST()

    def do_POST(self) -> None:
        arguments = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query = (arguments.get("query", "") + body).strip()
        killed = re.match(r"kill query where query_id = '(.+)' async", query)
        if killed:
            self.killed.append(killed[1])
            self.running[killed[1]][0].shutdown(socket.SHUT_RDWR)
            self._answer(b"")
            return
        query_id = arguments.get("query_id", "")
        self.running[query_id] = (self.connection, query)
        try:
            self._run(query)
        except OSError:
            self.close_connection = True
        finally:
            self.running.pop(query_id, None)

    def _run(self, query: str) -> None:
        if HANGS in query:
            # Until the other side, or what kills it, closes the socket.
            self.rfile.read(1)
            raise ConnectionResetError
        import chdb

        text, kind = re.split(r"\s+FORMAT\s+(\w+)\s*;?$", query)[:2] if "FORMAT" in query else (query, "TSV")
        connection = chdb.connect(":memory:")
        try:
            chunks = _begun(connection.send_query(text, kind))
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._answer(str(error).encode(), 404, {"X-ClickHouse-Exception-Code": code[1] if code else "0"})
            return
        finally_ = connection.close
        try:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            finally_()

    def _answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _begun(stream: Any) -> Iterator[bytes]:
    """Return the chunks of a stream; an error of the statement is raised now."""
    chunks = (bytes(chunk.bytes()) for chunk in stream)
    first = next(chunks, b"")

    def all_chunks() -> Iterator[bytes]:
        if first:
            yield first
        yield from (chunk for chunk in chunks if chunk)

    return all_chunks()


if __name__ == "__main__":
    with ThreadingHTTPServer((HOST, 0), _Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
