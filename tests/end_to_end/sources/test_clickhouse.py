"""ClickHouse as the source of rows; its types have a test of their own."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.cancellation.test_kill import ended
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.clickhouse import HANGS, ClickHouseServer
from tests.support.task_state_store import TaskStateStore
from tests.support.waiting import wait_until

SOURCE = {"sql_conn_id": "warehouse"}


@pytest.fixture(autouse=True)
def server(clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch) -> ClickHouseServer:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", clickhouse_server.connection_json)
    return clickhouse_server


def test_rows_arrive_as_the_text_asks_for_them(track: Tracker):
    track.sandbox.settings(bulk_users_per_minute=10_000_000, requests_kept=0)
    report = track(
        sql="select concat('user-', toString(number)) as customer_id, number, '100%% :noon' as share, 5 % 3 as rest "
        "from numbers(5000)",
        bulk=True,
        **SOURCE,
    )
    assert outcome(report) == (5_000, 0, 0)
    assert track.attributes()["user-4999"] == {"number": 4_999, "share": "100%% :noon", "rest": 2}


def test_parameters_are_bound(track: Tracker):
    track(sql="select %(plan)s as customer_id, 1 as n", parameters={"plan": "ann"}, **SOURCE)
    assert track.attributes() == {"ann": {"n": 1}}


def test_a_wrong_statement_is_told_once(track: Tracker):
    assert "planname" in str(track.fails(MoEngageTaskFailed, sql="select planname", **SOURCE))
    error = track.fails(
        MoEngageTaskFailed, sql="select planname, %(name)s", parameters={"name": "PRIVATE"}, **SOURCE
    )
    assert "PRIVATE" not in str(error)


def test_a_value_stays_out_of_the_error(track: Tracker):
    error = track.fails(
        MoEngageIncompleteRun,
        sql="select toInt32(concat('PRIVATE', toString(number))) as customer_id from numbers(3)",
        **SOURCE,
    )
    assert "PRIVATE" not in str(error)


def test_a_query_is_killed_with_its_task(track: Tracker, server: ClickHouseServer):
    hangs = f"select 'ann' as customer_id -- {HANGS}"
    before = server.queries()
    killed = Task(MoEngageTrackUsersOperator, TaskStateStore(), sql=hangs, **SOURCE)
    ended(killed, lambda: any(HANGS in query for query in server.queries()["running"]))
    wait_until(lambda: len(server.queries()["killed"]) == len(before["killed"]) + 1, "the query is killed")


def test_rows_are_fetched_as_they_are_taken(server: ClickHouseServer):
    # More than the sockets between here and there hold.
    source = SqlSource(
        "warehouse", "select toString(number) as n, repeat('x', 1000) as fat from numbers(1000000)"
    )
    before = len(server.queries()["killed"])
    rows = source.rows(lambda columns: None)
    assert [next(rows)["n"] for _ in range(3)] == ["0", "1", "2"]
    assert any("numbers(1000000)" in query for query in server.queries()["running"])
    rows.close()
    wait_until(lambda: len(server.queries()["killed"]) == before + 1, "the rest of the query is killed")
