"""Measures the peak memory, and the CPU time per row, of ten and a hundred times as many rows from PostgreSQL."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import psycopg2

from benchmarks import contenders
from benchmarks.data import CREATE
from benchmarks.figures import Sample, Unavailable
from benchmarks.processes import NO_LIMITS, Measured, connection, contender
from benchmarks.sink import RunningSink, running_sink
from tests.support.postgres import NO_PROGRAMS, PostgresServer, find_programs, running_postgres

#: Numbers of rows.
FEW, MANY, MOST = 100_000, 1_000_000, 10_000_000


def memory(repetitions: int) -> dict[str, Sample]:
    """Measure the group ``memory``: in turn, as often as ``repetitions`` says."""
    few, many = [], []
    with _sent_from(MANY) as sent:
        for _ in range(repetitions):
            few.append(sent(FEW))
            many.append(sent(MANY))
    return _compared("memory", many, few)


def volume(repetitions: int) -> dict[str, Sample]:
    """Measure the group ``volume``: one run takes minutes, so it is between as many short ones as ``repetitions`` says."""
    few, most = [], []
    with _sent_from(MOST) as sent:
        few += [sent(FEW) for _ in range(repetitions)]
        most.append(sent(MOST))
        few += [sent(FEW) for _ in range(repetitions)]
    return _compared("volume", most, few)


@contextmanager
def _sent_from(rows: int) -> Iterator[Callable[[int], Measured]]:
    """Yield what sends some of the rows of a new table."""
    programs = find_programs()
    if programs is None:
        raise Unavailable(NO_PROGRAMS)
    with running_postgres(programs) as postgres, running_sink() as sink:
        with psycopg2.connect(postgres.uri) as database, database.cursor() as cursor:
            cursor.execute(CREATE.format(count=rows))
        yield partial(_run, postgres, sink)


def _run(postgres: PostgresServer, sink: RunningSink, count: int) -> Measured:
    environment = {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS),
        "AIRFLOW_CONN_WAREHOUSE": postgres.connection_json,
    }
    with contender(contenders.track_sql, count, {"bulk": True}, environment=environment) as ready:
        sink.settings()
        measured = ready.run()
    units = sink.counters()["units"]
    if (measured.count, units) != (count, count):
        raise RuntimeError(f"of {count} rows {measured.count} were accepted and {units} counted by the sink")
    return measured


def _compared(group: str, many: Sequence[Measured], few: Sequence[Measured]) -> dict[str, Sample]:
    return {
        f"{group}.peak": _ratio(many, few, lambda run: run.peak),
        f"{group}.cpu": _ratio(many, few, lambda run: run.cpu / run.count),
    }


def _ratio(many: Sequence[Measured], few: Sequence[Measured], of: Callable[[Measured], float]) -> Sample:
    base = statistics.median(map(of, few))
    return Sample(
        statistics.median(map(of, many)) / base,
        [of(run) / base for run in many],
        {f"{runs[0].count:,}": [of(run) for run in runs] for runs in (many, few)},
    )
