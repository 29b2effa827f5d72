"""The devices of the workspace's users, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_moengage.sandbox.store import User

MAX_DEVICES = 1_000


@dataclass(slots=True)
class Device:
    """A stored device."""

    user: User
    device_id: str
    attributes: dict[str, str] = field(default_factory=dict)
    blocked: bool = False
    updates: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the device as a JSON object."""
        return {
            "customer_id": self.user.customer_id,
            "user_id": self.user.id,
            "device_id": self.device_id,
            "attributes": self.attributes,
            "blocked": self.blocked,
            "updates": self.updates,
        }


class Devices:
    """The devices by user and device id."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], Device] = {}
        self._by_user: dict[str, list[Device]] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def count(self, user: User | None) -> int:
        """Return the number of devices of one user, or of all."""
        return len(self if user is None else self.of(user))

    def page(self, offset: int, limit: int, user: User | None = None) -> Iterator[Device]:
        """Return a page of the devices of one user, or of all, in the order of their creation."""
        devices = self._devices.values() if user is None else self.of(user)
        return islice(devices, offset, offset + limit)

    def of(self, user: User) -> list[Device]:
        """Return the devices of a user."""
        return self._by_user.get(user.id, [])

    def apply(self, user: User, device_id: str, attributes: dict[str, str]) -> bool:
        """Create or update a device; return False if the user already has the maximum number of devices."""
        device = self._devices.get((user.id, device_id))
        if device is None:
            if len(self.of(user)) >= MAX_DEVICES:
                return False
            device = Device(user, device_id)
            self._add(device)
        device.attributes.update(attributes)
        device.updates += 1
        return True

    def merge(self, merged: User, retained: User) -> None:
        """Move the devices of one user to another, who keeps their own version of shared ones."""
        for device in self._by_user.pop(merged.id, []):
            del self._devices[merged.id, device.device_id]
            if (retained.id, device.device_id) not in self._devices:
                device.user = retained
                self._add(device)

    def _add(self, device: Device) -> None:
        self._devices[device.user.id, device.device_id] = device
        self._by_user.setdefault(device.user.id, []).append(device)
