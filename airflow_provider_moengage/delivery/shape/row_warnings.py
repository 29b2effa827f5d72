"""Warnings logged at most once a run about records that are valid but suspicious."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_provider_moengage.delivery.report import Dropped
from airflow_provider_moengage.records.dates import is_documented_date
from airflow_provider_moengage.records.names import CREATE_ONLY_NAMES
from airflow_provider_moengage.records.users import UnsetRule

log = logging.getLogger(__name__)

#: Rows of one user, among the latest ids, that cause a warning: MoEngage silently blocks a user who is
#: updated 5,000 times a minute or 10,000 times in five. Source: docs, fair use.
MANY_ROWS_OF_A_USER = 1_000
#: Attributes that a workspace holds. Source: docs, limits.
MAX_USER_ATTRIBUTES = 256
#: Maximum number of ids remembered: the memory of a run must not grow with its rows.
LATEST_USERS = 10_000


class RowWarnings:
    """
    Inspects the users of one run and logs each kind of warning at most once.

    :param learn_types: collect the types of the attributes, for :meth:`close`.
    """

    def __init__(self, *, learn_types: bool = False) -> None:
        self.learns_types = learn_types
        #: Attributes dropped from the current row.
        self.dropped: list[Dropped] = []
        self._latest: dict[str, int] = {}
        self._warned_of_many = False
        self._warned_of_create_only = False
        self._warned_of_attributes = False
        self._ids_stripped = 0
        self._types: defaultdict[str, set[str]] = defaultdict(set)

    def strip_id(self) -> None:
        """Count an id that had blanks at its ends."""
        self._ids_stripped += 1

    def look_at(
        self,
        user: str,
        attributes: Mapping[str, Any],
        unset: Sequence[UnsetRule] = (),
        special: Sequence[str] = (),
    ) -> None:
        """
        Inspect the attributes about to be sent of a user.

        :param special: names of attributes that may have rules of their own, some of which may not be sent.
        """
        if self.learns_types:
            for name, value in attributes.items():
                self._types[name].add(_type_of(value))
            for rule in unset:
                self._types[rule.attr].add("unset")
        if special and not self._warned_of_create_only:
            self._warn_of_create_only(CREATE_ONLY_NAMES & attributes.keys())
        if len(attributes) > MAX_USER_ATTRIBUTES and not self._warned_of_attributes:
            self._warned_of_attributes = True
            log.warning(
                "A row has more than %d attributes; a workspace holds %d user attributes, and MoEngage silently drops "
                "those beyond",
                MAX_USER_ATTRIBUTES,
                MAX_USER_ATTRIBUTES,
            )
        latest = self._latest
        if user in latest:
            latest[user] = rows = latest[user] + 1
            if rows >= MANY_ROWS_OF_A_USER:
                self._warn_of_many()
        else:
            if len(latest) >= LATEST_USERS:
                latest.clear()
            latest[user] = 1

    def _warn_of_create_only(self, names: Collection[str]) -> None:
        if names:
            self._warned_of_create_only = True
            log.warning(
                "Attributes %s are only set when MoEngage creates a user; updates do not change them",
                ", ".join(sorted(names)),
            )

    def _warn_of_many(self) -> None:
        if not self._warned_of_many:
            self._warned_of_many = True
            self._latest.clear()
            log.warning(
                "One user has %d rows and more; MoEngage silently blocks a user who is updated too often, so send "
                "each user's last state and not every change",
                MANY_ROWS_OF_A_USER,
            )

    def close(self) -> None:
        """Log how many ids had blanks at their ends, and the collected types."""
        if self._ids_stripped:
            log.warning(
                "Ids with blanks at their ends, such as the spaces of a char(n) column: %d; they are sent without them",
                self._ids_stripped,
            )
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
