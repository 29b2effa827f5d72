"""A request to the API as it is processed, and what an endpoint is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.sandbox.request_log import LoggedRequest
from airflow_provider_moengage.sandbox.response import Response
from airflow_provider_moengage.sandbox.workspace import State, Workspace


@dataclass(slots=True, kw_only=True)
class Request(LoggedRequest):
    """A request to the API, and what processing it has found out so far."""

    workspace: Workspace
    #: The state at the request's arrival: a request in flight during a reset cannot change the new state.
    state: State
    #: The length of the whole body; ``body`` is truncated if it is too long.
    body_bytes: int
    headers: dict[bytes, bytes] = field(init=False)
    #: The app_id in the path, for endpoints that have it there.
    app_id: str = ""
    document: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = dict(self.raw_headers)

    def header(self, name: bytes) -> str | None:
        """Return a header by its lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def settle(self, status: int | None) -> None:
        """Record the outcome, and release what only processing needed."""
        self.status = status
        self.headers = {}
        self.document = {}
        self.state.statuses["dropped" if status is None else str(status)] += 1


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the API as data."""

    #: The path; ``/{app_id}`` at the end stands for any app_id.
    path: str
    #: The checks before the body is validated, in order; each raises ``Refused``.
    gate: tuple[Callable[[Request], None], ...]
    respond: Callable[[Request], Response]
    #: By rate window, the units that a body costs.
    #: These functions, and ``customers``, must accept any JSON object.
    costs: Mapping[str, Callable[[dict[str, Any]], int]] = field(default_factory=dict)
    #: The customer ids in a body, for faults that affect one customer.
    customers: Callable[[dict[str, Any]], Collection[Any]] = lambda document: ()
    #: Whether its 429 and 5xx have a title and a description instead of a type and a message.
    titled: bool = False
    #: The ``status`` in the body of a 200 that is not a success.
    failed: str = "fail"


def one(document: dict[str, Any]) -> int:
    """Return one unit, whatever the body holds."""
    return 1


def listed(document: dict[str, Any], name: str) -> list[Any]:
    """Return a list in a body; an empty list if there is none."""
    value = document.get(name)
    return value if isinstance(value, list) else []
