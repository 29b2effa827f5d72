"""The figures: what each compares, and its bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RESETS = {"up": "ceil", "down": "floor", "epoch": "epoch"}
SPELLINGS = {"up": "reset rounded up", "down": "reset rounded down", "epoch": "reset as epoch time"}
#: Processes that share one window.
PROCESSES = 8
#: Concurrent runs of finish times: of those that use little CPU, and of single requests, which use a core for a
#: second per window.
LIGHT, HEAVY = 12, 9
#: Users of the runs of changed rows, and of those among them that send single requests: a million take six minutes.
MANY, FEW = 1_000_000, 60_000

#: The run that most figures of changed rows measure.
UNCHANGED = "changed_only, second run, nothing changed"
#: Seconds: the round trip of the small runs to a server that is not on the same machine.
FAR = 0.02


#: Round trips of the runs with nothing configured.
LATENCIES = {"20ms": "20 ms", "200ms": "200 ms", "1000ms": "1,000 ms"}
#: The default of the operators, in words.
FOUND = "concurrency not configured"


class Unavailable(Exception):
    """A figure cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Figure:
    """
    One figure.

    :param name: its group and the parts below, separated by dots.
    :param what: the ratio in words.
    :param bound: the value that it must reach.
    :param at_least: whether the bound is a minimum instead of a maximum.
    :param long: whether it is measured only if it is named or everything is, since it takes minutes.
    """

    name: str
    what: str
    bound: float
    at_least: bool = False
    long: bool = False

    @property
    def must(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:.4g}"

    def is_below(self, name: str) -> bool:
        """Whether a name is this figure's, or that of one of its groups."""
        return self.name == name or self.name.startswith(f"{name}.")

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Sample:
    """
    The measurement of a figure.

    :param value: the value to compare with the bound.
    :param runs: the value of each run.
    :param detail: the raw measurements, by name.
    """

    value: float
    runs: list[float]
    detail: dict[str, Any] = field(default_factory=dict)


#: A sample, or the reason why there is none.
Outcome = Sample | str


def _finish(name: str, what: str, bound: float) -> list[Figure]:
    return [
        Figure(f"finish.{name}.time", f"finish of 3.5 windows, {what}, against the optimum", bound),
        Figure(f"finish.{name}.refused", f"maximum 429s in one window, {what}", 1),
    ]


def _shared(name: str, what: str, used: float, refused: float, refusals: str) -> list[Figure]:
    return [
        Figure(
            f"shared.{name}.used", f"{PROCESSES} processes, {what}: units used of units allowed", used, True
        ),
        Figure(f"shared.{name}.refused", f"{PROCESSES} processes, {what}: {refusals}", refused),
    ]


def _latency(name: str, what: str) -> list[Figure]:
    return [
        Figure(
            f"concurrency.{name}.used",
            f"{FOUND}, round trips of {what}: least share used of a window",
            0.95,
            True,
        ),
        Figure(
            f"concurrency.{name}.refused", f"{FOUND}, round trips of {what}: maximum 429s in one window", 1
        ),
        Figure(
            f"concurrency.{name}.cpu",
            f"CPU per user, {FOUND}, round trips of {what}, against concurrency=16",
            1.1,
        ),
    ]


def _small() -> list[Figure]:
    hook, task = "one user with the hook", "one user with the operator in a task"
    far = f"round trip of {FAR * 1000:.0f} ms"
    return [
        Figure("small.engine.post", f"{hook}: time to the response, against post", 1.3),
        Figure("small.engine.looked-up", f"{hook}: time to the response, against looked-up", 1.3),
        Figure("small.engine.far", f"{hook}, {far}: time to the response, against post", 1.3),
        Figure("small.task.post", f"{task}: time to the response, against post", 1.3),
        Figure("small.task.looked-up", f"{task}: time to the response, against looked-up", 1.3),
        Figure("small.task.changed", f"{task}, changed_only: time to the response, against looked-up", 1.3),
        Figure("small.task.far", f"{task}, {far}: time to the response, against looked-up", 1.3),
    ]


def _scale(name: str, what: str, spread: float) -> list[Figure]:
    return [
        Figure(f"scale.{name}.used", f"{what}: least share used of a window", 0.97, True),
        Figure(f"scale.{name}.overrun", f"{what}: maximum 429s in one window", 0),
        Figure(f"scale.{name}.spread", f"{what}: most units of a client, against the least", spread),
        Figure(f"scale.{name}.wait", f"{what}: longest wait for a unit, in windows", 2),
    ]


