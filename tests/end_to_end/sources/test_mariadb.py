"""A real MariaDB as the source of rows, with every client and cursor that Airflow's hook knows."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import PERSON, watch
from tests.support.mariadb import MariaDBServer

pytest.importorskip("mysql.connector")
pytest.importorskip("airflow.providers.mysql.hooks.mysql")

SOURCE = {"sql_conn_id": "warehouse"}
MEGABYTE = 1024 * 1024
CONNECTOR = {"client": "mysql-connector-python"}
MYSQLCLIENT = [{}, {"cursor": "sscursor"}, {"cursor": "dictcursor"}, {"cursor": "ssdictcursor"}]


def _needs_mysqlclient(extra: dict[str, str]) -> Any:
    try:
        import MySQLdb  # noqa: F401
    except ImportError as error:
        return pytest.param(extra, marks=pytest.mark.skip(reason=f"mysqlclient is not there: {error}"))
    return extra


EXTRAS = [*(_needs_mysqlclient(extra) for extra in MYSQLCLIENT), CONNECTOR]
CLIENTS = [EXTRAS[0], CONNECTOR]


def named(extra: dict[str, str]) -> str:
    return "-".join(extra.values()) or "mysqlclient"


@pytest.fixture(scope="module")
def shop(mariadb_server: MariaDBServer) -> MariaDBServer:
    with mariadb_server.connect() as connection:
        cursor = connection.cursor()
        for statement in (
            "create table customers (customer_id varchar(20), plan varchar(20))",
            "insert into customers values ('ann', 'gold'), ('ben', 'free')",
            "set session sql_mode = ''",
            "create table births (customer_id varchar(20), day date null, moment datetime null)",
            "insert into births values ('ann', '2000-02-29', '2026-01-31 10:00:00')",
            "insert into births values ('ben', '0000-00-00', null), ('cid', null, null)",
            "insert into births values ('dan', null, '2026-00-00 00:00:00'), ('eve', '2026-01-15', null)",
            f"create table people as select 'ann' as customer_id, '{PERSON}' as name",
        ):
            cursor.execute(statement)
        connection.commit()
    return mariadb_server


@pytest.fixture
def using(shop: MariaDBServer, monkeypatch: pytest.MonkeyPatch):
    """Have the connection ``warehouse`` with these extras."""

    def use(extra: dict[str, str]) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", shop.connection_json(**extra))

    return use


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
def test_rows_arrive(track: Tracker, using: Any, extra: dict[str, str]):
    using(extra)
    report = track(
        sql="select concat('user-', seq) as customer_id, seq as number, 'Zoë 😀' as name from seq_1_to_2500",
        bulk=True,
        **SOURCE,
    )
    assert outcome(report) == (2_500, 0, 0)
    found = track.attributes()
    assert len(found) == 2_500
    assert found["user-2500"] == {"number": 2_500, "name": "Zoë 😀"}


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
def test_rows_are_staged(track: Tracker, using: Any, extra: dict[str, str], tmp_path: Path):
    using(extra)
    assert outcome(track(sql="select * from customers", staging_path=str(tmp_path), **SOURCE)) == (2, 0, 0)
    assert track.attributes() == {"ann": {"plan": "gold"}, "ben": {"plan": "free"}}


@pytest.mark.parametrize("extra", CLIENTS, ids=named)
@pytest.mark.parametrize(
    ("query", "parameters", "found"),
    [
        ("select customer_id from customers where customer_id like 'a%'", None, {"ann": {}}),
        ("select customer_id from customers where customer_id like 'a%%' and plan = %s", ["gold"], {"ann": {}}),
        (
            "select customer_id, 'at :noon' as noon from customers where plan = %(plan)s",
            {"plan": "free"},
            {"ben": {"noon": "at :noon"}},
        ),
        ("select customer_id, 5 % 3 as rest from customers where plan like '%ol%' -- 100% :here", None, {"ann": {"rest": 2}}),
        ("select 'cid' as customer_id;", None, {"cid": {}}),
        ("with c as (select * from customers) select * from c where plan = 'gold'", None, {"ann": {"plan": "gold"}}),
        ("select * from customers where 1 = 0", None, {}),
    ],
)  # fmt: skip
def test_texts_run_as_they_are_written(
    track: Tracker, using: Any, extra: dict[str, str], query: str, parameters: Any, found: dict[str, Any]
):
    using(extra)
    track(sql=query, parameters=parameters, **SOURCE)
    assert track.attributes() == found


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
def test_every_common_type_arrives_as_what_it_is(track: Tracker, using: Any, extra: dict[str, str]):
    using(extra)
    track(
        sql="select 'ann' as customer_id, 1 as small, cast(12.50 as decimal(10, 2)) as price, 0.1e0 as `double`, "
        "timestamp '2026-01-31 10:00:00' as moment, date '2026-02-28' as day, null as nothing, "
        "'{\"a\": 1}' as box, 9223372036854775807 as big",
        timezone="Asia/Kolkata",
        types={"box": "json"},
        **SOURCE,
    )
    assert track.attributes() == {
        "ann": {
            "small": 1, "price": 12.5, "double": 0.1, "moment": "2026-01-31T04:30:00Z", "day": "2026-02-28",
            "box": {"a": 1}, "big": 9223372036854775807,
        }
    }  # fmt: skip


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
@pytest.mark.parametrize("staged", [False, True], ids=["streamed", "staged"])
def test_a_day_that_is_none_is_refused_and_not_taken_for_a_null(
    track: Tracker, using: Any, extra: dict[str, str], staged: bool, tmp_path: Path
):
    using(extra)
    report = track(
        sql="select * from births order by customer_id",
        timezone="UTC",
        max_rejected=2,
        rejected_path=str(tmp_path / "rejected"),
        staging_path=str(tmp_path / "staged") if staged else None,
        **SOURCE,
    )
    assert outcome(report) == (3, 2, 0)
    lines = refused(tmp_path / "rejected")
    assert [line["position"] for line in lines] == [1, 3]
    assert "'day'" in lines[0]["reason"]
    assert "'moment'" in lines[1]["reason"]
    assert track.attributes() == {
        "ann": {"day": "2000-02-29", "moment": "2026-01-31T10:00:00Z"},
        "cid": {},
        "eve": {"day": "2026-01-15"},
    }


@pytest.mark.parametrize("extra", CLIENTS, ids=named)
@pytest.mark.parametrize(
    ("query", "named_in_error"),
    [
        ("update customers set plan = 'lost'", "sql returns no rows"),
        ("insert into customers values ('cid', 'lost')", "sql returns no rows"),
        ("select customer_id, nothing from customers", "Unknown column 'nothing'"),
        ("select * from nowhere", "nowhere"),
        ("selekt 1", "near 'selekt 1'"),
        ("select customer_id from customers a join customers b", "'customer_id'"),
        ("select customer_id, plan as status from customers", "{'account_status': 'status'}"),
        ("select customer_id, plan, 1 as plan from customers", "'plan' twice"),
    ],
)
def test_a_fault_of_the_statement_ends_the_task_before_the_first_request(
    track: Tracker, using: Any, extra: dict[str, str], query: str, named_in_error: str
):
    using(extra)
    assert named_in_error in str(track.fails(MoEngageTaskFailed, sql=query, **SOURCE))
    assert track.requests == 0
    # What changes rows is undone.
    track(sql="select * from customers", **SOURCE)
    assert track.attributes() == {"ann": {"plan": "gold"}, "ben": {"plan": "free"}}


@pytest.mark.parametrize("extra", CLIENTS, ids=named)
def test_a_syntax_error_does_not_quote_what_is_bound(track: Tracker, using: Any, extra: dict[str, str]):
    using(extra)
    error = track.fails(
        MoEngageTaskFailed, sql="select * from customers were plan = %s", parameters=["PRIVATE"], **SOURCE
    )
    assert "error 1064" in str(error)
    assert "may quote a row" in str(error)
    assert "PRIVATE" not in str(error)


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
def test_a_query_that_breaks_in_the_middle_settles_the_rows_before(
    track: Tracker, using: Any, extra: dict[str, str]
):
    using(extra)
    error = track.fails(
        MoEngageIncompleteRun,
        sql="select concat('user-', seq) as customer_id, "
        "(select seq from seq_1_to_2 inner_ where outer_.seq = 2500 or inner_.seq = 1) as x from seq_1_to_5000 outer_",
        **SOURCE,
    )
    report = track.ti.xcoms["report"]
    assert report["source_exhausted"] is False
    assert report["accepted"] == len(track.attributes()) >= 1_900
    assert report["rejected"] == 0
    assert "1242" in str(error)


@pytest.mark.parametrize("extra", CLIENTS, ids=named)
def test_values_stay_out_of_the_error(track: Tracker, using: Any, extra: dict[str, str]):
    using(extra)
    error = track.fails(
        MoEngageIncompleteRun,
        sql="select customer_id, extractvalue(1, concat('~', name)) as x from people",
        **SOURCE,
    )
    assert "1105" in str(error)
    assert PERSON not in str(error)


def test_a_server_that_is_not_there_is_named(
    track: Tracker, shop: MariaDBServer, monkeypatch: pytest.MonkeyPatch
):
    connection = {**json.loads(shop.connection_json(**CONNECTOR)), "port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    error = track.fails(MoEngageIncompleteRun, sql="select 1", **SOURCE)
    assert "2003" in str(error)


@pytest.mark.parametrize("extra", EXTRAS, ids=named)
def test_a_connection_that_fails_to_close_fails_nothing(
    track: Tracker, using: Any, extra: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog
):
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    connect = MySqlHook.get_conn

    class Unclosable:
        """A connection that is gone by the time it is closed, as behind a proxy that has gone away."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def close(self) -> None:
            self.connection.close()
            raise OSError("gone away")

    monkeypatch.setattr(MySqlHook, "get_conn", lambda self: Unclosable(connect(self)))
    using({**extra})
    with caplog.at_level(logging.INFO):
        assert outcome(track(sql="select * from customers", **SOURCE)) == (2, 0, 0)
    assert "gone away" not in caplog.text


