"""Measures runs that send only what has changed, against runs that send every row."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from benchmarks import contenders
from benchmarks.data import CHANGED_EVERY, CREATE
from benchmarks.figures import FEW, MANY, Sample, Unavailable
from benchmarks.finish import WINDOWS, Variant, against_optimum, finished
from benchmarks.processes import NO_LIMITS, Measured, Tasks, connection, contender
from benchmarks.sink import RunningSink, running_sink
from tests.support.postgres import NO_PROGRAMS, PostgresServer, find_programs, running_postgres

#: Units per window of the finish time, and concurrent runs: each reads 100,000 rows per window, which uses both cores.
LIMIT, AT_ONCE = 2_000, 1
FINGERPRINTS = 10_000_000
MB = 1_000_000

#: The runs of a repetition, in their order.
Runs = dict[str, list[Measured]]


def changed(repetitions: int, *, full: bool) -> dict[str, Sample]:
    """
    Measure a second run in which nothing has changed.

    :param full: whether single requests are sent for as many users as the second run has, once.
    """
    few = MANY if full else FEW
    runs: Runs = {}
    requests = []
    with _warehouse(MANY) as postgres, running_sink() as sink, tempfile.TemporaryDirectory() as folder:

        def run(name: str, count: int, sent: int, prepare: Callable[..., Tasks], *arguments: Any) -> None:
            measured, units, calls = _run(postgres, sink, prepare, count, *arguments)
            if (measured.count, units) != (count, sent):
                raise RuntimeError(
                    f"of {count} rows {measured.count} are accounted for and {units} counted by the sink"
                )
            runs.setdefault(name, []).append(measured)
            if name == "second":
                requests.append(float(calls))

        for number in range(repetitions):
            first, own = _options(f"{folder}/first-{number}"), _options(f"{folder}/{number}")
            if not (full and number):
                run("first", few, few, contenders.track_sql, first)
                run("without", few, few, contenders.track_sql, {})
            # The snapshot of many users: of a bulk import and of single requests it is the same.
            run("built", MANY, MANY, contenders.track_sql, {"bulk": True, **own})
            run("built without", MANY, MANY, contenders.track_sql, {"bulk": True})
            run("second", MANY, 0, contenders.track_sql, own)
            run("reading", MANY, 0, contenders.read_sql)
    return {
        "changed.cpu": _ratio(runs, _cpu, "second", "first"),
        "changed.wall": _ratio(runs, _wall, "second", "first"),
        "changed.saved": _ratio(runs, lambda run: 1 / _wall(run), "second", "without"),
        "changed.requests": Sample(max(requests), requests),
        "changed.overhead": _difference(runs, lambda run: _cpu(run) * 1e6, "second", "reading"),
        "changed.reading": _ratio(runs, _cpu, "second", "reading"),
        "changed.memory": _difference(runs, _peak, "second", "reading"),
        "changed.memory-first": _difference(runs, _peak, "built", "built without"),
    }


def finish(repetitions: int) -> dict[str, Sample]:
    """Measure how long changed users for several windows take among those that have not changed."""
    kinds: dict[str, dict[str, Any]] = {"bulk": {"bulk": True}, "single": {}}
    rows = int(LIMIT * WINDOWS) * CHANGED_EVERY
    with _warehouse(rows) as postgres, tempfile.TemporaryDirectory() as folder:
        environment = {"AIRFLOW_CONN_WAREHOUSE": postgres.connection_json}
        runs = [
            Variant(
                name,
                LIMIT,
                "ceil",
                contenders.finish_changed,
                (f"file://{folder}/{name}-{number}", kinds[name]),
                environment,
            )
            for number in range(repetitions)
            for name in kinds
        ]
        done = finished(runs, AT_ONCE)
    return {f"changed.finish.{name}": against_optimum(done[name]) for name in kinds}


def fingerprints() -> dict[str, Sample]:
    """Measure the memory and the time of many made-up fingerprints, without rows and requests."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contender(contenders.fingerprints, FINGERPRINTS, folder) as ready,
    ):
        sizes = {kind: [ready.run(kind).count] for kind in ("peak", "anonymous")}
        steps: dict[str, Measured] = {}
        for step in ("write", "search", "rewrite"):
            steps[step] = ready.run(step)
            for kind, each in sizes.items():
                each.append(ready.run(kind).count)
    for step, measured in steps.items():
        if measured.count != FINGERPRINTS:
            raise RuntimeError(f"{step}: {measured.count} of {FINGERPRINTS} fingerprints")
    above = {kind: [(one - each[0]) / MB for one in each[1:]] for kind, each in sizes.items()}
    detail = {
        "anonymous": above["anonymous"],
        "seconds": {step: measured.wall for step, measured in steps.items()},
        "cpu": {step: measured.cpu for step, measured in steps.items()},
    }
    return {"fingerprints.memory": Sample(max(above["peak"]), above["peak"], detail)}


def _run(
    postgres: PostgresServer, sink: RunningSink, prepare: Callable[..., Tasks], *arguments: Any
) -> tuple[Measured, int, int]:
    """Return the measurement, and the units and requests that the sink counted."""
    environment = {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS),
        "AIRFLOW_CONN_WAREHOUSE": postgres.connection_json,
    }
    sink.settings()
    with contender(prepare, *arguments, environment=environment) as ready:
        # With MoEngage's rate headers, of a window that is never used up: parsing them is part of the work.
        sink.settings(limit=10**9, window=60.0)
        measured = ready.run()
    counters = sink.counters()
    return measured, counters["units"], counters["calls"]


@contextmanager
def _warehouse(rows: int) -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        raise Unavailable(NO_PROGRAMS)
    with running_postgres(programs) as postgres:
        with psycopg2.connect(postgres.uri) as database, database.cursor() as cursor:
            cursor.execute(CREATE.format(count=rows))
        yield postgres


def _options(folder: str) -> dict[str, Any]:
    return {"changed_only": True, "snapshot_path": f"file://{folder}"}


def _cpu(run: Measured) -> float:
    return run.cpu / run.count


def _wall(run: Measured) -> float:
    return run.wall / run.count


def _peak(run: Measured) -> float:
    return run.peak / MB


def _ratio(runs: Runs, of: Callable[[Measured], float], ours: str, rival: str) -> Sample:
    own, others = [of(run) for run in runs[ours]], [of(run) for run in runs[rival]]
    value = statistics.median(own) / statistics.median(others)
    # A rival that takes minutes has one run.
    each = [one / others[min(number, len(others) - 1)] for number, one in enumerate(own)]
    return Sample(value, each, {ours: own, rival: others})


def _difference(runs: Runs, of: Callable[[Measured], float], ours: str, rival: str) -> Sample:
    own, others = [of(run) for run in runs[ours]], [of(run) for run in runs[rival]]
    value = statistics.median(own) - statistics.median(others)
    return Sample(
        value, [one - other for one, other in zip(own, others, strict=True)], {ours: own, rival: others}
    )
