"""The users of a run that follows others: some as before, some changed, some changed back, some new and some gone."""

from __future__ import annotations

from random import Random
from typing import Any

from faults.changed_only.plots import STATES
from faults.rows import BLOCKED, CODE_THERE, Planned, planned
from faults.scenarios import Data, Scenario

#: The rows that the operator rejects in every run, and those that MoEngage rejects.
REJECTED_HERE, REJECTED_THERE = 2, 4
#: The share of users who change, who are absent in one of the states, and who have two rows that differ.
CHANGING, ABSENT, TWICE = 0.25, 0.1, 0.1


def rows_of(scenario: Scenario) -> Planned:
    """Return the rows of a run, always the same for a scenario."""
    return planned(scenario) if scenario.data is None else _changed(scenario.rows, scenario.data)


def _changed(users: int, data: Data) -> Planned:
    chance = Random(f"{data.seed}/users")
    owners: list[tuple[str, str]] = []
    for number in range(users):
        kind, absent_in = chance.random(), chance.choice(STATES)
        value = data.state if kind < CHANGING + ABSENT + TWICE else "same"
        if CHANGING <= kind < CHANGING + ABSENT and data.state == absent_in:
            continue
        owners.append((f"user-{number}", value))
        if CHANGING + ABSENT <= kind < CHANGING + ABSENT + TWICE:
            owners.append((f"user-{number}", value))
    owners += [(BLOCKED, "same")] * REJECTED_HERE
    there = [f"rejected-{number}" for number in range(REJECTED_THERE)]
    owners += [(customer, data.state) for customer in there]
    order = Random(f"{data.seed}/{data.state}/order")
    order.shuffle(owners)
    rejected: dict[int, str] = {}
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    twice = {customer for customer, _ in owners if customer in seen or seen.add(customer)}
    seen.clear()
    for place, (customer, value) in enumerate(owners):
        if customer == BLOCKED:
            rejected[place] = "blocked_customer_id"
        elif customer in there:
            rejected[place] = CODE_THERE
        elif customer in twice and customer not in seen:
            # What MoEngage may have already, and the last row overrides.
            value = order.choice([state for state in STATES if state != value])
        seen.add(customer)
        rows.append({"customer_id": customer, "number": place, "plan": value})
    return Planned(rows, rejected, tuple(there))


def values_of(plan: Planned) -> dict[str, list[str]]:
    """Return the values of each user in the rows that must arrive, in order."""
    return {
        customer: [plan.rows[place]["plan"] for place in places] for customer, places in plan.good().items()
    }


def sent_again(plan: Planned) -> int:
    """Return how many rows a run sends although MoEngage has what they say: those of users whose rows differ."""
    return sum(len(values) - _unchanged_at_first(values) for values in values_of(plan).values())


def _unchanged_at_first(values: list[str]) -> int:
    count = 0
    while count < len(values) and values[count] == values[-1]:
        count += 1
    return count
