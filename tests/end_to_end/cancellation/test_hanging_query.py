"""A query that hangs ends when its task is told to end, and so does what the server still does for it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.operators.users import MoEngageDeleteUsersOperator, MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.cancellation.test_kill import FOR_EVER, AirflowTaskTimeout, ended, signalled
from tests.end_to_end.tries import Task
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer
from tests.support.task_state_store import TaskStateStore
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("moengage_sandbox_connection")

#: Rows before the one that hangs, and what hangs there.
ROWS = 2_500


class Database:
    """A server, as these tests use it."""

    hangs = ""
    hangs_later = ""
    running = ""
    lock = ""
    #: Airflow connections, by the driver that they use.
    connections: dict[str, str]

    def connect(self) -> Any:
        raise NotImplementedError

    def is_busy(self) -> bool:
        """Whether a statement runs that one of these tests has begun."""
        with self.asking(self.running) as rows:
            return bool(rows)

    @contextmanager
    def asking(self, *statements: str) -> Iterator[list[Any]]:
        connection = self.connect()
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            yield cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


class Postgres(Database):
    hangs = "select 'ann' as customer_id, pg_sleep(600)::text as x"
    hangs_later = (
        "select 'user-' || n as customer_id, case n when 2500 then pg_sleep(600)::text end as x "
        "from generate_series(1, 5000) n"
    )
    running = (
        "select 1 from pg_stat_activity where pid <> pg_backend_pid() and state = 'active' "
        "and (query like '%pg_sleep%' or query like 'FETCH%' or query like '%from locked%')"
    )
    lock = "lock table locked in access exclusive mode"

    def __init__(self, server: PostgresServer) -> None:
        self.uri = server.uri
        self.connections = {"postgres": server.connection_json}
        with self.asking("drop table if exists locked", "create table locked (customer_id text)", "commit"):
            pass

    def connect(self) -> Any:
        return pytest.importorskip("psycopg2").connect(self.uri)


class MariaDB(Database):
    hangs = "select 'ann' as customer_id, sleep(600) as x"
    hangs_later = (
        "select concat('user-', seq) as customer_id, if(seq = 2500, sleep(600), 0) as x from seq_1_to_5000"
    )
    running = (
        "select 1 from information_schema.processlist where id <> connection_id() and "
        "(info like '%sleep(600)%' or info like '%from locked%')"
    )
    lock = "lock tables locked write"

    def __init__(self, server: MariaDBServer) -> None:
        self.server = server
        self.connections = {
            "mysqlclient": server.connection_json(),
            "mysql-connector": server.connection_json(client="mysql-connector-python"),
        }
        with self.asking("create table if not exists locked (customer_id varchar(20))"):
            pass

    def connect(self) -> Any:
        return self.server.connect()


DRIVERS = [
    ("postgres_server", "postgres"),
    ("mariadb_server", "mysqlclient"),
    ("mariadb_server", "mysql-connector"),
]
KINDS: dict[str, Callable[[Any], Database]] = {"postgres_server": Postgres, "mariadb_server": MariaDB}


@pytest.fixture(params=DRIVERS, ids=[driver for _, driver in DRIVERS])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that the connection ``warehouse`` leads to."""
    server, driver = request.param
    if driver == "mysqlclient":
        pytest.importorskip("MySQLdb", reason="mysqlclient is not there")
    database = KINDS[server](request.getfixturevalue(server))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", database.connections[driver])
    return database


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox) -> Sandbox:
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, bulk_users_per_minute=1_000_000)
    return moengage_sandbox_connection


def task(sql: str, **parameters: Any) -> Task:
    return Task(MoEngageTrackUsersOperator, TaskStateStore(), sql=sql, sql_conn_id="warehouse", **parameters)


def ends_on_the_server(database: Database) -> bool:
    deadline = time.monotonic() + FOR_EVER
    while database.is_busy():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("staged", [False, True], ids=["streamed", "staged"])
def test_a_statement_that_hangs_ends_with_its_task(
    sandbox: Sandbox, database: Database, staged: bool, tmp_path: Path
):
    killed = task(database.hangs, staging_path=str(tmp_path) if staged else None)
    ended(killed, database.is_busy)
    assert (killed.report["read"], killed.report["unsent"], killed.report["source_exhausted"]) == (
        0,
        0,
        False,
    )
    assert ends_on_the_server(database)
    assert sandbox.users() == {}


