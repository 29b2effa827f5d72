"""Faults on demand: errors, slowness and broken connections, when and as often as a test wants them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any

KINDS = ("status", "slow", "drop_before", "drop_after", "fail_200")
BODIES = ("json", "empty", "html")


class FaultError(ValueError):
    """A fault that is not described rightly."""


@dataclass
class Fault:
    """
    A fault, as it is described in JSON, and how often it has fired.

    :param kind: ``status`` (an error answer, nothing stored), ``slow`` (works on the call later),
        ``drop_before`` (the connection ends without an answer, nothing stored), ``drop_after`` (stored, then
        the connection ends without an answer), ``fail_200`` (status 200 with a body that says "fail", nothing
        stored).
    :param status: the status code, of kind ``status``.
    :param body: ``json`` is the documented body; ``empty`` and ``html`` are what gateways send, without rate
        headers.
    :param headers: added to the answer; null removes one.
    :param seconds: how long, of kind ``slow``.
    :param times: fires so often and no more; null, the default: without end.
    :param rate: the share of the calls that it befalls.
    :param after: lets so many calls through at first.
    :param path: befalls only paths that hold this text.
    :param customer_id: befalls only calls that speak of this customer.
    :param type: in place of the documented error type.
    :param message: in place of the documented error message.
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
        """Check a description and make a fault of it."""
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

    def befalls(self, path: str, customers: Collection[Any], random: Random) -> bool:
        """Say whether the fault fires for a call, and count that it does."""
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
        """Give the fault as a JSON object with how often it has ``fired``."""
        return {name: value for name, value in asdict(self).items() if name != "_seen"}


def _check(description: Mapping[str, Any]) -> None:
    def fits(name: str, types: tuple[type, ...], what: str, least: float = 0, most: float = math.inf) -> None:
        value = description.get(name, least)
        # By type(): a bool is an int too, and no number here.
        if type(value) not in types or not least <= value <= most:
            raise FaultError(f"{name} is {what}")

    if description["kind"] == "status" and description.get("status") is None:
        raise FaultError("a fault of kind status needs a status")
    if description.get("status") is not None:
        fits("status", (int,), "a whole number from 200 to 599", 200, 599)
    if description.get("times") is not None:
        fits("times", (int,), "a whole number or null")
    fits("seconds", (int, float), "a number of seconds")
    fits("rate", (int, float), "a number from 0 to 1", 0, 1)
    fits("after", (int,), "a whole number")
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
    """The faults that are in force, in the order in which they were given."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._faults: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        """Put faults in force."""
        self._faults += faults

    def clear(self) -> None:
        """Lift all faults."""
        self._faults.clear()

    def befalling(self, path: str, customers: Collection[Any]) -> tuple[float, Fault | None]:
        """
        Give what befalls a call: seconds to wait, and the first fault that decides its fate.

        Slow ones add up; of the others only one can fire for a call.
        """
        seconds = 0.0
        for fault in self._faults:
            if fault.befalls(path, customers, self.random):
                if fault.kind != "slow":
                    return seconds, fault
                seconds += fault.seconds
        return seconds, None

    def __bool__(self) -> bool:
        return bool(self._faults)

    def as_json(self) -> list[dict[str, Any]]:
        """Give the faults as a JSON list."""
        return [fault.as_json() for fault in self._faults]
