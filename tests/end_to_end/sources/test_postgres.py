"""A real PostgreSQL as the source of rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.delivery.safe_messages import unreadable_value
from airflow_provider_moengage.delivery.shape.convert import OutOfRange
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import watch
from tests.support.postgres import PostgresServer

psycopg2 = pytest.importorskip("psycopg2")
pytest.importorskip("airflow.providers.postgres.hooks.postgres")

SOURCE = {"sql_conn_id": "warehouse"}
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def warehouse(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres_server.connection_json)
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute(
            "drop table if exists customers; create table customers (customer_id text, plan text); "
            "insert into customers values ('ann', 'gold'), ('ben', 'free')"
        )
    connection.close()


@pytest.mark.parametrize(
    ("query", "parameters", "found"),
    [
        ("select customer_id from customers where customer_id like 'a%'", None, {"ann": {}}),
        ("select customer_id from customers where customer_id like 'a%'", [], {"ann": {}}),
        (
            "select customer_id from customers where customer_id like 'a%%' and plan = %s",
            ["gold"],
            {"ann": {}},
        ),
        (
            "select customer_id, 'at :noon' as noon from customers where plan = %(plan)s",
            {"plan": "free"},
            {"ben": {"noon": "at :noon"}},
        ),
        (
            """select customer_id, ':noon 100%' as noon, '{"a": 1}'::jsonb as box, 5 % 3 as rest
            from customers where customer_id like '%n%' and plan <> 'free' -- 100% :here
            """,
            None,
            {"ann": {"noon": ":noon 100%", "box": {"a": 1}, "rest": 2}},
        ),
        (
            "select customer_id from customers where customer_id = any(%s)",
            [["ann", "ben"]],
            {"ann": {}, "ben": {}},
        ),
        ("select 'cid' as customer_id;", None, {"cid": {}}),
        (
            "with c as (select * from customers) select * from c where plan = 'gold'",
            None,
            {"ann": {"plan": "gold"}},
        ),
    ],
)
def test_texts_run_as_they_are_written(
    track: Tracker, query: str, parameters: Any, found: dict[str, dict[str, Any]]
):
    track(sql=query, parameters=parameters, **SOURCE)
    assert track.attributes() == found


TYPES = """
select 'ann'::text as customer_id, 1::smallint as small, 2::bigint as big, 12.50::numeric as price,
    3::numeric as whole, 1.5::real as real, 0.1::double precision as double, true as flag,
    timestamptz '2026-01-31 10:00:00+05:30' as moment, date '2026-02-28' as day,
    '3e0f2f6e-3c5d-4a5e-9d5b-3f5b0d6f0d11'::uuid as uuid, '{"a": {"b": 1}}'::jsonb as box,
    array['x', 'y'] as tags, array[1, 2] as numbers, null::text as nothing, 'NaN'::numeric as nan,
    'infinity'::double precision as boundless, 'c'::char(3) as padded
