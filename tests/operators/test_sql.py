"""Rows of a query, here on SQLite, whose hook has an engine; PostgreSQL has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.operators.conftest import Tracker
from tests.operators.rows import outcome, refused

Warehouse = Callable[..., None]
SOURCE = {"sql_conn_id": "warehouse"}


@pytest.fixture
def customers(sqlite_warehouse: Warehouse) -> Warehouse:
    sqlite_warehouse("create table customers (customer_id text, plan text, points integer, seen text)")
    sqlite_warehouse(
        "insert into customers values (?, ?, ?, ?)",
        [
            ("ann", "gold", 5, "2026-01-31 10:00:00"),
            ("ben", None, None, None),
            ("cid", "free", 0, "2026-02-28T23:30:00.5+05:30"),
        ],
    )
    return sqlite_warehouse


def test_rows_of_a_query_arrive(track: Tracker, customers: Warehouse):
    report = track(
        sql="select * from customers", types={"seen": "datetime"}, timezone="Asia/Kolkata", **SOURCE
    )
    assert outcome(report) == (3, 0, 0)
    assert track.attributes() == {
        "ann": {"plan": "gold", "points": 5, "seen": "2026-01-31T04:30:00Z"},
        "ben": {},
        "cid": {"plan": "free", "points": 0, "seen": "2026-02-28T18:00:00Z"},
    }


@pytest.mark.parametrize(
    ("condition", "parameters", "found"),
    [
        ("plan = ?", ["gold"], {"ann"}),
        ("plan = ?", ("gold",), {"ann"}),
        ("plan = :plan and points = :points", {"plan": "free", "points": 0}, {"cid"}),
        ("customer_id like 'a%'", None, {"ann"}),
        ("customer_id like 'a%'", [], {"ann"}),
        ("customer_id like 'a%'", {}, {"ann"}),
        ("customer_id like 'a%' and plan = ?", ["gold"], {"ann"}),
        ("':noon' <> '::jsonb' and customer_id <> 'a%%'", None, {"ann", "ben", "cid"}),
    ],
)
def test_parameters_are_bound_and_the_text_stays_as_it_is(
    track: Tracker, customers: Warehouse, condition: str, parameters: object, found: set[str]
):
    track(sql=f"select customer_id from customers where {condition}", parameters=parameters, **SOURCE)
    assert set(track.attributes()) == found


def test_a_query_without_rows_is_no_rows(track: Tracker, customers: Warehouse):
    report = track(sql="select * from customers where 1 = 0", **SOURCE)
    assert outcome(report) == (0, 0, 0)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("select customer_id, plan as status from customers", "{'account_status': 'status'}"),
        ("select customer_id, plan as moe_plan from customers", "moe_plan"),
        ("select customer_id, plan as t_rev from customers", "t_rev"),
        ("select customer_id, plan as _id from customers", "_id"),
        ("select customer_id as uid, plan from customers", "id_column="),
        ("select customer_id, plan, points as plan from customers", "'plan' twice"),
        ("update customers set plan = 'free'", "sql returns no rows"),
    ],
)
def test_a_fault_of_the_query_is_said_once_before_the_first_request(
    track: Tracker, customers: Warehouse, query: str, named: str
):
    error = track.fails(MoEngageTaskFailed, sql=query, **SOURCE)
    assert named in str(error)
    assert track.ti.xcoms["report"]["read"] == 0
    assert track.requests == 0


def test_a_column_that_attributes_names_and_the_query_lacks(track: Tracker, customers: Warehouse):
    error = track.fails(
        MoEngageTaskFailed, sql="select * from customers", attributes={"tier": "level"}, **SOURCE
    )
    assert "level" in str(error)
    assert track.requests == 0


def test_the_mend_that_the_error_names_mends(track: Tracker, customers: Warehouse):
    track(
        sql="select customer_id, plan as status from customers where plan = 'gold'",
        attributes={"account_status": "status"},
        **SOURCE,
    )
    assert track.attributes() == {"ann": {"account_status": "gold"}}


def test_a_query_that_breaks_in_the_middle(track: Tracker, sqlite_warehouse: Warehouse):
    sqlite_warehouse("create table numbers (n integer)")
    sqlite_warehouse("insert into numbers values (?)", [(n,) for n in range(3_000)])
    error = track.fails(
        MoEngageIncompleteRun,
        # abs() of the least integer overflows.
        sql="select 'user-' || n as customer_id, abs(case n when 2500 then -9223372036854775807 - 1 else n end) "
        "as number from numbers",
        **SOURCE,
    )
    report = track.ti.xcoms["report"]
    assert error.report == report
    assert report["source_exhausted"] is False
    assert report["rejected"] == 0
    assert report["accepted"] == len(track.attributes()) >= 1_900


def test_a_query_that_is_wrong_is_worth_a_retry(track: Tracker, customers: Warehouse):
    report = track.report(MoEngageIncompleteRun, sql="select * from nowhere", **SOURCE)
    assert (report["read"], report["source_exhausted"]) == (0, False)


def test_bound_values_stay_out_of_the_error(track: Tracker, customers: Warehouse):
    error = track.fails(
        MoEngageIncompleteRun, sql="select * from nowhere where x = ?", parameters=["PRIVATE"], **SOURCE
    )
    assert "PRIVATE" not in str(error)


def test_a_connection_that_is_no_database(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_FOLDER", '{"conn_type": "fs", "extra": {"path": "/"}}')
    error = track.fails(MoEngageTaskFailed, sql="select 1", sql_conn_id="folder")
    assert "sql_conn_id 'folder'" in str(error)


def test_refused_rows_keep_the_querys_columns_and_come_back(
    track: Tracker, customers: Warehouse, tmp_path: Path
):
    customers("insert into customers values ('unknown', 'silver', 1, '2026-03-01')")
    mapping = {"attributes": {"tier": "plan", "joined": "seen"}, "types": {"joined": "date"}}
    track(
        sql="select * from customers", max_rejected=1, rejected_path=str(tmp_path / "r"), **mapping, **SOURCE
    )
    (line,) = refused(tmp_path / "r")
    assert line["row"] == {"customer_id": "unknown", "plan": "silver", "points": 1, "seen": "2026-03-01"}
    for part in (tmp_path / "r").rglob("*.ndjson"):
        part.write_text(part.read_text().replace('"unknown"', '"dan"'))
    track(path=str(tmp_path / "r"), **mapping)
    assert track.attributes()["dan"] == {"tier": "silver", "joined": "2026-03-01"}


def test_a_sql_template_is_rendered(track: Tracker, customers: Warehouse, tmp_path: Path):
    from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

    operator = MoEngageTrackUsersOperator(
        task_id="push",
        sql="select * from customers where plan = ? and '{{ ds }}' = '2026-01-01'",
        parameters=["{{ plan }}"],
        attributes=["plan"],
        **SOURCE,
    )
    operator.render_template_fields({"ds": "2026-01-01", "plan": "gold"})
    operator.execute({})
    assert track.attributes() == {"ann": {"plan": "gold"}}


def test_rows_read_before_the_source_broke_are_all_sent(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    def broken(self, check_columns, start=0):
        yield from ({"customer_id": f"user-{n}"} for n in range(500))
        raise OSError("the cursor is gone")

    monkeypatch.setattr("airflow_provider_moengage.delivery.sql.SqlSource.rows", broken)
    report = track.report(MoEngageIncompleteRun, sql="select 1", **SOURCE)
    assert (report["read"], report["accepted"], report["unsent"]) == (500, 500, 0)
    assert report["source_exhausted"] is False


def test_a_type_for_an_attribute_that_is_not_there_is_said_before_the_first_row(
    track: Tracker, customers: Warehouse
):
    error = track.fails(
        MoEngageTaskFailed, sql="select * from customers", types={"pionts": "number"}, **SOURCE
    )
    assert "types names 'pionts', which is no attribute" in str(error)
    assert track.requests == 0


def test_a_hook_without_an_engine_is_read_with_its_own_cursor(
    track: Tracker, customers: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    def no_engine(hook: Any, engine_kwargs: Any = None) -> None:
        raise NotImplementedError

    monkeypatch.setattr("airflow.providers.sqlite.hooks.sqlite.SqliteHook.get_sqlalchemy_engine", no_engine)
    found = track(sql="select customer_id, plan from customers", **SOURCE)
    bound = track(sql="select customer_id from customers where plan = ?", parameters=["gold"], **SOURCE)
    assert (found["accepted"], found["rejected"]) == (len(track.attributes()), 0)
    assert 0 < bound["accepted"] < found["accepted"]
