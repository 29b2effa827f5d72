"""The cohorts of the workspace, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_moengage.sandbox.store import User


@dataclass(slots=True)
class Cohort:
    """A stored cohort."""

    cohort_id: str
    cohort_name: str
    cohort_description: str | None
    partner: str
    #: The members by MoEngage id, in the order in which they were added.
    members: dict[str, User] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the cohort as a JSON object."""
        return {
            "cohort_id": self.cohort_id,
            "cohort_name": self.cohort_name,
            "cohort_description": self.cohort_description,
            "partner": self.partner,
            "members": [user.customer_id for user in self.members.values()],
        }


class Cohorts:
    """The cohorts by cohort id."""

    def __init__(self) -> None:
        self._cohorts: dict[str, Cohort] = {}

    def __len__(self) -> int:
        return len(self._cohorts)

    def find(self, cohort_id: str) -> Cohort | None:
        """Return the cohort with an id."""
        return self._cohorts.get(cohort_id)

    def page(self, offset: int, limit: int) -> Iterator[Cohort]:
        """Return a page of the cohorts in the order of their creation."""
        return islice(self._cohorts.values(), offset, offset + limit)

    def add(self, cohort: Cohort) -> None:
        """Add a cohort, under its id."""
        self._cohorts[cohort.cohort_id] = cohort

    def merge(self, merged: User, retained: User) -> None:
        """Replace one user by another as a member."""
        for cohort in self._cohorts.values():
            if cohort.members.pop(merged.id, None) is not None:
                cohort.members[retained.id] = retained
