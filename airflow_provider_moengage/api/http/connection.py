"""Connections whose responses are bounded, whose failures of TLS are told apart, and which can be aborted."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Any
from weakref import ref

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import SSLError

from airflow_provider_moengage.api.http.bounded_response import BoundedResponse


class TlsFailed(SSLError):
    """TLS was not established, so nothing was sent; the cause has the reason."""


class BoundedConnection(HTTPConnection):
    """
    A connection that bounds the size and duration of every response.

    :param connections: weak references to all connections, to which this one adds itself.
    """

    response_class = BoundedResponse

    def __init__(self, *args: Any, connections: set[ref[BoundedConnection]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._connected: Any = None
        self._pieces: list[bytes] | None = None
        connections.add(ref(self, connections.discard))

    def connect(self) -> None:
        """
        Open the connection.

        :raises TlsFailed: TLS was not established; unlike an error of TLS after the request was sent.
        """
        try:
            super().connect()
        except (ssl.SSLError, SSLError) as error:
            raise TlsFailed(error) from error
        self._connected = self.sock

    def request(self, *args: Any, **settings: Any) -> None:
        """Send a request with a single write: as one packet if it is small, and with fewer switches of threads."""
        pieces: list[bytes] = []
        self._pieces = pieces
        try:
            super().request(*args, **settings)
        finally:
            self._pieces = None
        self.send(b"".join(pieces))

    def send(self, data: Any) -> None:
        """Send bytes; those of a request once it is complete."""
        if self._pieces is None:
            super().send(data)
        else:
            self._pieces.append(data)

    def getresponse(self) -> Any:
        """Return the response, with the seconds since the request was sent: without those that the connection took."""
        began = time.monotonic()
        response: Any = super().getresponse()
        response.latency = time.monotonic() - began
        return response

    def abort(self) -> None:
        """Shut the socket down, so that a thread that waits for it fails at once."""
        # While the body of a response that closes its connection is read, http.client has let go of the socket.
        sock = self.sock or self._connected
        # The connection's own thread may close it at the same time.
        with contextlib.suppress(OSError, AttributeError):
            sock.shutdown(socket.SHUT_RDWR)


class BoundedTlsConnection(BoundedConnection, HTTPSConnection):
    """The same over TLS."""
