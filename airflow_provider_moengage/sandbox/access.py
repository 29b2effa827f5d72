"""
Access control for the control endpoints: only this server's own host names and origin.

Any page in a browser on the same machine can reach a loopback address. The headers expose such a page: DNS rebinding
shows in ``Host``, and a cross-site request carries ``Origin``.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

HTTP_PORT = 80
#: The wildcard addresses: a server bound to one listens on all addresses of its machine.
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
#: A host and an optional port; an IPv6 address is in brackets.
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class Hosts:
    """
    The values of ``Host`` that the control endpoints accept.

    :param bound: the names and addresses that the server listens on.
    :param port: the port that it listens on.
    :param named: additional names, each with a port; without one, any port matches.
    """

    bound: frozenset[str]
    port: int
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bound: Iterable[str], port: int, named: Iterable[str] = ()) -> Hosts:
        """Return the hosts of a server; names are case-insensitive."""
        return cls(_lower(bound), port, _lower(named))

    def accepts(self, host: str) -> bool:
        """Whether a ``Host`` header names this server."""
        match = HOST.fullmatch(host.lower())
        if match is None:
            return False
        name, port = match.group(1).strip("[]"), int(match.group(2) or HTTP_PORT)
        if {match.group(1), f"{match.group(1)}:{port}"} & self.named:
            return True
        return port == self.port and self._is_own(name)

    def _is_own(self, name: str) -> bool:
        if name == "localhost" or name in self.bound:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # A server on a wildcard address accepts any IP address: DNS rebinding needs a name.
        return address.is_loopback or not ANY_ADDRESS.isdisjoint(self.bound)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


class OwnCallers:
    """ASGI middleware that responds 403 to requests for another host or from another site."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._rejection(Headers(scope=scope))
        app = self._app if reason is None else _forbidden(reason)
        await app(scope, receive, send)

    def _rejection(self, headers: Headers) -> str | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._hosts.accepts(hosts[0]):
            return (
                "the control endpoints accept only loopback and the host that the sandbox listens on, with its port; "
                "start it with --allow-host NAME to accept another host"
            )
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "the control endpoints accept no requests from pages of another site"
        return None


def _forbidden(message: str) -> Response:
    error = {"message": message, "type": "SandboxError"}
    return Response(
        json.dumps({"status": "fail", "error": error}), status_code=403, media_type="application/json"
    )