"""


def test_every_common_type_arrives_as_what_it_is(track: Tracker):
    track(sql=TYPES, **SOURCE)
    user = track.sandbox.users("ann")["ann"]
    assert user["attributes"] == {
        "small": 1, "big": 2, "price": 12.5, "whole": 3, "real": 1.5, "double": 0.1, "flag": True,
        "moment": "2026-01-31T04:30:00Z", "day": "2026-02-28",
        "uuid": "3e0f2f6e-3c5d-4a5e-9d5b-3f5b0d6f0d11", "box": {"a": {"b": 1}}, "tags": ["x", "y"],
        "numbers": [1, 2], "padded": "c  ",
    }  # fmt: skip
    assert user["types"]["moment"] == user["types"]["day"] == "datetime"


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("timestamp '2026-01-31 10:00:00'", "naive_datetime"),
        ("'\\x00ff'::bytea", "value_type"),
        ("interval '1 day'", "value_type"),
        ("time '10:00'", "value_type"),
        ("array['x', null]", "array_element_type"),
        ("array[array[1]]", "array_element_type"),
    ],
)
def test_types_that_moengage_has_no_place_for_are_refused(
    track: Tracker, tmp_path: Path, expression: str, code: str
):
    query = f"select 'ann' as customer_id, {expression} as value"
    report = track(sql=query, max_rejected=1, rejected_path=str(tmp_path), **SOURCE)
    assert outcome(report) == (0, 1, 0)
    assert [line["code"] for line in refused(tmp_path)] == [code]


OUT_OF_RANGE = [
    "date 'infinity'", "date '-infinity'", "date '0044-03-15 BC'", "date '10000-01-01'", "date '294276-12-31'",
    "timestamp 'infinity'", "timestamp '-infinity'", "timestamp '0044-03-15 BC'", "timestamp '10000-01-01'",
    "timestamptz 'infinity'", "timestamptz '-infinity'", "timestamptz '0044-03-15 10:00 BC'",
    "timestamptz '12026-01-31 10:00:00.5+05:30'", "array[date '2026-01-31', date 'infinity']",
    "array[timestamp '-infinity', null]", "array[timestamptz '0044-03-15 BC']", "array[array[date 'infinity']]",
    "daterange('2026-01-31', 'infinity')", "tstzrange('0044-03-15 BC', null)", "tsrange(null, '10000-01-01')",
    "time '24:00'", "timetz '24:00+01'", "interval '100000000 years'", "array[interval '100000000 years']",
    "('{\"a\": 1' || repeat('0', 5000) || '}')::json", "('[1' || repeat('0', 5000) || ']')::jsonb",
]  # fmt: skip


@pytest.mark.parametrize("staged", [False, True], ids=["streamed", "staged"])
def test_a_value_that_python_cannot_hold_costs_its_row_alone(track: Tracker, tmp_path: Path, staged: bool):
    # Every row but the first and the last has one such value, in a column of its own.
    columns = (f"case n when {n} then {value} end as value_{n}" for n, value in enumerate(OUT_OF_RANGE, 1))
    last = len(OUT_OF_RANGE) + 1
    report = track(
        sql=f"select 'user-' || n as customer_id, n, {', '.join(columns)} from generate_series(0, {last}) n",
        timezone="UTC",
        max_rejected=len(OUT_OF_RANGE),
        rejected_path=str(tmp_path / "rejected"),
        staging_path=str(tmp_path / "staged") if staged else None,
        **SOURCE,
    )
    lines = refused(tmp_path / "rejected")
    assert [line["position"] for line in lines] == list(range(1, last))
    assert [line["position"] for line in lines if f"'value_{line['position']}'" not in line["reason"]] == []
    assert outcome(report) == (2, len(OUT_OF_RANGE), 0)
    assert track.attributes() == {"user-0": {"n": 0}, f"user-{last}": {"n": last}}


def test_values_at_the_edges_of_what_python_holds_arrive(track: Tracker):
    track(
        sql="select 'ann' as customer_id, date '0001-01-01' as first, date '9999-12-31' as last, "
        "timestamptz '9999-12-31 23:59:59+00' as moment, timestamp '0001-01-01 00:00:00' as naive, "
        "array[date '2026-01-31', date '2026-02-28'] as days",
        timezone="UTC",
        **SOURCE,
    )
    assert track.attributes() == {
        "ann": {
            "first": "0001-01-01", "last": "9999-12-31", "moment": "9999-12-31T23:59:59Z",
            "naive": "0001-01-01T00:00:00Z", "days": ["2026-01-31", "2026-02-28"],
        }
    }  # fmt: skip


#: Years of PostgreSQL's: from 4713 BC to 294276 (5874897 of a date). Python has 1 to 9999.
YEARS = st.one_of(
    st.integers(1, 9_999).map("{:04d}-{{}}".format),
    st.integers(10_000, 294_000).map("{}-{{}}".format),
    st.integers(1, 4_700).map("{:04d}-{{}} BC".format),
)
DAYS = st.builds("{:02d}-{:02d} {:02d}:00".format, st.integers(1, 12), st.integers(1, 28), st.integers(0, 23))
MOMENTS = st.builds(lambda year, day: year.format(day), YEARS, DAYS)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=st.lists(MOMENTS | st.none() | st.sampled_from(["infinity", "-infinity"]), min_size=1))
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_any_moment_is_read_or_out_of_range(kind: str, moments: list[str | None]):
    source = SqlSource("warehouse", f"select m::{kind} as moment from unnest(%s::text[]) m", [moments])
    read = [row["moment"] for row in source.rows(lambda columns: None)]
    assert len(read) == len(moments)
    for moment, value in zip(moments, read, strict=True):
        if moment is None:
            assert value is None
        elif "infinity" in moment or "BC" in moment or len(moment.split("-")[0]) > 4:
            assert isinstance(value, OutOfRange)
            assert value.kind == kind
        else:
            assert value.isoformat().startswith(moment[:10])


def test_columns_that_hold_dates_are_named_where_the_driver_tells_them(postgres_server: PostgresServer):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select 'ann' as customer_id, now() as moment, timestamp '2026-01-31' as seen, 1.5 as n"
        )
        error = unreadable_value(ValueError("year 10000 is out of range"), "psycopg", cursor.description)
    assert "most likely 'moment', 'seen'" in str(error)
    assert "10000" not in str(error)


def test_other_code_of_the_process_reads_dates_as_before(track: Tracker, postgres_server: PostgresServer):
    track(sql="select 'ann' as customer_id, date '2026-01-31' as day", **SOURCE)
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("select date 'infinity', timestamp '2026-01-31 10:00'")
        assert cursor.fetchall() == [(date(9999, 12, 31), datetime(2026, 1, 31, 10, 0))]
    connection.close()


@pytest.mark.parametrize("cursor", ["dictcursor", "namedtuplecursor", "realdictcursor"])
def test_a_connection_with_another_kind_of_cursor(
    track: Tracker, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, cursor: str
):
    from airflow.providers.postgres.hooks import postgres

    if cursor == "realdictcursor" and getattr(postgres, "USE_PSYCOPG3", False):
        pytest.skip("the hook has no such cursor with psycopg 3")
    connection = {**json.loads(postgres_server.connection_json), "extra": {"cursor": cursor}}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    track(sql="select * from customers", **SOURCE)
    assert track.attributes() == {"ann": {"plan": "gold"}, "ben": {"plan": "free"}}


def test_a_timestamp_without_a_zone_takes_the_one_given(track: Tracker):
    track(
        sql="select 'ann' as customer_id, timestamp '2026-07-31 10:00:00' as seen",
        timezone="America/New_York",
        **SOURCE,
    )
    assert track.attributes() == {"ann": {"seen": "2026-07-31T14:00:00Z"}}


@pytest.mark.parametrize(
    ("type_", "expected"), [("bigint", "12345"), ("numeric", "12345"), ("real", "12345")]
)
def test_ids_that_are_numbers_become_texts(track: Tracker, type_: str, expected: str):
    track(sql=f"select 12345::{type_} as customer_id, 1 as n", **SOURCE)
    assert list(track.attributes()) == [expected]


def test_a_query_that_breaks_in_the_middle_settles_the_rows_before(track: Tracker):
    error = track.fails(
        MoEngageIncompleteRun,
        sql="select 'user-' || n as customer_id, 1 / (n - 2500) as x from generate_series(1, 5000) n",
        **SOURCE,
    )
    report = track.ti.xcoms["report"]
    assert report["source_exhausted"] is False
    assert report["accepted"] == len(track.attributes()) >= 1_900
    assert report["rejected"] == 0
    assert "DivisionByZero" in str(error)


@pytest.mark.parametrize(
    "query",
    [
        "update customers set plan = 'free'",
        "create table t (x int)",
        "insert into customers values ('cid', 'x')",
    ],
)
def test_a_statement_that_returns_no_rows(track: Tracker, query: str):
    error = track.fails(MoEngageTaskFailed, sql=query, **SOURCE)
    assert "sql" in str(error)
    assert track.requests == 0


def test_values_of_the_query_stay_out_of_the_error(track: Tracker):
    error = track.fails(
        MoEngageIncompleteRun,
        sql="select customer_id, 1 / (case when %s = plan then 0 else 0 end) as x from customers",
        parameters=["PRIVATE"],
        **SOURCE,
    )
    assert "PRIVATE" not in str(error)


MEASURE = """
import json, os, sys
import psycopg2
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

