"""One call to the API, what an endpoint is, and the memory of calls."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_moengage.sandbox.answers import Answer

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.workspace import State, Workspace

#: Bodies can be 128 KB each: what is remembered of requests is bounded in bytes too.
KEPT_BYTES = 256 * 1024 * 1024


AUTHORIZATION = b"authorization"
#: What holds the key in the body of Test Connection.
SECRET = "app_secret"
MASK = "***"


@dataclass(slots=True)
class Call:
    """A request to the API, and what has become known of it so far."""

    workspace: Workspace
    #: The state that was current on arrival: a call under way at a reset cannot reach into what follows it.
    state: State
    request_id: str
    method: str
    path: str
    query_string: bytes
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes
    #: The length of the body, of which ``body`` is only the beginning where it is too long.
    body_bytes: int
    headers: dict[bytes, bytes] = field(init=False)
    #: The app_id in the path, of endpoints that have it there.
    app_id: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    authenticated: bool = False
    status: int | None = None
    fault: str | None = None
    at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.headers = dict(self.raw_headers)

    def header(self, name: bytes) -> str | None:
        """Give a header by its lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def query(self) -> dict[str, str]:
        """The query string's parameters."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def settle(self, status: int | None) -> None:
        """Note the answer, and let go of what only the work on the call needed."""
        self.status = status
        self.headers = {}
        self.document = {}
        self.state.statuses["dropped" if status is None else str(status)] += 1

    def as_json(self) -> dict[str, Any]:
        """
        Return the call as a JSON object; the status is null for one that got no answer, or not yet.

        The key that it came with is masked: ``authenticated`` has whether it was the right one.
        """
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            body = self.body.decode("utf-8", "replace")
        if isinstance(body, dict) and SECRET in body:
            body[SECRET] = MASK
        return {
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": dict(map(_shown, self.raw_headers)),
            "authenticated": self.authenticated,
            "body": body,
            "status": self.status,
            "fault": self.fault,
            "at": self.at,
        }


def _shown(header: tuple[bytes, bytes]) -> tuple[str, str]:
    name, value = (part.decode("latin-1") for part in header)
    if header[0] == AUTHORIZATION:
        # The scheme is no secret, but what stands alone may be a key without one.
        scheme, blank, _ = value.partition(" ")
        value = f"{scheme} {MASK}" if blank else MASK
    return name, value


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the API as data."""

    #: The path; one that ends in ``/{app_id}`` takes the app_id there.
    path: str
    #: The checks before the body is looked into, in their order; each raises ``Refused``.
    gate: tuple[Callable[[Call], None], ...]
    respond: Callable[[Call], Answer]
    #: The rate windows that the endpoint spends, each with what a body costs there.
    #: These, and the customers, must bear any JSON object.
    costs: Mapping[str, Callable[[dict[str, Any]], int]] = field(default_factory=dict)
    #: The customer ids that a body speaks of, for faults that befall one customer.
    customers: Callable[[dict[str, Any]], Collection[Any]] = lambda document: ()
    #: Its 429 and 5xx have a title and a description, where others have a type and a message.
    titled: bool = False
    #: What a 200 calls its status that is no success.
    failed: str = "fail"


def one(document: dict[str, Any]) -> int:
    """Say that a call costs one unit, whatever its body holds."""
    return 1


def listed(document: dict[str, Any], name: str) -> list[Any]:
    """Give a list that a body holds; an empty one where it holds none."""
    value = document.get(name)
    return value if isinstance(value, list) else []


class Journal:
    """The last calls in the order of their arrival."""

    def __init__(self) -> None:
        self.total = 0
        self._calls: deque[Call] = deque()
        self._bytes = 0

    def add(self, call: Call, kept: int) -> None:
        """Remember a call, and forget the oldest beyond ``kept``."""
        self.total += 1
        self._calls.append(call)
        self._bytes += len(call.body)
        while self._calls and (len(self._calls) > kept or self._bytes > KEPT_BYTES):
            self._bytes -= len(self._calls.popleft().body)

    def __len__(self) -> int:
        return len(self._calls)

    def page(self, offset: int, limit: int) -> Iterator[Call]:
        """Give some of the calls that are remembered."""
        return islice(self._calls, offset, offset + limit)
