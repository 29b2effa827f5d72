"""Fault injection: errors, slow responses and dropped connections on demand."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any

KINDS = ("status", "slow", "drop_before", "drop_after", "fail_200")
BODIES = ("json", "empty", "html")


class FaultError(ValueError):
    """The description of a fault is invalid."""


@dataclass
class Fault:
    """
    A fault as described in JSON, and how often it has fired.

    :param kind: ``status`` (an error response, nothing stored), ``slow`` (processes the request later),
        ``drop_before`` (closes the connection without a response, nothing stored), ``drop_after`` (stores, then
        closes the connection without a response), ``fail_200`` (status 200 with "fail" in the body, nothing
        stored).
    :param status: the status code, for kind ``status``.
    :param body: ``json`` is the documented body; ``empty`` and ``html`` are what gateways send, without rate
        headers.
    :param headers: added to the response; null removes a header.
    :param seconds: the delay, for kind ``slow``.
    :param times: fires at most this many times; null, the default: no limit.
    :param rate: the share of requests that it affects.
    :param after: the number of matching requests to let through first.
    :param path: affects only paths that contain this text.
    :param customer_id: affects only requests for this customer.
    :param type: replaces the documented error type.
    :param message: replaces the documented error message.
    """

    kind: str
    status: int | None = None
    body: str = "json"
    headers: dict[str, str | None] = field(default_factory=dict)
    seconds: float = 0.0
    times: int | None = None
    rate: float = 1.0
    after: int = 0
    path: str = ""
    customer_id: str | None = None
    type: str | None = None
    message: str | None = None
    fired: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False, repr=False)

    @classmethod
    def from_json(cls, description: Any) -> Fault:
        """Check a description and return its fault."""
        if not isinstance(description, dict):
            raise FaultError("a fault is a JSON object")
        known = [item.name for item in fields(cls) if item.init]
        unknown = sorted(set(description) - set(known))
        if unknown:
            raise FaultError(f"unknown in a fault: {', '.join(unknown)}; known are: {', '.join(known)}")
        if description.get("kind") not in KINDS:
            raise FaultError(f"kind is one of: {', '.join(KINDS)}")
        _check(description)
        return cls(**description)

    def fires(self, path: str, customers: Collection[Any], random: Random) -> bool:
        """Whether the fault fires for a request; count it if so."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.path not in path or (self.customer_id is not None and self.customer_id not in customers):
            return False
        self._seen += 1
        if self._seen <= self.after or (self.rate < 1 and random.random() >= self.rate):
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the fault as a JSON object with how often it has ``fired``."""
        return {name: value for name, value in asdict(self).items() if name != "_seen"}


def _check(description: Mapping[str, Any]) -> None:
    def check_number(
        name: str, types: tuple[type, ...], what: str, minimum: float = 0, maximum: float = math.inf
    ) -> None:
        value = description.get(name, minimum)
        # By type(): a bool is an int too, but not accepted as a number here.
        if type(value) not in types or not minimum <= value <= maximum:
            raise FaultError(f"{name} is {what}")

    if description["kind"] == "status" and description.get("status") is None:
        raise FaultError("a fault of kind status needs a status")
    if description.get("status") is not None:
        check_number("status", (int,), "a whole number from 200 to 599", 200, 599)
    if description.get("times") is not None:
        check_number("times", (int,), "a whole number or null")
    check_number("seconds", (int, float), "a number of seconds")
    check_number("rate", (int, float), "a number from 0 to 1", 0, 1)
    check_number("after", (int,), "a whole number")
    if description.get("body", "json") not in BODIES:
        raise FaultError(f"body is one of: {', '.join(BODIES)}")
    headers = description.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str | None) for value in headers.values()):
        raise FaultError("headers is an object of strings and nulls")
    for name in ("path", "customer_id", "type", "message"):
        nullable = name != "path"
        value = description.get(name, "")
        if not isinstance(value, str) and not (nullable and value is None):
            raise FaultError(f"{name} is a string")


class Faults:
    """The active faults, in the order in which they were added."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._faults: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        """Activate faults."""
        self._faults += faults

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def firing(self, path: str, customers: Collection[Any]) -> tuple[float, Fault | None]:
        """
        Return the effect of the faults on a request: seconds to wait, and the first fault that decides its outcome.

        Delays add up; of the other kinds, at most one fires for a request.
        """
        seconds = 0.0
        for fault in self._faults:
            if fault.fires(path, customers, self.random):
                if fault.kind != "slow":
                    return seconds, fault
                seconds += fault.seconds
        return seconds, None

    def __bool__(self) -> bool:
        return bool(self._faults)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the faults as a JSON list."""
        return [fault.as_json() for fault in self._faults]
