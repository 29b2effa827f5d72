"""The log of requests to the API: the recent ones, as the control endpoints show them."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

#: Maximum size of all bodies in the log: one body can be 128 KB.
KEPT_BYTES = 256 * 1024 * 1024

AUTHORIZATION = b"authorization"
#: The field of Test Connection's body that holds the API key.
SECRET = "app_secret"
MASK = "***"


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """A request to the API and its outcome."""

    request_id: str
    method: str
    path: str
    query_string: bytes
    raw_headers: list[tuple[bytes, bytes]]
    #: Truncated if the body is too long to be processed.
    body: bytes
    authenticated: bool = False
    #: None: no response, or none yet.
    status: int | None = None
    fault: str | None = None
    at: float = field(default_factory=time.time)

    @property
    def query(self) -> dict[str, str]:
        """The query string's parameters."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def as_json(self) -> dict[str, Any]:
        """Return the request as a JSON object, with the API key masked."""
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
            "headers": dict(map(_masked, self.raw_headers)),
            "authenticated": self.authenticated,
            "body": body,
            "status": self.status,
            "fault": self.fault,
            "at": self.at,
        }


def _masked(header: tuple[bytes, bytes]) -> tuple[str, str]:
    name, value = (part.decode("latin-1") for part in header)
    if header[0] == AUTHORIZATION:
        # The scheme is not secret, but a single word may be a key without a scheme.
        scheme, blank, _ = value.partition(" ")
        value = f"{scheme} {MASK}" if blank else MASK
    return name, value


class RequestLog:
    """The most recent requests, in order of arrival."""

    def __init__(self) -> None:
        self.total = 0
        self._requests: deque[LoggedRequest] = deque()
        self._bytes = 0

    def add(self, request: LoggedRequest, kept: int) -> None:
        """Append a request, and drop the oldest ones beyond ``kept``."""
        self.total += 1
        self._requests.append(request)
        self._bytes += len(request.body)
        while self._requests and (len(self._requests) > kept or self._bytes > KEPT_BYTES):
            self._bytes -= len(self._requests.popleft().body)

    def __len__(self) -> int:
        return len(self._requests)

    def page(self, offset: int, limit: int) -> Iterator[LoggedRequest]:
        """Return a page of the log."""
        return islice(self._requests, offset, offset + limit)
