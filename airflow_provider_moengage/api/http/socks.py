"""Pools of bounded connections through a SOCKS proxy; importing this needs PySocks, as such a proxy does."""

from __future__ import annotations

from urllib3.contrib.socks import (
    SOCKSConnection,
    SOCKSHTTPConnectionPool,
    SOCKSHTTPSConnection,
    SOCKSHTTPSConnectionPool,
)

from airflow_provider_moengage.api.http.connection import BoundedConnection


class BoundedSocksConnection(BoundedConnection, SOCKSConnection):
    """A bounded connection through a SOCKS proxy."""


class BoundedSocksTlsConnection(BoundedConnection, SOCKSHTTPSConnection):
    """The same over TLS."""


class BoundedSocksPool(SOCKSHTTPConnectionPool):
    """A pool of bounded connections through a SOCKS proxy."""

    ConnectionCls = BoundedSocksConnection


class BoundedSocksTlsPool(SOCKSHTTPSConnectionPool):
    """A pool of bounded connections over TLS through a SOCKS proxy."""

    ConnectionCls = BoundedSocksTlsConnection


SOCKS_POOLS = BoundedSocksPool, BoundedSocksTlsPool
