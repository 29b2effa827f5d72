"""Compares the users that MoEngage has with a sample of those that were sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from airflow_provider_moengage.delivery.changes.sample import SampledUser, fingerprint
from airflow_provider_moengage.records.read_back import names_read, value_read


class Arrival(TypedDict):
    """
    How much of a sample MoEngage has, as JSON: sampled = equal + missing + different.

    :param sampled: users of the sample.
    :param equal: users that MoEngage has as they were sent.
    :param missing: users that MoEngage does not know.
    :param different: users of which at least one attribute has another value, or none.
    :param attributes: attribute → users of which it differs, the most common first.
    """

    sampled: int
    equal: int
    missing: int
    different: int
    attributes: dict[str, int]


class ArrivalCheck:
    """
    Receives the users that are read back, and keeps none of them.

    :param users: those of the sample.
    """

    def __init__(self, users: Sequence[SampledUser]) -> None:
        self._users = {user.id: user for user in users}
        self._differing: dict[str, list[str]] = {}

    @property
    def fields(self) -> list[str]:
        """The attributes to read."""
        sent = {name for user in self._users.values() for name in user.attributes}
        return ["customer_id", *sorted({known for name in sent for known in names_read(name)})]

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Compare some users by their attributes."""
        for attributes in users:
            user = self._users.get(str(attributes.get("customer_id")))
            if user is not None:
                self._differing[user.id] = _differing(user, attributes)

    def finish(self) -> None:
        """Do nothing: every user is compared when it is received."""

    def discard(self) -> None:
        """Discard what was compared."""
        self._differing.clear()

    def result(self) -> Arrival:
        """Return the counts."""
        counts = Counter(name for names in self._differing.values() for name in names)
        different = sum(map(bool, self._differing.values()))
        return {
            "sampled": len(self._users),
            "equal": len(self._differing) - different,
            "missing": len(self._users) - len(self._differing),
            "different": different,
            "attributes": dict(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))),
        }


def _differing(user: SampledUser, attributes: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, sent in user.attributes.items()
        if fingerprint(user.id, name, value_read(attributes, name)) != sent
    ]
