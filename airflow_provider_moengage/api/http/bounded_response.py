"""
Bounds the size and the duration of every response on the wire.

A socket's timeout bounds a single read. It does not stop a server that sends a byte a second, endless header lines or
``100 Continue``, or a chunk of size -1, so both bounds are enforced where every byte passes.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPException, HTTPResponse, RemoteDisconnected, parse_headers
from typing import Any

#: The maximum size of what precedes the body: status line and headers, including a gateway's ``100 Continue``.
#: MoEngage's have some hundred bytes; urllib3 logs what it cannot parse.
MAX_HEAD_BYTES = 64 * 1024
#: The maximum size of a response on the wire, whatever its framing: twice the largest body that is read.
MAX_WIRE_BYTES = 8 * 1024 * 1024


class ResponseTooLong(HTTPException):
    """A response exceeds its maximum size; urllib3 treats it as a broken connection."""


class ResponseStream(io.RawIOBase):
    """
    The raw bytes of one response.

    :param raw: the socket as an unbuffered file.
    :param sock: the socket; its timeout, in seconds, applies to the whole response.
    :ivar max_bytes: the maximum number of bytes read, which the last read may exceed.
    :ivar ended: whether the end of the stream was read: the server closed the connection, or it was aborted.
    """

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._seconds: float | None = sock.gettimeout()
        self._began = time.monotonic()
        self._read = 0
        self.max_bytes = MAX_HEAD_BYTES
        self.ended = False

    def readable(self) -> bool:
        """Return True: the stream is read-only."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """
        Read the available bytes.

        :raises TimeoutError: the response takes too long.
        :raises ResponseTooLong: the response is too large.
        """
        if self._read > self.max_bytes:
            raise ResponseTooLong(f"more than {self.max_bytes} bytes")
        # Nearly every response arrives with the first read, which has the socket's own timeout.
        count: int | None = (
            self._raw.readinto(buffer) if not self._read else self._read_within_timeout(buffer)
        )
        self._read += count or 0
        self.ended = count == 0
        return count

    def _read_within_timeout(self, buffer: Any) -> int | None:
        if self._seconds is None:
            count: int | None = self._raw.readinto(buffer)
            return count
        left = self._began + self._seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the response was not complete within {self._seconds} s")
        self._sock.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        finally:
            # The next request on this connection has the full timeout.
            self._sock.settimeout(self._seconds)
        return count

    def close(self) -> None:
        """Close the file; the socket stays open for the next response."""
        if not self.closed:
            self._raw.close()
        super().close()


class BoundedResponse(HTTPResponse):
    """A response read through a :class:`ResponseStream`, as is a proxy's response to CONNECT."""

    def __init__(self, sock: Any, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        self._stream = ResponseStream(self.fp.detach(), sock)
        self.fp: Any = io.BufferedReader(self._stream)

    def begin(self) -> None:
        """
        Read the status line and the headers.

        :raises RemoteDisconnected: the connection was lost before the end of the headers.
        """
        super().begin()
        if self._stream.ended:
            # http.client takes what came before for all headers.
            raise RemoteDisconnected("the connection was lost within the headers of the response")
        self._stream.max_bytes = MAX_WIRE_BYTES

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line of the final response; http.client skips only one interim response, ``100 Continue``."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)
