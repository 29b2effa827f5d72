"""The connection pool of a single host, without cookies."""

from __future__ import annotations

import contextlib
import socket
from typing import Any
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict


class OneHostAdapter(HTTPAdapter):
    """
    An adapter for requests to one host, with one proxy and one set of CA settings.

    :param connections: the maximum number of connections kept open.
    """

    def __init__(self, connections: int) -> None:
        self._pool: Any = None
        self._connections: WeakSet[Any] = WeakSet()
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **settings: Any) -> Any:
        """Return the connection pool; requests 2.32 and newer call this."""
        if self._pool is None:
            pool: Any = super().get_connection_with_tls_context(*args, **settings)
            kind, connections = pool.ConnectionCls, self._connections

            def connection(*args: Any, **kwargs: Any) -> Any:
                new = kind(*args, **kwargs)
                connections.add(new)
                return new

            pool.ConnectionCls = connection
            self._pool = pool
        return self._pool

    def release(self) -> None:
        """Close idle connections now, and the others once they are idle; the next request opens a new one."""
        pool, self._pool = self._pool, None
        super().close()
        if pool is not None:
            # urllib3 closes the connections of a discarded pool only once nothing references the pool.
            pool.close()

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        self.release()
        for connection in list(self._connections):
            connection.close()

    def abort(self) -> None:
        """Shut down every connection, so that requests waiting for a response fail at once."""
        for connection in list(self._connections):
            # The connection's own thread may close it at the same time.
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Wrap urllib3's response: status, headers and unread body."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        return response
