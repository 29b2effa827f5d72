"""Measures the peak memory, and the CPU time per row, of ten times as many rows from PostgreSQL."""

from __future__ import annotations

import statistics

import psycopg2

from benchmarks import contenders
from benchmarks.data import CREATE
from benchmarks.figures import Sample, Unavailable
from benchmarks.processes import NO_LIMITS, Measured, connection, contender
from benchmarks.sink import RunningSink, running_sink
from tests.support.postgres import NO_PROGRAMS, PostgresServer, find_programs, running_postgres

FEW, MANY = 100_000, 1_000_000


def memory(repetitions: int) -> dict[str, Sample]:
    programs = find_programs()
    if programs is None:
        raise Unavailable(NO_PROGRAMS)
    few, many = [], []
    with running_postgres(programs) as postgres, running_sink() as sink:
        with psycopg2.connect(postgres.uri) as database, database.cursor() as cursor:
            cursor.execute(CREATE.format(count=MANY))
        for _ in range(repetitions):
            few.append(_run(postgres, sink, FEW))
            many.append(_run(postgres, sink, MANY))
    return {
        "memory.peak": _ratio([run.peak for run in many], [run.peak for run in few]),
        "memory.cpu": _ratio([run.cpu / run.count for run in many], [run.cpu / run.count for run in few]),
    }


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


def _ratio(many: list[float], few: list[float]) -> Sample:
    return Sample(
        statistics.median(many) / statistics.median(few),
        [one / other for one, other in zip(many, few, strict=True)],
        {"1,000,000": many, "100,000": few},
    )
