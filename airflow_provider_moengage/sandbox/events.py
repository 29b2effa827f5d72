"""The events of the workspace, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from airflow_provider_moengage.sandbox.store import User

EPOCH = datetime(1970, 1, 1)


@dataclass(slots=True)
class Event:
    """A stored event; events with the same content are not deduplicated."""

    user: User
    action: str
    attributes: dict[str, Any]
    #: Seconds since 1970, UTC.
    time: float
    user_timezone_offset: float | None
    platform: str | None
    moe_os_type: str | None
    app_version: str | None
    device_id: str | None
    request_id: str
    number: int = field(default=0, init=False)

    def as_json(self) -> dict[str, Any]:
        """Return the event as a JSON object."""
        return {
            "number": self.number,
            "customer_id": self.user.customer_id,
            "user_id": self.user.id,
            "action": self.action,
            "attributes": self.attributes,
            "time": (EPOCH + timedelta(seconds=self.time)).isoformat(timespec="seconds") + "Z",
            "user_timezone_offset": self.user_timezone_offset,
            "platform": self.platform,
            "moe_os_type": self.moe_os_type,
            "app_version": self.app_version,
            "device_id": self.device_id,
            "request_id": self.request_id,
        }


class Events:
    """The events of all users and of each user, in the order in which they were stored."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._by_user: dict[str, list[Event]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        """Store an event and assign its number: 1, 2, 3, …."""
        self._events.append(event)
        event.number = len(self._events)
        self._by_user.setdefault(event.user.id, []).append(event)

    def count(self, user: User | None) -> int:
        """Return the number of events of one user, or of all."""
        return len(self if user is None else self._by_user.get(user.id, ()))

    def page(self, offset: int, limit: int, user: User | None = None) -> Iterator[Event]:
        """Return a page of the events of one user, or of all."""
        events = self._events if user is None else self._by_user.get(user.id, [])
        return islice(events, offset, offset + limit)

    def merge(self, merged: User, retained: User) -> None:
        """Move the events of one user to another."""
        moved = self._by_user.pop(merged.id, [])
        for event in moved:
            event.user = retained
        if moved:
            together = [*self._by_user.get(retained.id, []), *moved]
            self._by_user[retained.id] = sorted(together, key=lambda event: event.number)
