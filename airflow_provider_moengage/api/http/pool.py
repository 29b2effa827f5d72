"""The pool of connections to one host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from queue import LifoQueue
from typing import Any
from weakref import ref

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ClosedPoolError

from airflow_provider_moengage.api.http.connection import BoundedConnection, BoundedTlsConnection


class IdleConnections(LifoQueue[Any]):
    """The idle connections of a pool, which opens another one when there are none."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a connection, but none of urllib3's placeholders: hundreds of them take longer than a request."""
        if item is not None:
            super().put(item, block, timeout)


class BoundedPool(HTTPConnectionPool):
    """A pool of bounded connections."""

    QueueCls = IdleConnections
    ConnectionCls = BoundedConnection


class BoundedTlsPool(HTTPSConnectionPool):
    """A pool of bounded connections over TLS."""

    QueueCls = IdleConnections
    ConnectionCls = BoundedTlsConnection


class BoundedAdapter(HTTPAdapter):
    """
    An adapter for requests to one host, with one proxy and one set of CA settings.

    :param connections: the maximum number of connections kept open.
    """

    def __init__(self, connections: int) -> None:
        self._pool: Any = None
        self._verified: Any = None
        self._targets: dict[str | None, str] = {}
        # A set of references instead of a WeakSet, which cannot be listed while another thread adds to it.
        self._connections: set[ref[BoundedConnection]] = set()
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        """Create the manager of the pools of the host."""
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools(BoundedPool, BoundedTlsPool)

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Return the manager of the pools of a proxy."""
        manager = super().proxy_manager_for(proxy, **settings)
        pools: tuple[Any, Any] = BoundedPool, BoundedTlsPool
        if proxy.lower().startswith("socks"):
            from airflow_provider_moengage.api.http.socks import SOCKS_POOLS

            pools = SOCKS_POOLS
        manager.pool_classes_by_scheme = self._pools(*pools)
        return manager

    def _pools(self, plain: Any, tls: Any) -> Mapping[str, Any]:
        """Return pools by scheme; what a pool does not know, it passes on to its connections."""
        return {
            "http": partial(plain, connections=self._connections),
            "https": partial(tls, connections=self._connections),
        }

    def send(self, *args: Any, **settings: Any) -> requests.Response:
        """Send a request, as ``requests``' own adapter does."""
        try:
            return super().send(*args, **settings)
        except requests.ConnectionError as error:
            if not any(isinstance(cause, ClosedPoolError) for cause in error.args):
                raise
        # Another run released the pool before this request had a connection of it: nothing was sent.
        return super().send(*args, **settings)

    def get_connection_with_tls_context(self, *args: Any, **settings: Any) -> Any:
        """Return the connection pool, looked up once; requests 2.32 and newer call this."""
        pool = self._pool
        if pool is None:
            self._pool = pool = super().get_connection_with_tls_context(*args, **settings)
        return pool

    def cert_verify(self, conn: Any, *args: Any, **settings: Any) -> None:
        """Set the CA settings of a pool, once: that looks at the file system."""
        if conn is not self._verified:
            super().cert_verify(conn, *args, **settings)  # type: ignore[no-untyped-call]
            self._verified = conn

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return what the request line names; the same for each URL, as there is one proxy."""
        target = self._targets.get(request.url)
        if target is None:
            target = self._targets[request.url] = super().request_url(request, proxies)
        return target

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Wrap urllib3's response, unread."""
        return UnreadResponse(resp)

    def release(self) -> None:
        """Close idle connections now, and the others once they are idle; the next request opens a new one."""
        pool, self._pool, self._verified = self._pool, None, None
        super().close()
        if pool is not None:
            # urllib3 closes the connections of a discarded pool only once nothing references the pool.
            pool.close()

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        self.release()
        for connection in self.connections():
            connection.close()

    def abort(self) -> None:
        """Abort every connection, so that requests waiting for a response fail at once."""
        for connection in self.connections():
            connection.abort()

    def connections(self) -> list[BoundedConnection]:
        """Return all connections, idle or in use; one whose socket is closed opens another when it is used again."""
        return [connection for known in list(self._connections) if (connection := known()) is not None]


class UnreadResponse(requests.Response):
    """A response of which only status and ``raw`` are used; the rest, such as cookies, takes time to set up."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.status_code = raw.status
