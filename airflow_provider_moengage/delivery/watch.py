"""What a run should say once about its records, though nothing is wrong with any of them."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict

from airflow_provider_moengage.api.names import CREATE_ONLY_NAMES
from airflow_provider_moengage.api.records import User
from airflow_provider_moengage.api.values import is_documented_date

log = logging.getLogger(__name__)

#: Rows of one user, among the latest ids, from which a run warns: MoEngage silently blocks a user who is
#: updated 5,000 times a minute or 10,000 times in five. Source: docs, fair use.
MANY_ROWS_OF_A_USER = 1_000
#: Ids remembered: the memory of a run must not grow with its rows.
LATEST_USERS = 10_000


class Watch:
    """Looks at the records of one run and warns, once a run and kind."""

    def __init__(self) -> None:
        self._latest: Counter[str] = Counter()
        self._warned_of_many = False
        self._warned_of_create_only = False
        self._types: defaultdict[str, set[str]] = defaultdict(set)

    def look_at(self, record: User, user: str) -> None:
        """Look at a record of a user that is about to be sent."""
        if not self._warned_of_create_only and not CREATE_ONLY_NAMES.isdisjoint(record.attributes):
            self._warned_of_create_only = True
            log.warning(
                "Attributes %s are taken when MoEngage creates a user; updates will not change them",
                ", ".join(sorted(CREATE_ONLY_NAMES & record.attributes.keys())),
            )
        if self._warned_of_many:
            return
        if len(self._latest) >= LATEST_USERS:
            self._latest.clear()
        self._latest[user] += 1
        if self._latest[user] >= MANY_ROWS_OF_A_USER:
            self._warned_of_many = True
            self._latest.clear()
            log.warning(
                "One user has %d rows and more; MoEngage silently blocks a user who is updated too often, so send "
                "each user's last state and not every change",
                MANY_ROWS_OF_A_USER,
            )

    def learn_types(self, record: User) -> None:
        """Remember what the attributes of a record are, for :meth:`close`."""
        for name, value in record.attributes.items():
            self._types[name].add(_type_of(value))
        for rule in record.unset_attributes:
            self._types[rule.attr].add("unset")

    def close(self) -> None:
        """Log the attributes and types that were learned."""
        for name, types in sorted(self._types.items()):
            log.info("Attribute %s: %s", name, ", ".join(sorted(types)))


def _type_of(value: object) -> str:
    if isinstance(value, str):
        return "datetime" if is_documented_date(value) else "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"