@pytest.mark.parametrize("extra", CLIENTS, ids=named)
def test_a_rate_window_may_take_longer_than_the_server_waits_for_its_reader(
    track: Tracker, using: Any, extra: dict[str, str]
):
    using(extra)
    track.sandbox.settings(bulk_users_per_minute=2_000, window_seconds=2.5, requests_kept=0)
    report = track(
        # More than the sockets between here and there hold.
        sql="select concat('user-', seq) as customer_id, seq as number, repeat('x', 10000) as fat from seq_1_to_4000",
        attributes=["number"],
        sql_hook_params={"init_command": "set session net_write_timeout = 1"},
        bulk=True,
        **SOURCE,
    )
    assert outcome(report) == (4_000, 0, 0)
    assert report["throttled_seconds"] > 1


MEASURE = """
import json, os, sys
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

rows = int(sys.argv[1])
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

SqlSource.rows = measured
report = MoEngageTrackUsersOperator(
    task_id="push",
    sql="select concat('user-', seq) as customer_id, repeat('x', 200) as bio, seq as number "
        f"from seq_1_to_{rows}",
    sql_conn_id="warehouse",
    validate_only=True,
).execute({})
print("RESULT " + json.dumps({"report": report, "seen": seen}))
"""


@pytest.mark.volume
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured through /proc")
@pytest.mark.parametrize("extra", CLIENTS, ids=named)
def test_memory_does_not_grow_with_the_rows(track: Tracker, using: Any, extra: dict[str, str]):
    rows = 100_000
    using(extra)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(rows)],
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
    assert (report["read"], report["valid"], report["source_exhausted"]) == (rows, rows, True)
    assert (seen[str(rows)] - seen["10000"]) / MEGABYTE < 20