uri, rows, sent = sys.argv[1], int(sys.argv[2]), bool(sys.argv[3])
seen = {}
plain = SqlSource.rows

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def measured(self, check_columns, start=0):
    for number, row in enumerate(plain(self, check_columns, start), 1):
        yield row
        if number in (10_000, rows):
            seen[number] = resident()
        if number == 10_000:
            with psycopg2.connect(uri) as other, other.cursor() as cursor:
                cursor.execute("select query from pg_stat_activity where pid <> pg_backend_pid() and query <> ''")
                seen["queries"] = [query for (query,) in cursor.fetchall()]

SqlSource.rows = measured
report = MoEngageTrackUsersOperator(
    task_id="push",
    sql="select 'user-' || n as customer_id, repeat('x', 200) as bio, n as number, now() as seen "
        f"from generate_series(1, {rows}) n",
    sql_conn_id="warehouse",
    validate_only=not sent,
    bulk=sent,
).execute({})
print("RESULT " + json.dumps({"report": report, "seen": seen}))
"""


@pytest.mark.volume
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured through /proc")
@pytest.mark.parametrize(("rows", "sent"), [(150_000, ""), (60_000, "in bulk")])
def test_memory_does_not_grow_with_the_rows(
    track: Tracker, postgres_server: PostgresServer, rows: int, sent: str
):
    track.sandbox.settings(bulk_users_per_minute=10_000_000, requests_kept=0)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, postgres_server.uri, str(rows), sent],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    watch.output(done.stdout + done.stderr, "MEASURE")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    report, seen = result["report"], result["seen"]
    good = report["accepted" if sent else "valid"]
    assert (report["read"], good, report["source_exhausted"]) == (rows, rows, True)
    assert any(query.startswith("FETCH ") for query in seen["queries"])
    assert (seen[str(rows)] - seen["10000"]) / MEGABYTE < 20
