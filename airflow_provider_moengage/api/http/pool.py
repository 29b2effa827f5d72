"""HTTP to one host: its pool of connections is looked up once, and cookies are not kept."""

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
    An adapter for requests that all go the same way: one host, one proxy, one set of CA settings.

    :param connections: connections kept open, at most.
    """

    def __init__(self, connections: int) -> None:
        self._pool: Any = None
        self._connections: WeakSet[Any] = WeakSet()
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **settings: Any) -> Any:
        """Give the pool of connections; requests 2.32 and newer ask for it so."""
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
        """Close the connections that nobody uses, and the others once they are free; the next request opens a new one."""
        pool, self._pool = self._pool, None
        super().close()
        if pool is not None:
            # urllib3 closes those of a pool it has let go of once nobody knows the pool any more.
            pool.close()

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        self.release()
        for connection in list(self._connections):
            connection.close()

    def abort(self) -> None:
        """Cut every connection: a request that waits for its answer fails at once."""
        for connection in list(self._connections):
            # Its own thread may close it at the same time.
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Wrap an answer: its status, its headers, and its body as far as it was not read."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        return response