def test_a_fetch_that_hangs_leaves_the_rows_before_it_sent(sandbox: Sandbox, database: Database):
    killed = task(database.hangs_later, bulk=True)
    # All calls but the last have gone out by then.
    ended(killed, lambda: len(sandbox.users()) > 100 and database.is_busy())
    report = killed.report
    assert report["accepted"] == len(sandbox.users()) <= ROWS
    assert (report["rejected"], report["unknown"], report["source_exhausted"]) == (0, 0, False)
    assert ends_on_the_server(database)


def test_a_fetch_that_hangs_while_staging_sends_nothing_and_a_retry_reads_anew(
    sandbox: Sandbox, database: Database, tmp_path: Path
):
    killed = task(database.hangs_later, staging_path=str(tmp_path))
    ended(killed, database.is_busy)
    assert ends_on_the_server(database)
    assert sandbox.users() == {}
    assert killed.attempt(sql=database.hangs_later.replace("600", "0"), bulk=True)["accepted"] == 5_000


def test_a_wait_for_a_locked_table_ends_with_its_task(sandbox: Sandbox, database: Database):
    killed = task("select customer_id from locked")
    with database.asking(database.lock):
        ended(killed, database.is_busy)
        assert ends_on_the_server(database)
    assert killed.attempt()["read"] == 0


def test_a_time_out_ends_the_query(sandbox: Sandbox, database: Database):
    def time_out() -> None:
        raise AirflowTaskTimeout("time is up")

    timed_out = task(database.hangs)
    with signalled(database.is_busy, time_out), pytest.raises(AirflowTaskTimeout):
        timed_out.attempt()
    assert timed_out.report["source_exhausted"] is False
    assert ends_on_the_server(database)


def test_a_read_of_ids_to_delete_ends_with_its_task(sandbox: Sandbox, database: Database):
    killed = Task(
        MoEngageDeleteUsersOperator,
        TaskStateStore(),
        sql=database.hangs,
        sql_conn_id="warehouse",
        max_users=10,
    )
    ended(killed, database.is_busy)
    assert ends_on_the_server(database)


def test_a_kill_from_another_thread_ends_the_query(sandbox: Sandbox, database: Database):
    killed = task(database.hangs)

    def kill() -> None:
        wait_until(database.is_busy, "the query runs")
        assert killed.running is not None
        killed.running.on_kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with pytest.raises(MoEngageIncompleteRun, match="told to end"):
        killed.attempt()
    thread.join(FOR_EVER)
    assert ends_on_the_server(database)


def test_a_run_that_stops_for_another_reason_does_not_wait_for_its_query(
    sandbox: Sandbox, database: Database
):
    sandbox.fault(kind="status", status=401)
    assert "401" in str(task(database.hangs_later, bulk=True).fails())
    assert ends_on_the_server(database)


@pytest.mark.parametrize("conn_type", ["postgres", "mysql"])
def test_a_server_that_never_answers_is_left(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, conn_type: str
):
    connection = {"conn_type": conn_type, "host": "127.0.0.1", "login": "x", "schema": "x"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection["port"] = silent.getsockname()[1]
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
        if conn_type == "mysql":
            pytest.importorskip("MySQLdb", reason="mysqlclient is not there")
        connected: list[socket.socket] = []
        threading.Thread(target=lambda: connected.append(silent.accept()[0]), daemon=True).start()
        killed = task("select 1 as customer_id")
        ended(killed, lambda: bool(connected))
        for accepted in connected:
            accepted.close()
    assert killed.report["read"] == 0


def test_a_computation_of_sqlite_ends_with_its_task(sandbox: Sandbox, sqlite_warehouse: Any):
    began = threading.Event()
    endless = (
        "with recursive n(x) as (select 1 union all select x from n) select max(x) as customer_id from n"
    )
    killed = task(endless)
    threading.Timer(0.5, began.set).start()
    ended(killed, began.is_set)
    assert killed.report["read"] == 0
