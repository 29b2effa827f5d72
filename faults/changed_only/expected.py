"""What MoEngage may have of each user after any runs, and must have after one that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faults.changed_only.rows import values_of
from faults.rows import Planned
from faults.verify import Found


class Expected:
    """The values that MoEngage may have of each user; None among them: the user may be missing."""

    def __init__(self) -> None:
        self._possible: dict[str, set[str | None]] = {}

    def may(self, plan: Planned) -> None:
        """Some of the rows of a run may have arrived."""
        for customer, values in values_of(plan).items():
            self._possible.setdefault(customer, {None}).update(values)

    def must(self, plan: Planned) -> None:
        """All rows of a run have arrived, after those of every other run: the last row of each user counts."""
        self._possible.update({customer: {values[-1]} for customer, values in values_of(plan).items()})

    def violations(
        self, stored: Mapping[str, Mapping[str, Any]], plan: Planned, found: Found
    ) -> Iterator[str]:
        """
        Yield the users of whom MoEngage has something else.

        :param stored: the sandbox's users by customer id.
        :param plan: the rows of the last run; the others must be as they were.
        """
        strangers = sorted(set(stored) - set(self._possible))
        if strangers:
            yield f"{len(strangers)} unexpected customers are stored: {', '.join(strangers[:5])}"
        good = values_of(plan)
        found.rows += sum(map(len, good.values()))
        for customer, possible in self._possible.items():
            user = stored.get(customer)
            value = None if user is None else user["attributes"].get("plan")
            if value not in possible:
                found.lost += 1
                who = "" if customer in good else ", who has left the source,"
                yield f"{customer}{who} has {value}, not {' or '.join(sorted(map(str, possible)))}"
