"""Compares the sandbox and the folders with the source; every difference is a violation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from airflow_provider_moengage.delivery.account.live_progress import PROGRESS_KEY
from faults.rows import Planned
from faults.shared import CHECKPOINT
from faults.state_store import FileStateStore

#: The number of rows that a violation names.
NAMED = 5
#: The sandbox keeps this many updates of a user; a user with more cannot be verified.
UPDATES_KEPT = 50
UNKNOWN = "unknown"


@dataclass
class Found:
    """
    The counts of one or several runs.

    :param rows: rows that had to arrive.
    :param lost: rows that did not arrive.
    :param rejected: lines in the files of rejected rows.
    :param repeated: rows that were applied more than once.
    :param users: all users.
    :param users_repeated: users with a row that was applied more than once.
    :param twice: events that are duplicated.
    :param copies: surplus copies of these events.
    :param most_copies: maximum copies of one event, the first included.
    :param unknown: ``unknown`` of the reports.
    """

    rows: int = 0
    lost: int = 0
    rejected: int = 0
    repeated: int = 0
    users: int = 0
    users_repeated: int = 0
    twice: int = 0
    copies: int = 0
    most_copies: int = 0
    unknown: int = 0

    def add(self, other: Found) -> None:
        """Add the counts of another run."""
        for one in fields(self):
            ours, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, max(ours, theirs) if one.name == "most_copies" else ours + theirs)


def users(plan: Planned, stored: Mapping[str, Mapping[str, Any]], found: Found) -> Iterator[str]:
    """
    Yield the violations of the users: every good row is applied at least once, and the rows of a user in order.

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
    Yield the violations of the events: every good one is stored, and no more are duplicated than are unknown.

    :param stored: the sandbox's events, in order.
    :param given_up: the positions of rows that were rejected as unknown, which may or may not have arrived.
    :param most_copies: maximum copies of an event; None: only the number of unknown events is a limit.
    :param found: the counts, with ``unknown`` already set.
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
            yield f"an event of {customer} is stored {most} times, {most_copies} are allowed"
    found.twice += twice
    if twice > found.unknown:
        yield f"{twice} events are duplicated, but unknown is {found.unknown}"


def _strangers(good: Mapping[str, Any], stored: Iterable[str]) -> Iterator[str]:
    strangers = sorted(set(stored) - set(good))
    if strangers:
        yield f"{len(strangers)} unexpected customers are stored: {_named(strangers)}"


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
    Return the violations of the rejected rows, and the positions of those that were rejected as unknown.

    Each rejected row is stored once, with its position, its code and its content.

    :param files: those in the task's folder that are not foreign.
    """
    wrong: list[str] = []
    codes: dict[int, str] = {}
    for name, content in files.items():
        if not name.startswith("part-"):
            continue
        if not content.endswith(b"\n"):
            wrong.append(f"{name} has a torn last line")
        for text in content.splitlines():
            found.rejected += 1
            try:
                line = json.loads(text)
                place, code, number = line["position"], line["code"], int(line["row"]["number"])
            except (ValueError, KeyError, TypeError):
                wrong.append(f"{name} has a line that is torn: {text[:80]!r}")
                continue
            if place in codes:
                wrong.append(f"row {place} is rejected twice: {codes[place]}, and in {name} {code}")
            if number != place:
                wrong.append(f"row {number} is rejected as row {place}")
            codes[place] = code
    given_up = frozenset(place for place, code in codes.items() if code == UNKNOWN)
    for place, code in plan.rejected.items():
        if place not in given_up and codes.get(place) != code:
            wrong.append(f"row {place} should be rejected as {code}, but is as {codes.get(place)}")
    good = sorted(set(codes) - set(plan.rejected) - given_up)
    if good:
        wrong.append(f"good rows are rejected: {_named(good)} as {_named({codes[place] for place in good})}")
    return wrong, given_up


def counts(plan: Planned, report: Mapping[str, Any], rejected: int) -> Iterator[str]:
    """
    Yield the violations of the counts of a run that succeeded.

    :param rejected: the lines in the files of rejected rows.
    """
    rows = len(plan.rows)
    expected = {"read": rows, "accepted": rows - rejected, "rejected": rejected, "unsent": 0}
    for name, count in expected.items():
        if report[name] != count:
            yield f"{name} is {report[name]}, not {count}"
    if sum(report["reasons"].values()) != rejected:
        yield f"the reasons add up to {sum(report['reasons'].values())}, not {rejected}"
    if report["source_exhausted"] is not True:
        yield "the source counts as not exhausted"


def remains(state_file: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    """
    Yield descriptions of what a run that succeeded left behind.

    :param files: those in the task's folder that are not foreign.
    """
    # The report of events stays, so that a later try does not send them again; the progress says how the task ended.
    values = FileStateStore(state_file).values()
    kept = [name for name, value in values.items() if name != PROGRESS_KEY and "finished" not in value]
    if kept:
        yield f"the state of the task still contains {', '.join(kept)}"
    left = [
        name
        for name, content in files.items()
        if not name.startswith("part-") and not (name == CHECKPOINT and "finished" in json.loads(content))
    ]
    if left:
        yield f"the task's folder still contains {_named(sorted(left))}"


def _named(items: Iterable[object]) -> str:
    listed = list(items)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(map(str, listed[:NAMED])) + more
