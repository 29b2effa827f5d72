"""The users of the workspace, in memory."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_moengage.sandbox import names
from airflow_provider_moengage.sandbox.customers import Customer
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sandbox.values import DROPPED, bent, kept, max_elements, type_of

NAME_CHARACTERS = 200
HISTORY_KEPT = 50

#: Called with an attribute's name and what happened to it.
Note = Callable[[str, str], None]


@dataclass(frozen=True)
class UnsetRule:
    """A rule of ``unset_attributes``."""

    type: str
    attr: str
    case_sensitive: bool = True

    def matches(self, name: str) -> bool:
        """Whether the rule unsets an attribute."""
        attr = self.attr
        if not self.case_sensitive:
            name, attr = name.casefold(), attr.casefold()
        if self.type == "prefix":
            return name.startswith(attr)
        if self.type == "suffix":
            return name.endswith(attr)
        return attr in name if self.type == "contains" else name == attr


@dataclass(frozen=True)
class Update:
    """A checked update of one user."""

    customer: Customer
    attributes: dict[str, Any] = field(default_factory=dict)
    add: dict[str, list[Any]] = field(default_factory=dict)
    remove: dict[str, list[Any]] = field(default_factory=dict)
    unset: tuple[UnsetRule, ...] = ()
    update_existing_only: bool = False
    #: ``attributes`` as they were sent, for the history.
    sent: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """A user at one time."""

    id: str
    customer_id: str | None
    attributes: dict[str, Any]


@dataclass(slots=True)
class User:
    """A stored user."""

    #: None if the user is known by other identifiers only.
    customer_id: str | None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    attributes: dict[str, Any] = field(default_factory=dict)
    updates: int = 0
    #: The ``attributes`` of the last updates as they were sent, in the order in which they were stored.
    history: list[dict[str, Any]] = field(default_factory=list)
    #: MoEngage deletes a day later; until then the user still exists.
    deletion_requested: bool = False
    #: The updates that Get User does not show yet, in order: when it does (monotonic seconds), and the profile before
    #: the update, None if the update created the user.
    pending: list[tuple[float, Profile | None]] = field(default_factory=list)

    def profile(self) -> Profile:
        """Return the user as it is now."""
        return Profile(self.id, self.customer_id, dict(self.attributes))

    def shown(self) -> Profile | None:
        """Return the user as Get User shows it; None: not yet."""
        while self.pending and self.pending[0][0] <= time.monotonic():
            del self.pending[0]
        return self.pending[0][1] if self.pending else self.profile()

    def as_json(self) -> dict[str, Any]:
        """Return the user as a JSON object."""
        return {
            "customer_id": self.customer_id,
            "id": self.id,
            "attributes": self.attributes,
            "types": {name: type_of(value) for name, value in self.attributes.items()},
            "updates": self.updates,
            "history": self.history,
            "deletion_requested": self.deletion_requested,
        }


class Users:
    """The users by customer id, MoEngage id and identifier, and the names of all custom attributes."""

    def __init__(self) -> None:
        self.updates = 0
        self._by_customer_id: dict[str, User] = {}
        self._by_id: dict[str, User] = {}
        #: By name and value; an entry is stale if the user has another value by now.
        self._by_identifier: dict[tuple[str, str], User] = {}
        self._custom_names: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, customer_id: str) -> User | None:
        """Return the user with a customer id."""
        return self._by_customer_id.get(customer_id)

    def find_id(self, id_: str) -> User | None:
        """Return the user with a MoEngage id."""
        return self._by_id.get(id_)

    def having(self, name: str, value: str) -> list[User]:
        """Return the users whose attribute ``name`` has this value."""
        return [user for user in self._by_id.values() if user.attributes.get(name) == value]

    def page(self, offset: int, limit: int) -> Iterator[User]:
        """Return a page of the users in the order of their creation."""
        return islice(self._by_id.values(), offset, offset + limit)

    def of(self, customer: Customer) -> User | None:
        """Return the user that an object identifies: by customer id, else by the first known identifier."""
        user = self._by_customer_id.get(customer.customer_id or "")
        if user is not None:
            return user
        for name, value in customer.identifiers.items():
            user = self._identified(name, value)
            # Different customer ids are different users, whatever identifiers they share.
            if user is not None and (customer.customer_id is None or user.customer_id is None):
                return user
        return None

    def of_or_new(self, customer: Customer) -> User:
        """Return the user that an object identifies; create it if there is none."""
        user = self.of(customer)
        if user is None:
            user = User(None)
            self._by_id[user.id] = user
            for name, value in customer.identifiers.items():
                if self._identify(user, name, value):
                    user.attributes[name] = value
        if user.customer_id is None and customer.customer_id is not None:
            user.customer_id = customer.customer_id
            self._by_customer_id[user.customer_id] = user
        return user

    def identify_by(self, identifiers: Collection[str]) -> None:
        """Index the existing users by these identifiers from now on."""
        self._by_identifier.clear()
        for user in self._by_id.values():
            for name in identifiers:
                value = user.attributes.get(name)
                if isinstance(value, str):
                    self._identify(user, name, value)

    def merge(self, merged: User, retained: User) -> None:
        """Move the attributes of one user to another, overwriting its own, and remove the first."""
        retained.attributes.update(merged.attributes)
        del self._by_id[merged.id]
        del self._by_customer_id[merged.customer_id or ""]

    def apply(self, update: Update, settings: Settings, note: Note) -> None:
        """
        Store an update: set, then remove and add array values, then unset.

        :param update: what to change; other attributes stay unchanged.
        :param note: called for everything that is not stored as it was sent.
        """
        if update.update_existing_only and self.of(update.customer) is None:
            return
        delay = settings.ingest_delay_seconds
        known = self.of(update.customer) if delay else None
        before = None if known is None else known.profile()
        user = self.of_or_new(update.customer)
        if delay:
            user.pending.append((time.monotonic() + delay, before))
        for name, value in update.attributes.items():
            self._set(user, name, value, settings, note)
        for name, values in update.remove.items():
            self._remove(user, name, values)
        for name, values in update.add.items():
            self._set_values(user, name, values, settings, note)
        if update.unset:
            for name in [
                name for name in user.attributes if any(rule.matches(name) for rule in update.unset)
            ]:
                del user.attributes[name]
        user.updates += 1
        user.history.append(update.sent)
        # A list, not a deque: tens of thousands of users have only one update, and a list is smaller.
        del user.history[:-HISTORY_KEPT]
        self.updates += 1

    def _set(self, user: User, name: str, value: Any, settings: Settings, note: Note) -> None:
        reason = names.unwritable(name)
        if reason is not None:
            note(name, reason)
            return
        if len(name) > NAME_CHARACTERS:
            note(name, f"the name was cut to {NAME_CHARACTERS} characters")
            name = name[:NAME_CHARACTERS]
        value = kept(name, value, objects=settings.object_attributes, note=lambda what: note(name, what))
        if value is DROPPED:
            return
        if value == [] and isinstance(value, list):
            user.attributes.pop(name, None)
            return
        if name in settings.bend:
            note(name, "stored altered: the setting bend names the attribute")
            value = bent(value)
            if value is DROPPED:
                return
        if name in names.CREATE_ONLY and user.attributes.get(name, value) != value:
            note(name, "dropped: the attribute is never updated once it is there")
            return
        if name not in self._custom_names and name not in names.STANDARD:
            if len(self._custom_names) >= settings.max_user_attributes:
                note(
                    name, f"dropped: the workspace has {settings.max_user_attributes} user attributes already"
                )
                return
            self._custom_names.add(name)
        if name in settings.identifiers and not (
            isinstance(value, str) and self._identify(user, name, value)
        ):
            note(name, "dropped: an identifier is a string, and of one user only")
            return
        user.attributes[name] = value

    def _identified(self, name: str, value: str) -> User | None:
        user = self._by_identifier.get((name, value))
        return user if user is not None and user.attributes.get(name) == value else None

    def _identify(self, user: User, name: str, value: str) -> bool:
        """Index a user by an identifier; return False if it belongs to another user."""
        owner = self._identified(name, value)
        if owner is not None and owner is not user:
            return False
        self._by_identifier[name, value] = user
        return True

    def _set_values(self, user: User, name: str, values: list[Any], settings: Settings, note: Note) -> None:
        stored = user.attributes.get(name, [])
        if not isinstance(stored, list):
            note(name, "values not added: the attribute is no array")
            return
        maximum = max_elements([*stored, *values])
        if len(stored) + len(values) > maximum:
            note(name, f"cut to {maximum} elements")
            values = values[: maximum - len(stored)]
        if values:
            self._set(user, name, [*stored, *values], settings, note)

    @staticmethod
    def _remove(user: User, name: str, values: list[Any]) -> None:
        stored = user.attributes.get(name)
        if not isinstance(stored, list):
            return
        left = [item for item in stored if not any(type_of(item) == type_of(v) and item == v for v in values)]
        if left:
            user.attributes[name] = left
        else:
            del user.attributes[name]
