"""What the sandbox and the folders hold, against what the source held: every difference is a violation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from faults.rows import Planned
from faults.shared import CHECKPOINT
from faults.state_store import FileStateStore

#: Of a violation that many rows share, so many are named.
NAMED = 5
#: The sandbox remembers so many updates of a user; what had more cannot be judged.
UPDATES_KEPT = 50
UNKNOWN = "unknown"


@dataclass
class Found:
    """
    What was counted in a run, or in several.

    :param rows: rows that had to arrive.
    :param lost: of them, those that did not.
    :param refused: lines in the parts.
    :param repeated: rows that were applied more than once.
    :param users: users in all.
    :param users_repeated: users of whom a row was applied more than once.
    :param twice: events that are there more than once.
    :param copies: what is there of them beyond the first.
    :param most_copies: of one event, the first included.
    :param unknown: what the reports count as ``unknown``.
    """

    rows: int = 0
    lost: int = 0
    refused: int = 0
    repeated: int = 0
    users: int = 0
    users_repeated: int = 0
    twice: int = 0
    copies: int = 0
    most_copies: int = 0
    unknown: int = 0

    def add(self, other: Found) -> None:
        """Add what was counted in another run."""
        for one in fields(self):
            ours, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, max(ours, theirs) if one.name == "most_copies" else ours + theirs)


def users(plan: Planned, stored: Mapping[str, Mapping[str, Any]], found: Found) -> Iterator[str]:
    """
    Give what is wrong with the users: every good row is applied at least once, the rows of a user in their order.

    :param stored: the sandbox's users by customer id.
    """
    good = plan.good()
    yield from _strangers(good, stored)
    for customer, places in good.items():
        user = stored.get(customer, {"history": [], "updates": 0, "attributes": {}})
        applied = [attributes.get("number") for attributes in user["history"]]
        yield from _arrived(customer, places, applied, found)
        if user["updates"] > UPDATES_KEPT:
            yield f"{customer} was updated {user['updates']} times, more than can be judged"
        if user["attributes"].get("number") != places[-1]:
            yield f"{customer} ends as row {user['attributes'].get('number')} left it, not row {places[-1]}"
        found.users += 1
        found.users_repeated += len(applied) > len(places)


def events(
    plan: Planned,
    stored: Iterable[Mapping[str, Any]],
    given_up: frozenset[int],
    most_copies: int | None,
    found: Found,
) -> Iterator[str]:
    """
    Give what is wrong with the events: every good one is there, and no more of them twice than are unknown.

    :param stored: the sandbox's events, in their order.
    :param given_up: the places of rows that were refused because nobody knows whether they arrived.
    :param most_copies: how often one may be there; None: the number of unknown ones is the only bound.
    :param found: ``unknown`` is there already.
    """
    applied: dict[str, list[Any]] = {}
    for event in stored:
        applied.setdefault(event["customer_id"], []).append(event["attributes"].get("number"))
    good = plan.good()
    yield from _strangers(good, applied)
    twice = 0
    for customer, places in good.items():
        there = applied.get(customer, [])
        owed = [place for place in places if place not in given_up or place in there]
        yield from _arrived(customer, owed, there, found)
        copies = Counter(there)
        twice += sum(count > 1 for count in copies.values())
        found.copies += sum(copies.values()) - len(copies)
        most = max(copies.values(), default=0)
        found.most_copies = max(found.most_copies, most)
        if most_copies is not None and most > most_copies:
            yield f"an event of {customer} is there {most} times, {most_copies} are allowed"
    found.twice += twice
    if twice > found.unknown:
        yield f"{twice} events are there more than once, and unknown says {found.unknown}"


def _strangers(good: Mapping[str, Any], stored: Iterable[str]) -> Iterator[str]:
    strangers = sorted(set(stored) - set(good))
    if strangers:
        yield f"{len(strangers)} customers are there who should not be: {_named(strangers)}"


def _arrived(customer: str, places: Sequence[int], applied: Sequence[Any], found: Found) -> Iterator[str]:
    first = list(dict.fromkeys(applied))
    lost = sorted(set(places) - set(first))
    found.rows += len(places)
    found.lost += len(lost)
    found.repeated += sum(count > 1 for count in Counter(applied).values())
    if lost:
        yield f"rows of {customer} are lost: {_named(lost)}"
    elif first != list(places):
        yield f"rows of {customer} arrived as {_named(first)}, not as {_named(places)}"


def rejected(plan: Planned, files: Mapping[str, bytes], found: Found) -> tuple[list[str], frozenset[int]]:
    """
    Give what is wrong with the refused rows, and the places of those that were given up as unknown.

    Each refused row stands there once, with its place, its code and itself.

    :param files: those in the task's own folder that are no stranger's.
    """
    wrong: list[str] = []
    codes: dict[int, str] = {}
    for name, content in files.items():
        if not name.startswith("part-"):
            continue
        if not content.endswith(b"\n"):
            wrong.append(f"{name} has a torn last line")
        for text in content.splitlines():
            found.refused += 1
            try:
                line = json.loads(text)
                place, code, number = line["position"], line["code"], int(line["row"]["number"])
            except (ValueError, KeyError, TypeError):
                wrong.append(f"{name} has a line that is torn: {text[:80]!r}")
                continue
            if place in codes:
                wrong.append(f"row {place} is refused twice: {codes[place]}, and in {name} {code}")
            if number != place:
                wrong.append(f"row {number} is refused as row {place}")
            codes[place] = code
    given_up = frozenset(place for place, code in codes.items() if code == UNKNOWN)
    for place, code in plan.refused.items():
        if place not in given_up and codes.get(place) != code:
            wrong.append(f"row {place} should be refused as {code}, and is as {codes.get(place)}")
    good = sorted(set(codes) - set(plan.refused) - given_up)
    if good:
        wrong.append(f"good rows are refused: {_named(good)} as {_named({codes[place] for place in good})}")
    return wrong, given_up


def counts(plan: Planned, report: Mapping[str, Any], refused: int) -> Iterator[str]:
    """
    Give what is wrong with the counts of a run that succeeded.

    :param refused: the lines in the parts.
    """
    rows = len(plan.rows)
    expected = {"read": rows, "accepted": rows - refused, "rejected": refused, "unsent": 0}
    for name, count in expected.items():
        if report[name] != count:
            yield f"{name} is {report[name]}, not {count}"
    if sum(report["reasons"].values()) != refused:
        yield f"the reasons add up to {sum(report['reasons'].values())}, not {refused}"
    if report["source_exhausted"] is not True:
        yield "the source counts as not exhausted"


def remains(state_file: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    """
    Give what a run left behind that succeeded.

    :param files: those in the task's own folder that are no stranger's.
    """
    # Of events the report stays, so that a try after the end does not send them anew.
    kept = [name for name, value in FileStateStore(state_file).values().items() if "finished" not in value]
    if kept:
        yield f"the state of the task still holds {', '.join(kept)}"
    left = [
        name
        for name, content in files.items()
        if not name.startswith("part-") and not (name == CHECKPOINT and "finished" in json.loads(content))
    ]
    if left:
        yield f"in the task's folder there still is {_named(sorted(left))}"


def _named(items: Iterable[object]) -> str:
    listed = list(items)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(map(str, listed[:NAMED])) + more
