"""
The bytes of an answer as they come off the wire: no more than so many, and no longer than the time-out.

A socket's time-out bounds one read. A server that sends a byte a second, header lines or ``100 Continue`` for ever, or
a chunk of the size -1 never meets it, so both bounds are kept where every byte passes.
"""

from __future__ import annotations

import io
import ssl
import time
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import Any

from urllib3.exceptions import SSLError

from airflow_provider_moengage.api.http.pool import OneHostAdapter

#: The most that comes before a body: status line and headers, a gateway's ``100 Continue`` included. MoEngage's have
#: some hundred bytes; urllib3 logs what it cannot read of them.
MAX_HEAD_BYTES = 64 * 1024
#: The most that one answer may be on the wire, whatever its framing: twice the largest body that is read.
MAX_WIRE_BYTES = 8 * 1024 * 1024


class AnswerTooLong(HTTPException):
    """An answer that does not end; urllib3 makes a broken connection of it."""


class TlsFailed(SSLError):
    """TLS was not established, so nothing was sent; the cause says why."""


class AnswerStream(io.RawIOBase):
    """
    One answer's bytes.

    :param raw: the socket as an unbuffered file.
    :param sock: the socket; its time-out, in seconds, is what the whole answer may take.
    :ivar most: bytes that are read, at most, and what the last read brought.
    """

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._seconds: float | None = sock.gettimeout()
        self._began = time.monotonic()
        self._read = 0
        self.most = MAX_HEAD_BYTES

    def readable(self) -> bool:
        """It is, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """
        Read what there is.

        :raises TimeoutError: the answer takes too long.
        :raises AnswerTooLong: it is too long.
        """
        if self._read > self.most:
            raise AnswerTooLong(f"more than {self.most} bytes")
        # Nearly every answer comes with the first read, which has the socket's own time-out.
        count: int | None = self._raw.readinto(buffer) if not self._read else self._in_time(buffer)
        self._read += count or 0
        return count

    def _in_time(self, buffer: Any) -> int | None:
        if self._seconds is None:
            count: int | None = self._raw.readinto(buffer)
            return count
        left = self._began + self._seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the answer was not whole within {self._seconds} s")
        self._sock.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        finally:
            # The next request on this connection has all its time.
            self._sock.settimeout(self._seconds)
        return count

    def close(self) -> None:
        """Close the file; the socket stays open for the next answer."""
        if not self.closed:
            self._raw.close()
        super().close()


class BoundedResponse(HTTPResponse):
    """An answer that is read through an :class:`AnswerStream`; a proxy's answer to CONNECT is one too."""

    def __init__(self, sock: Any, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        self._stream = AnswerStream(self.fp.detach(), sock)
        self.fp: Any = io.BufferedReader(self._stream)

    def begin(self) -> None:
        """Read the status line and the headers."""
        super().begin()
        self._stream.most = MAX_WIRE_BYTES

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line of the answer proper; http.client knows of one interim answer, ``100 Continue``."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)


class BoundedAdapter(OneHostAdapter):
    """An adapter whose answers end."""

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        """Make the pools of connections to the host itself."""
        super().init_poolmanager(*args, **settings)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Give the pools of connections to a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **settings)
        if not known:
            _bound(manager)
        return manager


def _bound(manager: Any) -> None:
    # Of the classes that are there, because a SOCKS proxy has its own.
    manager.pool_classes_by_scheme = {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": _bounded(pool.ConnectionCls)})
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _bounded(connection: Any) -> Any:
    def connect(self: Any) -> Any:
        """Connect, and tell a failure of TLS from one that comes later, when the request was sent."""
        try:
            return connection.connect(self)
        except (ssl.SSLError, SSLError) as error:
            raise TlsFailed(error) from error

    return type(connection.__name__, (connection,), {"response_class": BoundedResponse, "connect": connect})
