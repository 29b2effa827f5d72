"""The runs of a campaign: each combination of what may matter, in turn, and the rest drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from random import Random

SOURCES = ("list", "sql", "file")
KINDS = ("users", "events")
FORMATS = ("ndjson", "ndjson.gz", "csv", "csv.gz")
PLACES = ("local", "s3")
#: Kills that a run gets before it is let through.
MOST_KILLS, FEWEST_KILLS = 5, 3
#: Runs of a DAG that are executed at once, and the shards that each has where the task is mapped.
RUNS, SHARDS = 2, 2
MAPPED_SHARE = 0.4
TASK_ID = "push"


@dataclass(frozen=True)
class Scenario:
    """
    One run of a task.

    :param number: the DAG's place in the campaign, from 0; its runs are executed at once.
    :param run: which run of the DAG it is, from 0.
    :param map_index: which shard of the run; -1: the task is not mapped.
    :param place: where the folder is that all runs share: ``local`` or ``s3``.
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
    run: int
    map_index: int
    place: str
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

    @property
    def dag_id(self) -> str:
        """The DAG's id, which its runs share."""
        return f"campaign_{self.number}"

    @property
    def run_id(self) -> str:
        """The run's id, which its shards share."""
        return f"manual__2026-01-{1 + self.run:02d}T00:00:00+00:00"

    @property
    def own_folder(self) -> str:
        """The task instance's own folder, as documented: a name in the shared one."""
        steps = [self.dag_id, self.run_id, TASK_ID, *([str(self.map_index)] if self.map_index >= 0 else [])]
        return "/".join(steps)

    def __str__(self) -> str:
        words = [
            self.source if self.source != "file" else self.format,
            self.kind,
            "bulk" if self.bulk else "single",
            "state store" if self.state_store else "checkpoint.json",
            "S3" if self.place == "s3" else "local disk",
            *(["on_unknown=reject"] if self.on_unknown == "reject" else []),
            *(["deferrable"] if self.deferrable else []),
        ]
        shard = f", shard {self.map_index}" if self.map_index >= 0 else ""
        return f"DAG {self.number}, run {self.run}{shard} ({', '.join(words)})"


def dags(seed: int, rows: int) -> Iterator[tuple[Scenario, ...]]:
    """
    Return the runs of a campaign, without end: together those of a DAG, which are executed at once.

    :param seed: the same one gives the same runs.
    :param rows: how many rows each run of a DAG has.
    """
    combinations = list(product((0, 1), KINDS, range(len(SOURCES))))
    for number in count():
        chance = Random(f"{seed}/{number}")
        bulk, kind, source = combinations[number % len(combinations)]
        # What is kept where changes places in every round, so that two rounds have both and four have each with each.
        turn = number // len(combinations)
        shards = SHARDS if chance.random() < MAPPED_SHARE else 0
        first = Scenario(
            number=number,
            run=0,
            map_index=-1,
            place=PLACES[(bulk + source + turn + turn // 2) % len(PLACES)],
            seed=f"{seed}/{number}",
            source=SOURCES[source],
            kind=kind,
            bulk=bool(bulk),
            state_store=(number + turn) % 2 == 0,
            on_unknown="reject" if kind == "events" and chance.random() < 0.3 else "resend",
            deferrable=chance.random() < 0.25,
            format=chance.choice(FORMATS),
            rows=rows // max(1, shards),
            kills=0,
        )
        yield tuple(
            replace(
                first,
                run=run,
                map_index=map_index,
                seed=f"{first.seed}/{run}/{map_index}",
                kills=chance.randint(FEWEST_KILLS, MOST_KILLS),
            )
            for run in range(RUNS)
            for map_index in (range(shards) if shards else (-1,))
        )
