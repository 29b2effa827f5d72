"""
Who may use the control endpoints: callers that name this server, and pages that it served itself.

A browser on the same machine can reach a loopback address, and so can every page in it. Such a page gives itself
away: a name that was made to point here stands in ``Host``, and a request across sites carries ``Origin``.
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
#: What a server listens on that listens on every address of its machine.
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
#: A host and where given its port; an IPv6 address stands in brackets.
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class Hosts:
    """
    The values of ``Host`` that the control endpoints take.

    :param bound: the names and addresses that the server listens on.
    :param port: the port that it listens on.
    :param named: further names, each with a port or, where it names none, with any.
    """

    bound: frozenset[str]
    port: int
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bound: Iterable[str], port: int, named: Iterable[str] = ()) -> Hosts:
        """Return the hosts of a server; names are compared without regard to case."""
        return cls(_lower(bound), port, _lower(named))

    def takes(self, host: str) -> bool:
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
        # Of a server that listens on every address, any can be the one. It takes a name to lead a browser astray.
        return address.is_loopback or not ANY_ADDRESS.isdisjoint(self.bound)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


class OwnCallers:
    """ASGI middleware that answers 403 to whoever names another host or comes from another site."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope))
        app = self._app if refusal is None else _forbidden(refusal)
        await app(scope, receive, send)

    def _refusal(self, headers: Headers) -> str | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._hosts.takes(hosts[0]):
            return (
                "the control endpoints take only the host that the sandbox listens on and loopback, with its port; "
                "start it with --allow-host NAME to take another one"
            )
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "the control endpoints take no requests of another site's pages"
        return None


def _forbidden(message: str) -> Response:
    error = {"message": message, "type": "SandboxError"}
    return Response(
        json.dumps({"status": "fail", "error": error}), status_code=403, media_type="application/json"
    )
