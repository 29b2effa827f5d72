"""The runs of a campaign: the combinations of the main parameters in turn, the others drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from random import Random

SOURCES = ("list", "sql", "file")
KINDS = ("users", "events")
CHANGED = "changed users"
FORMATS = ("ndjson", "ndjson.gz", "csv", "csv.gz")
PLACES = ("local", "s3")
#: Maximum and minimum kills of a run.
MAX_KILLS, MIN_KILLS = 5, 3
#: Runs of a DAG that are executed at once, and the shards of each if the task is mapped.
RUNS, SHARDS = 2, 2
MAPPED_SHARE = 0.4
TASK_ID = "push"


@dataclass(frozen=True)
class Data:
    """
    The rows of a run of users that follows others.

    :param seed: the same for all of these runs.
    :param state: which of their values the users have.
    """

    seed: str
    state: str


@dataclass(frozen=True)
class Scenario:
    """
    One run of a task.

    :param number: the DAG's number in the campaign, from 0; its runs are executed at once.
    :param run: the number of the run of the DAG, from 0.
    :param map_index: the shard of the run; -1: the task is not mapped.
    :param place: the storage of the folder that all runs share: ``local`` or ``s3``.
    :param seed: the random seed of the run.
    :param source: the source of the rows: ``list``, ``sql`` (staged) or ``file``.
    :param kind: ``users`` or ``events``.
    :param bulk: whether requests have many rows.
    :param state_store: whether Airflow stores the checkpoint; otherwise it is next to the staged rows.
    :param on_unknown: the parameter of the events operator.
    :param deferrable: whether the task defers while it waits.
    :param format: the format of the file.
    :param rows: the number of rows.
    :param kills: the maximum number of kills.
    :param plot: what happens to the snapshot, if only changed users are sent; see :mod:`faults.changed_only.plots`.
    :param data: the users, if only changed ones are sent; None: all are sent.
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
    plot: str = ""
    data: Data | None = None

    @property
    def of(self) -> str:
        """What is sent, for the table."""
        return self.kind if self.data is None else CHANGED

    @property
    def dag_id(self) -> str:
        """The DAG's id, the same for all its runs."""
        return f"{'campaign' if self.data is None else 'changed'}_{self.number}"

    @property
    def run_id(self) -> str:
        """The run's id, the same for all its shards."""
        return f"manual__2026-01-{1 + self.run:02d}T00:00:00+00:00"

    @property
    def own_folder(self) -> str:
        """The task instance's folder, relative to the shared folder, as documented."""
        steps = [self.dag_id, self.run_id, TASK_ID, *([str(self.map_index)] if self.map_index >= 0 else [])]
        return "/".join(steps)

    @property
    def snapshot_folder(self) -> str:
        """The folder of the snapshot that the runs of the DAG share, relative to the shared folder, as documented."""
        return "/".join([self.dag_id, TASK_ID, *([str(self.map_index)] if self.map_index >= 0 else [])])

    def __str__(self) -> str:
        words = [
            self.source if self.source != "file" else self.format,
            self.of,
            *([self.plot] if self.plot else []),
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
    Yield the runs of a campaign endlessly, as tuples of the runs of one DAG, which are executed at once.

    :param seed: the same seed yields the same runs.
    :param rows: the number of rows of each run of a DAG.
    """
    combinations = list(product((0, 1), KINDS, range(len(SOURCES))))
    for number in count():
        chance = Random(f"{seed}/{number}")
        bulk, kind, source = combinations[number % len(combinations)]
        # Places and state stores alternate every round: two rounds cover both, four rounds every pair.
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
                kills=chance.randint(MIN_KILLS, MAX_KILLS),
            )
            for run in range(RUNS)
            for map_index in (range(shards) if shards else (-1,))
        )