FIGURES = (
    *_small(),
    Figure("latency.cpu", "CPU per user, single requests, concurrency=16, 50 ms, against session", 0.70),
    Figure("latency.wall", "time per user, single requests, concurrency=16, 50 ms, against session", 1 / 13),
    Figure("plain.cpu", "CPU per user, single requests, concurrency=1, no latency, against session", 0.65),
    Figure("bulk.floor", "CPU per user, bulk=True, one request at a time like floor, against floor", 2.0),
    Figure(
        "bulk.loop",
        "users per CPU second, bulk=True, one request at a time like loop, against loop",
        120,
        True,
    ),
    Figure(
        "bulk.pypi",
        "users per CPU second, bulk=True, one request at a time like pypi, against pypi",
        120,
        True,
    ),
    Figure(
        "warehouse.floor",
        "CPU per user, rows in a warehouse's types, bulk=True, one request at a time like floor, against floor",
        2.5,
    ),
    Figure("threads.floor", "CPU per user, bulk=True, concurrency=16, against floor", 2.2),
    Figure("threads.loop", "users per CPU second, bulk=True, concurrency=16, against loop", 110, True),
    Figure("threads.pypi", "users per CPU second, bulk=True, concurrency=16, against pypi", 110, True),
    *(figure for name, what in LATENCIES.items() for figure in _latency(name, what)),
    Figure("concurrency.none.cpu", f"CPU per user, {FOUND}, no latency, against concurrency=16", 1.1),
    Figure(
        "concurrency.overload.offered",
        f"requests per second offered to an overloaded server, {FOUND}, against those it can serve",
        2,
    ),
    *(
        figure
        for kind, what in (("bulk", "bulk=True"), ("single", "single requests"))
        for spelling, says in SPELLINGS.items()
        for figure in _finish(f"{kind}-{spelling}", f"{what}, {says}", 1.03)
    ),
    *_finish("get-up", f"Get Users, {SPELLINGS['up']}", 1.05),
    *_shared("redis", "single requests, Redis", 0.97, 0.005, "share of requests with a 429"),
    *_shared("headers", "single requests, headers alone", 0.95, 0.02, "share of requests with a 429"),
    *_shared("bulk", "bulk=True, headers alone", 0.95, 1, "maximum 429s of one process in one window"),
    *_scale("many", "300 clients, 10,000 units", 1.5),
    *_scale("scarce", "300 clients, 1,666 units", 1.5),
    *_scale("changing", "300 clients, 50 of them late, 50 killed", 1.5),
    *_scale("eight", "8 clients, 2 ms a request", 1.5),
    *_scale("one", "1 client", 1.5),
    Figure("memory.peak", "peak memory, 1,000,000 rows of SQL, bulk=True, against 100,000 rows", 1.05),
    Figure("memory.cpu", "CPU per row, 1,000,000 rows of SQL, bulk=True, against 100,000 rows", 1.1),
    Figure(
        "volume.peak",
        "peak memory, 10,000,000 rows of SQL, bulk=True, against 100,000 rows",
        1.05,
        long=True,
    ),
    Figure(
        "volume.cpu", "CPU per row, 10,000,000 rows of SQL, bulk=True, against 100,000 rows", 1.1, long=True
    ),
    Figure("changed.cpu", f"CPU per user, {UNCHANGED}, against the first run", 0.25),
    Figure("changed.wall", f"time per user, {UNCHANGED}, against the first run", 0.10),
    Figure(
        "changed.saved", f"users per second, {UNCHANGED}, against the same run without changed_only", 10, True
    ),
    Figure("changed.requests", f"requests, {UNCHANGED}", 0),
    Figure("changed.overhead", f"µs of CPU per row, {UNCHANGED}, above reading, shaping and counting", 3.0),
    Figure("changed.reading", f"CPU per row, {UNCHANGED}, against reading, shaping and counting", 1.25),
    Figure("changed.memory", f"MB of peak memory, {UNCHANGED}, above reading, shaping and counting", 40),
    Figure(
        "changed.memory-first",
        "MB of peak memory, changed_only, first run of 1,000,000 users, bulk=True, above the same run without it",
        40,
    ),
    *(
        Figure(
            f"changed.finish.{kind}",
            f"finish of 3.5 windows, changed_only, 2 % of 350,000 users changed, {what}, against the optimum",
            1.03,
        )
        for kind, what in (("bulk", "bulk=True"), ("single", "single requests"))
    ),
    Figure(
        "fingerprints.memory", "MB of peak memory, 10,000,000 fingerprints, above the start", 60, long=True
    ),
)


def chosen(names: list[str], *, full: bool = False) -> list[Figure]:
    """
    Return the figures of some names or groups; all, if there are no names.

    :param full: whether all are meant, those that take minutes too.
    :raises ValueError: a name is unknown.
    """
    for name in names:
        if not any(figure.is_below(name) for figure in FIGURES):
            raise ValueError(f"{name!r} is no figure; use any of {', '.join(f.name for f in FIGURES)}")
    if not names:
        return [figure for figure in FIGURES if full or not figure.long]
    return [figure for figure in FIGURES if any(figure.is_below(name) for name in names)]
