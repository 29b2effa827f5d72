"""The server: Starlette on uvicorn, with connections that can be dropped."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from airflow_provider_moengage.sandbox.access import Hosts
from airflow_provider_moengage.sandbox.api import Api
from airflow_provider_moengage.sandbox.control import Control
from airflow_provider_moengage.sandbox.workspace import Workspace


class OpenConnections:
    """
    The transports of open connections, by client address.

    ASGI has no message that closes a connection without a response, but it provides the client's address.
    """

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def drop(self, client: tuple[str, int]) -> None:
        """Close a client's connection immediately, without a response."""
        transport = self._transports.get((client[0], client[1]))
        if transport is not None:
            transport.abort()

    def watched(self, protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
        """Return a protocol class that registers its connections here."""
        transports = self._transports

        class Watched(protocol):  # type: ignore[valid-type, misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                self._client = transport.get_extra_info("peername")[:2]
                transports[self._client] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._client, None)
                super().connection_lost(exc)

        return Watched


def http_protocol(name: str) -> type[asyncio.Protocol]:
    """
    Return uvicorn's protocol class.

    :param name: ``httptools``, ``h11``, or ``auto`` for the first of them that is installed.
    """
    if name == "httptools" or (name == "auto" and importlib.util.find_spec("httptools")):
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

        return HttpToolsProtocol
    from uvicorn.protocols.http.h11_impl import H11Protocol

    return H11Protocol


def application(workspace: Workspace, connections: OpenConnections, hosts: Hosts) -> Starlette:
    """Return the ASGI application: the control endpoints, and the API for every other path."""
    return Starlette(routes=[*Control(workspace, hosts).routes(), Mount("/", Api(workspace, connections))])


class SandboxServer(uvicorn.Server):
    """A uvicorn server that reports when it is ready, and stops without waiting for requests in flight."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then call ``ready``."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without logging the requests that are cut off."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        await super().shutdown(sockets)


def build(
    workspace: Workspace, hosts: Hosts, *, http: str, verbose: bool, ready: Callable[[], None]
) -> SandboxServer:
    """Return a server that is ready to run."""
    connections = OpenConnections()
    config = uvicorn.Config(
        cast(Any, application(workspace, connections, hosts)),
        http=cast(Any, connections.watched(http_protocol(http))),
        ws="none",
        lifespan="off",
        # X-Forwarded-For is part of the simulation: it must not replace the client's address.
        proxy_headers=False,
        server_header=False,
        access_log=verbose,
        log_level="info" if verbose else "error",
        # Longer than any pause of a test: a connection closed between two requests looks like a fault.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=0,
    )
    return SandboxServer(config, ready)
