"""Measures CPU and wall time per user, against the other contenders."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import contenders
from benchmarks.data import warehouse_customers
from benchmarks.figures import Sample
from benchmarks.processes import NO_LIMITS, Measured, Tasks, connection, contender
from benchmarks.sink import RunningSink, running_sink

LATENCY = 0.05


def latency(repetitions: int) -> dict[str, Sample]:
    """Measure single requests to a server with a latency of 50 ms."""
    runs = _by_turns(
        repetitions,
        LATENCY,
        ours=(1_600, {"concurrency": 16}),
        rivals={"session": (150, contenders.session)},
    )
    return {
        "latency.cpu": _ratio(runs["ours"], runs["session"], lambda run: run.cpu / run.count, "session"),
        "latency.wall": _ratio(runs["ours"], runs["session"], lambda run: run.wall / run.count, "session"),
    }


def plain(repetitions: int) -> dict[str, Sample]:
    """Measure single requests, one after another, to a server without latency."""
    runs = _by_turns(
        repetitions,
        0.0,
        ours=(3_000, {"concurrency": 1}),
        rivals={"session": (3_000, contenders.session)},
    )
    return {"plain.cpu": _ratio(runs["ours"], runs["session"], lambda run: run.cpu / run.count, "session")}


def bulk(repetitions: int, group: str, rivals: Sequence[str]) -> dict[str, Sample]:
    """
    Measure Bulk Import.

    :param group: ``bulk`` sends one request at a time, like the rivals; ``threads`` has sixteen in flight.
    """
    known = {
        "floor": (60_000, contenders.floor),
        "loop": (2_000, contenders.loop),
        "pypi": (2_000, contenders.pypi),
    }
    parameters = {"bulk": True, "concurrency": 1 if group == "bulk" else 16}
    runs = _by_turns(
        repetitions, 0.0, ours=(60_000, parameters), rivals={name: known[name] for name in rivals}
    )
    return {
        f"{group}.{name}": _ratio(
            runs["ours"], runs[name], _cpu_a_user if name == "floor" else _users_a_second, name
        )
        for name in rivals
    }


def warehouse(repetitions: int) -> dict[str, Sample]:
    """Measure Bulk Import of rows in a warehouse's types, which have to be converted."""
    runs = _by_turns(
        repetitions,
        0.0,
        ours=(60_000, {"bulk": True, "concurrency": 1}, warehouse_customers),
        rivals={"floor": (60_000, contenders.warehouse_floor)},
    )
    return {"warehouse.floor": _ratio(runs["ours"], runs["floor"], _cpu_a_user, "floor")}


def _cpu_a_user(run: Measured) -> float:
    return run.cpu / run.count


def _users_a_second(run: Measured) -> float:
    return run.count / run.cpu


def _by_turns(
    repetitions: int,
    latency: float,
    *,
    ours: tuple[int, dict[str, Any]] | tuple[int, dict[str, Any], contenders.Source],
    rivals: dict[str, tuple[int, Callable[..., Tasks]]],
) -> dict[str, list[Measured]]:
    """Run all contenders in turn, ``repetitions`` times, on one sink."""
    runs: dict[str, list[Measured]] = {name: [] for name in (*rivals, "ours")}
    with running_sink() as sink:
        for _ in range(repetitions):
            for name, (count, prepare) in rivals.items():
                runs[name].append(_run(sink, latency, prepare, sink.url, count))
            runs["ours"].append(_run(sink, latency, contenders.track_users, *ours))
    return runs


def _run(sink: RunningSink, latency: float, prepare: Callable[..., Tasks], *arguments: Any) -> Measured:
    sink.settings()
    environment = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS)}
    with contender(prepare, *arguments, environment=environment) as ready:
        # With MoEngage's rate headers, of a window that is never used up: parsing them is part of the work.
        sink.settings(latency=latency, limit=10**9, window=60.0)
        measured = ready.run()
    units = sink.counters()["units"]
    if units != measured.count:
        raise RuntimeError(f"{prepare.__name__} says {measured.count} users, the sink counted {units}")
    return measured


def _ratio(
    ours: list[Measured], rivals: list[Measured], of: Callable[[Measured], float], rival: str
) -> Sample:
    """Divide our median by the rival's, and each of our runs by the rival's run just before it."""
    own, others = [of(run) for run in ours], [of(run) for run in rivals]
    return Sample(
        statistics.median(own) / statistics.median(others),
        [one / other for one, other in zip(own, others, strict=True)],
        {"ours": own, rival: others},
    )
