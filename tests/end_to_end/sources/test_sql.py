"""Rows of a query, here on SQLite, whose hook has an engine; PostgreSQL has a file of its own."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import PERSON

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


def test_bound_values_stay_out_of_the_error(track: Tracker, customers: Warehouse):
    error = track.fails(
        MoEngageError, sql="select * from nowhere where x = ?", parameters=["PRIVATE"], **SOURCE
    )
    assert "PRIVATE" not in str(error)


def test_a_connection_that_is_no_database(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_FOLDER", '{"conn_type": "fs", "extra": {"path": "/"}}')
    error = track.fails(MoEngageTaskFailed, sql="select 1", sql_conn_id="folder")
    assert "sql_conn_id names the connection 'folder'" in str(error)


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

    monkeypatch.setattr("airflow_provider_moengage.delivery.read.sql.SqlSource.rows", broken)
    report = track.report(MoEngageIncompleteRun, sql="select 1", **SOURCE)
    assert (report["read"], report["accepted"], report["unsent"]) == (500, 500, 0)
    assert report["source_exhausted"] is False


def test_a_type_for_an_attribute_that_is_not_there_is_said_before_the_first_row(
    track: Tracker, customers: Warehouse
):
    error = track.fails(
        MoEngageTaskFailed, sql="select * from customers", types={"pionts": "number"}, **SOURCE
    )
    assert "types names 'pionts', which is not an attribute" in str(error)
    assert track.requests == 0


HOOK = "airflow.providers.sqlite.hooks.sqlite.SqliteHook"


@pytest.fixture(params=["engine", "no engine", "another driver's engine"])
def any_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with the hook's engine, and with the hook's cursor where it has none that would do."""

    def no_engine(hook: Any, engine_kwargs: Any = None) -> None:
        raise NotImplementedError

    def another(hook: Any, engine_kwargs: Any = None) -> Any:
        from sqlalchemy import create_engine

        return create_engine("postgresql+psycopg2://", **engine_kwargs)

    if request.param != "engine":
        monkeypatch.setattr(
            f"{HOOK}.get_sqlalchemy_engine", no_engine if request.param == "no engine" else another
        )


def connecting(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Have the hook's connections changed."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    connect = SqliteHook.get_conn
    monkeypatch.setattr(f"{HOOK}.get_conn", lambda hook: change(connect(hook)))


@pytest.mark.usefixtures("any_way")
def test_rows_are_read_with_an_engine_and_without(track: Tracker, customers: Warehouse):
    assert outcome(track(sql="select customer_id, plan from customers", **SOURCE)) == (3, 0, 0)
    assert outcome(
        track(sql="select customer_id from customers where plan = ?", parameters=["gold"], **SOURCE)
    ) == (1, 0, 0)
    assert outcome(track(sql="select * from customers where 1 = 0", **SOURCE)) == (0, 0, 0)
    error = track.fails(MoEngageTaskFailed, sql="update customers set plan = 'free'", **SOURCE)
    assert "sql returns no rows" in str(error)


@pytest.mark.usefixtures("any_way")
def test_a_hook_whose_rows_are_dicts(track: Tracker, customers: Warehouse, monkeypatch: pytest.MonkeyPatch):
    def with_dicts(connection: Any) -> Any:
        connection.row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }
        return connection

    connecting(monkeypatch, with_dicts)
    track(sql="select customer_id, plan from customers where plan is not null", **SOURCE)
    assert track.attributes() == {"ann": {"plan": "gold"}, "cid": {"plan": "free"}}


def test_names_of_columns_are_the_databases_own(
    track: Tracker, customers: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    plain = SqliteHook.get_sqlalchemy_engine

    def as_for_oracle(hook: Any, engine_kwargs: Any = None) -> Any:
        engine = plain(hook, engine_kwargs)
        engine.dialect.requires_name_normalize = True
        return engine

    monkeypatch.setattr(f"{HOOK}.get_sqlalchemy_engine", as_for_oracle)
    track(sql="select 'ann' as CUSTOMER_ID, 'gold' as PLAN", id_column="CUSTOMER_ID", **SOURCE)
    assert track.attributes() == {"ann": {"PLAN": "gold"}}


class Gone:
    """A connection that cannot be closed, as the server has already done so."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def close(self) -> None:
        self.connection.close()
        raise sqlite3.OperationalError("server has gone away")


@pytest.mark.usefixtures("any_way")
def test_a_connection_that_fails_to_close_fails_nothing(
    track: Tracker,
    customers: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    connecting(monkeypatch, Gone)
    with caplog.at_level(logging.INFO):
        assert outcome(track(sql="select customer_id from customers", **SOURCE)) == (3, 0, 0)
    assert "gone away" not in caplog.text


@pytest.mark.usefixtures("any_way")
def test_a_text_that_is_none_costs_its_row_alone(track: Tracker, customers: Warehouse, tmp_path: Path):
    report = track(
        sql="select customer_id, case customer_id when 'ben' then cast(x'52656ee9' as text) else plan end as plan "
        "from customers",
        max_rejected=1,
        rejected_path=str(tmp_path / "rejected"),
        **SOURCE,
    )
    assert outcome(report) == (2, 1, 0)
    (line,) = refused(tmp_path / "rejected")
    assert line["position"] == 1
    assert "'plan'" in line["reason"]


@pytest.fixture
def picky_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a driver that raises where Python has no place for a date, and cannot be told otherwise."""
    monkeypatch.setitem(sqlite3.converters, "DAY", lambda text: date.fromisoformat(text.decode()))
    connecting(monkeypatch, _reopened)


def _reopened(plain: Any) -> Any:
    (_, _, path) = plain.execute("pragma database_list").fetchone()
    plain.close()
    return sqlite3.connect(path, detect_types=sqlite3.PARSE_COLNAMES)


@pytest.mark.usefixtures("any_way", "picky_driver")
@pytest.mark.parametrize("staged", [False, True], ids=["streamed", "staged"])
def test_a_value_the_driver_cannot_hand_over_names_columns_and_remedy(
    track: Tracker, customers: Warehouse, tmp_path: Path, staged: bool
):
    customers(f"insert into customers values ('dan', '{PERSON}', 1, null)")
    error = track.fails(
        MoEngageTaskFailed,
        sql="""select customer_id, case customer_id when 'dan' then plan else '2026-01-31' end as "born [day]" """
        "from customers",
        attributes={"born": "born"},
        staging_path=str(tmp_path) if staged else None,
        **SOURCE,
    )
    assert error.__cause__ is None
    for said in ("ValueError", "'born'", "'customer_id'", "Cast the column to text"):
        assert said in str(error)
    assert PERSON not in str(error)
    assert track.ti.xcoms["report"]["source_exhausted"] is False
