"""The runs of a campaign: each combination of what may matter, in turn, and the rest drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from random import Random

SOURCES = ("list", "sql", "file")
KINDS = ("users", "events")
FORMATS = ("ndjson", "ndjson.gz", "csv", "csv.gz")
#: Kills that a run gets before it is let through.
MOST_KILLS, FEWEST_KILLS = 8, 4


@dataclass(frozen=True)
class Scenario:
    """
    One run.

    :param number: its place in the campaign, from 0.
    :param seed: what everything random about it is drawn from.
    :param source: where the rows come from: ``list``, ``sql`` (staged) or ``file``.
    :param kind: ``users`` or ``events``.
    :param bulk: many rows a call.
    :param state_store: whether Airflow keeps the checkpoint; else it lies beside the staged rows.
    :param on_unknown: as the operator for events takes it.
    :param deferrable: whether the task gives its slot back while it waits.
    :param format: of the file.
    :param rows: how many.
    :param kills: how many it gets at most.
    """

    number: int
    seed: str
    source: str
    kind: str
    bulk: bool
    state_store: bool
    on_unknown: str
    deferrable: bool
    format: str
    rows: int
    kills: int

    def __str__(self) -> str:
        words = [
            self.source if self.source != "file" else self.format,
            self.kind,
            "bulk" if self.bulk else "single",
            "state store" if self.state_store else "checkpoint.json",
            *(["on_unknown=reject"] if self.on_unknown == "reject" else []),
            *(["deferrable"] if self.deferrable else []),
        ]
        return f"run {self.number} ({', '.join(words)})"


def scenarios(seed: int, rows: int) -> Iterator[Scenario]:
    """
    Give the runs of a campaign, without end.

    :param seed: the same one gives the same runs.
    :param rows: how many rows each has.
    """
    combinations = list(product((True, False), (False, True), KINDS, SOURCES))
    for number in count():
        chance = Random(f"{seed}/{number}")
        state_store, bulk, kind, source = combinations[number % len(combinations)]
        # The second half of the combinations changes places in every round, so that a short campaign has both.
        yield Scenario(
            number=number,
            seed=f"{seed}/{number}",
            source=source,
            kind=kind,
            bulk=bulk,
            state_store=state_store == (number % 2 == 0),
            on_unknown="reject" if kind == "events" and chance.random() < 0.3 else "resend",
            deferrable=chance.random() < 0.25,
            format=chance.choice(FORMATS),
            rows=rows,
            kills=chance.randint(FEWEST_KILLS, MOST_KILLS),
        )
