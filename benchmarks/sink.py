"""
A MoEngage server that only counts: fast enough that the client is measured, not the server.

It serves every endpoint of the benchmarks, keeps one fixed rate window for all of them, and counts only the units of
what is sent. ``GET /_sink`` returns its counters as JSON; ``POST /_sink`` changes its settings and resets the counters.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import multiprocessing
import random
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop

ACCEPTED = b'{"status":"success","message":"Your request has been accepted and will be processed soon."}'
OVERLOADED = b'{"status":"fail","error":{"message":"Please try again later","type":"Service Unavailable"}}'
REFUSED = b'{"status":"fail","error":{"message":"Rate Limits for User / Event exceeded","type":"Rate Limit Exceeded"}}'


@dataclass
class Settings:
    """
    The settings of the sink.

    :param latency: seconds before each response.
    :param limit: units per window; None: no window and no rate headers.
    :param window: seconds per window; windows follow each other without a gap.
    :param phase: the part of a window that has passed when the settings are made; None: random.
    :param reset: the format of ``x-ratelimit-reset``: ``ceil``, ``floor`` or ``epoch``.
    :param capacity: requests that it works on at a time; more are answered 503 at once. None: all of them.
    """

    latency: float = 0.0
    limit: int | None = None
    window: float = 10.0
    phase: float | None = None
    reset: str = "ceil"
    capacity: int | None = None


class Counters:
    """Counts what was sent since the settings were made."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        phase = random.random() if settings.phase is None else settings.phase
        self.began = time.time() - phase * settings.window
        self.calls = 0
        self.working = self.most_working = 0
        self.overloaded = 0
        self.units = 0
        self.refused = 0
        self.first: float | None = None
        self.last: float | None = None
        self.windows: dict[int, list[int]] = {}
        self.refusals: Counter[tuple[int, bytes]] = Counter()

    def spend(self, units: int, head: bytes) -> tuple[bool, bytes]:
        """Spend units of the window; return whether they were granted, and the rate headers."""
        now = time.time()
        limit, seconds = self.settings.limit, self.settings.window
        if limit is None:
            self.units += units
            self.last = now
            return True, b""
        number = int((now - self.began) // seconds)
        window = self.windows.setdefault(number, [0, 0])
        ends = self.began + (number + 1) * seconds
        granted = window[0] + units <= limit
        if granted:
            window[0] += units
            self.units += units
            self.last = now
        else:
            window[1] += 1
            self.refused += 1
            self.refusals[number, caller(head)] += 1
        reset = {
            "ceil": math.ceil(ends - now),
            "floor": math.floor(ends - now),
            "epoch": math.ceil(ends),
        }[self.settings.reset]
        headers = (
            f"x-ratelimit-limit: {limit}; w={seconds:g}\r\nx-ratelimit-remaining: {limit - window[0]}\r\n"
            f"x-ratelimit-reset: {reset}\r\n"
        )
        return granted, headers.encode()

    def as_json(self) -> dict[str, Any]:
        """
        Return the counters; ``first`` and ``last`` are the epoch seconds of the first and the last accepted request.

        ``windows`` is a list of [number, units, 429s, maximum 429s of one caller]; ``overloaded`` is the number of 503s,
        ``most_working`` the most requests that it worked on at a time.
        """
        maximum: dict[int, int] = {}
        for (number, _), refused in self.refusals.items():
            maximum[number] = max(refused, maximum.get(number, 0))
        return {
            "calls": self.calls,
            "units": self.units,
            "refused": self.refused,
            "overloaded": self.overloaded,
            "most_working": self.most_working,
            "first": self.first,
            "last": self.last,
            "began": self.began,
            "windows": [
                [number, *counts, maximum.get(number, 0)] for number, counts in sorted(self.windows.items())
            ],
        }


def caller(head: bytes) -> bytes:
    """Return the credentials of a request, which identify the caller."""
    found = re.search(rb"\r\nauthorization: *([^\r]*)", head, re.IGNORECASE)
    return found[1] if found else b""


class Sink(asyncio.Protocol):
    """One connection; implements only the HTTP that the contenders use."""

    counters = Counters(Settings())

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while True:
            head_ends = self.buffer.find(b"\r\n\r\n")
            if head_ends < 0:
                return
            head = self.buffer[:head_ends]
            length = 0
            place = head.lower().find(b"content-length:")
            if place >= 0:
                length = int(head[place + 15 :].split(b"\r\n", 1)[0])
            ends = head_ends + 4 + length
            if len(self.buffer) < ends:
                return
            body = self.buffer[head_ends + 4 : ends]
            self.buffer = self.buffer[ends:]
            self.respond(head, body)

    def respond(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if path == b"/_sink":
            if method == b"POST":
                Sink.counters = Counters(Settings(**json.loads(body)))
                gc.collect()
            self.send(b"200 OK", b"", json.dumps(Sink.counters.as_json()).encode())
            return
        counters = Sink.counters
        counters.calls += 1
        counters.first = counters.first or time.time()
        latency, capacity = counters.settings.latency, counters.settings.capacity
        if capacity is not None and counters.working >= capacity:
            counters.overloaded += 1
            self.send(b"503 Service Unavailable", b"", OVERLOADED)
        elif latency:
            counters.working += 1
            counters.most_working = max(counters.working, counters.most_working)
            # Half of the latency is for the request, the other half for the response.
            asyncio.get_running_loop().call_later(latency / 2, self.work, path, head, body, latency / 2)
        else:
            self.work(path, head, body, 0.0)

    def work(self, path: bytes, head: bytes, body: bytes, later: float) -> None:
        if b"/transition/" in path:
            units, content = body.count(b'"type":"customer"') + body.count(b'"action":'), ACCEPTED
        elif b"/customers/export" in path:
            asked = json.loads(body)["data"]["identifiers"]
            units = len(asked)
            users = [{"user_attributes": {"customer_id": one["identifier"]}} for one in asked]
            content = json.dumps({"status": "success", "data": {"users": users}}).encode()
        elif b"/event/" in path:
            units, content = body.count(b'"action":'), ACCEPTED
        else:
            units, content = 1, ACCEPTED
        granted, headers = Sink.counters.spend(units, head)
        response = (b"200 OK", headers, content) if granted else (b"429 Too Many Requests", headers, REFUSED)
        if later:
            asyncio.get_running_loop().call_later(later, self.finish, Sink.counters, *response)
        else:
            self.send(*response)

    def finish(self, counters: Counters, *response: bytes) -> None:
        counters.working -= 1
        self.send(*response)

    def send(self, status: bytes, headers: bytes, content: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (status, headers, len(content), content)
        )


async def _serve(told: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=1024)
    told.send(server.sockets[0].getsockname()[1])
    # Returns when the parent process ends.
    await asyncio.get_running_loop().run_in_executor(None, told.poll, None)


def _run(told: Connection) -> None:
    uvloop.run(_serve(told))


@dataclass(frozen=True)
class RunningSink:
    """
    A sink in a process of its own.

    :param url: where it listens, without a path.
    """

    url: str

    def settings(self, **settings: Any) -> None:
        """Apply settings, see :class:`Settings`, and reset the counters."""
        self._request(json.dumps(settings).encode())

    def counters(self) -> dict[str, Any]:
        """Return the counters, see :meth:`Counters.as_json`."""
        return self._request(None)

    def _request(self, body: bytes | None) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_sink", data=body, timeout=30) as response:
            counters: dict[str, Any] = json.load(response)
            return counters


@contextmanager
def running_sink() -> Iterator[RunningSink]:
    """Start a sink on a free loopback port, and stop it on exit."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield RunningSink(f"http://127.0.0.1:{ours.recv()}")
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    with running_sink() as running:
        print(running.url, flush=True)
        sys.stdin.read()
