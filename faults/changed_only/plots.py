"""What happens to a snapshot, run after run; drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from random import Random

from faults.scenarios import (
    FORMATS,
    MAPPED_SHARE,
    PLACES,
    SHARDS,
    SOURCES,
    Data,
    Scenario,
)

#: A story has this share of the rows of another run: most stories send them several times.
ROWS_SHARE = 0.1
#: Maximum and minimum kills of a run.
MAX_KILLS, MIN_KILLS = 4, 2
#: The share of retries before which a user clears the task, so that it starts over.
CLEARED_SHARE = 0.1
#: The share of runs with kills before or during which a file of the snapshot is damaged, whatever the plot.
DAMAGED_SHARE = 0.2
#: The states that the values of a user go through, again and again.
STATES = ("a", "b", "c")


@dataclass(frozen=True)
class Step:
    """
    A run of a DAG, and what happens before it.

    :param number: the number of the run, from 0.
    :param state: the state of its source.
    :param kills: the maximum number of kills.
    :param gives_up: whether it is not retried after its last kill.
    :param later: the number of the run that was given up and is retried now, in place of a new run.
    :param beside: the state of the source of another run that is executed at the same time; None: there is none.
    :param beside_gives_up: whether that one is not retried after its last kill.
    :param ages: whether a quarter of an hour passes before it, so that a killed attempt counts as ended.
    :param damages: the number of times that a file of the snapshot is damaged, before the run and after its kills.
    :param unwritable: whether its snapshot cannot be written, so that it has to fail before it sends anything.
    :param full: whether the disk is full from some moment of its first attempt on.
    """

    number: int
    state: str
    kills: int = 0
    gives_up: bool = False
    later: int | None = None
    beside: str | None = None
    beside_gives_up: bool = False
    ages: bool = False
    damages: int = 0
    unwritable: bool = False
    full: bool = False


PLOTS = ("retried", "given up", "later", "at once", "damaged", "no space")


def steps(scenario: Scenario) -> list[Step]:
    """Return the runs of a story; the last three are undisturbed, and the last two have the rows of the one before."""
    chance = Random(f"{scenario.seed}/steps")
    first, second, third = chance.sample(STATES, 3)

    def kills() -> int:
        return chance.randint(MIN_KILLS, MAX_KILLS)

    def maybe(share: float = 0.5) -> bool:
        return chance.random() < share

    plot: list[Step]
    if scenario.plot == "retried":
        last = second
        plot = [
            Step(0, first, kills()),
            Step(1, chance.choice((second, third)), kills(), ages=maybe()),
            Step(2, second, kills()),
        ]
    elif scenario.plot == "given up":
        # Back to what was there before is the most dangerous: the snapshot still has it.
        last = chance.choice((first, first, third))
        plot = [
            Step(0, first, kills() if maybe() else 0),
            Step(1, second, kills(), gives_up=True),
            *([Step(2, third, kills(), gives_up=True, ages=maybe())] if maybe() else []),
            Step(3, last, kills(), ages=maybe(), gives_up=maybe(0.3)),
        ]
    elif scenario.plot == "later":
        last = chance.choice((first, second))
        plot = [
            Step(0, first),
            Step(1, second, kills(), gives_up=True),
            Step(2, third, kills(), gives_up=maybe(), ages=maybe()),
            Step(3, second, chance.choice((0, 2)), later=1, ages=maybe()),
        ]
    elif scenario.plot == "at once":
        last = chance.choice((first, second, third))
        plot = [
            Step(0, first),
            Step(1, second, kills(), maybe(), beside=third, beside_gives_up=maybe()),
            *([Step(2, first, kills(), beside=second, ages=maybe())] if maybe() else []),
        ]
    elif scenario.plot == "damaged":
        last = chance.choice((first, second))
        plot = [
            Step(0, first, kills() if maybe() else 0),
            Step(1, second, kills(), gives_up=maybe(), damages=chance.randint(1, 3)),
            Step(2, third, kills(), damages=chance.randint(1, 2), ages=maybe()),
            Step(3, first, chance.choice((0, 2)), damages=1),
        ]
    else:
        last = chance.choice((first, second))
        plot = [
            Step(0, first, full=maybe()),
            Step(1, second, unwritable=True),
            Step(2, second, kills(), full=True, gives_up=maybe()),
            Step(3, first, kills(), full=maybe(), ages=maybe()),
        ]
    if scenario.plot != "retried":
        plot = [
            replace(step, damages=step.damages or int(maybe(DAMAGED_SHARE))) if step.kills else step
            for step in plot
        ]
    quiet = [Step(0, last, ages=maybe()), Step(0, last, ages=True), Step(0, last)]
    return [replace(step, number=number) for number, step in enumerate([*plot, *quiet])]


def stories(seed: int, rows: int) -> Iterator[tuple[Scenario, ...]]:
    """
    Yield the stories of a campaign endlessly, as tuples of those that are executed at once.

    :param seed: the same seed yields the same stories.
    :param rows: the number of rows of each run of another DAG; those of a story have fewer.
    """
    combinations = list(product((0, 1), PLOTS))
    numbers = count()
    for turn in count():
        chance = Random(f"{seed}/stories/{turn}")
        shards = SHARDS if chance.random() < MAPPED_SHARE else 0
        told: list[Scenario] = []
        first = next(numbers)
        for number in (first,) if shards else (first, next(numbers)):
            # Single and in bulk alternate within a pair, sources and places from one to the next.
            bulk, plot = combinations[number % len(combinations)]
            bulk = (bulk + number) % 2
            story = Scenario(
                number=number,
                run=0,
                map_index=-1,
                place=PLACES[turn % len(PLACES)],
                seed=f"{seed}/stories/{number}",
                source=SOURCES[(number + number // len(PLOTS)) % len(SOURCES)],
                kind="users",
                bulk=bool(bulk),
                state_store=chance.random() < 0.5,
                on_unknown="resend",
                deferrable=chance.random() < 0.25,
                format=chance.choice(FORMATS),
                rows=max(50, round(rows * ROWS_SHARE)),
                kills=0,
                plot=plot,
                data=Data(f"{seed}/stories/{number}", "a"),
            )
            told += [
                replace(
                    story,
                    map_index=map_index,
                    seed=f"{story.seed}/{map_index}",
                    plot=PLOTS[(PLOTS.index(plot) + max(0, map_index)) % len(PLOTS)],
                    data=Data(f"{story.seed}/{map_index}", "a"),
                )
                for map_index in (range(shards) if shards else (-1,))
            ]
        yield tuple(told)
