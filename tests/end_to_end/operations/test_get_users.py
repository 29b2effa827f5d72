"""Get Users: everyone who is asked for is found or not found, once, into XCom, a file or a table."""

from __future__ import annotations

import csv
import json
import logging
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.hostile import answer, connect, serving
from tests.end_to_end.rows import outcome, refused, users
from tests.end_to_end.tracker import Tracker
from tests.support.postgres import PostgresServer


def known(track: Tracker, count: int, **attributes: Any) -> Tracker:
    """Let MoEngage know so many users, and read from now on."""
    track.using(MoEngageTrackUsersOperator)(users=[{**row, **attributes} for row in users(count)])
    track.sandbox.settings(get_users_per_minute=10_000_000)
    return track.using(MoEngageGetUsersOperator)


def ids(count: int) -> list[str]:
    return [f"user-{number}" for number in range(count)]


def exports(track: Tracker) -> list[dict[str, Any]]:
    return [call for call in track.sandbox.requests() if call["path"].endswith("/export")]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def five_thousand() -> list[str]:
    return ids(5_000)


@pytest.mark.volume
@pytest.mark.parametrize("faults", [False, True], ids=["calm", "faults"])
def test_five_thousand_ids_take_five_windows_and_no_429_where_no_response_is_lost(
    track: Tracker, tmp_path: Path, five_thousand: list[str], faults: bool
):
    known(track, 500)
    track.sandbox.settings(get_users_per_minute=1_000, window_seconds=2.0)
    if faults:
        for fault in ({"kind": "status", "status": 500}, {"kind": "drop_before"}, {"kind": "drop_after"}):
            track.sandbox.fault(**fault, rate=0.1 / 3, path="/export")
    target, missing = tmp_path / "users.ndjson", tmp_path / "missing.ndjson"
    report = track(users=five_thousand, output_path=str(target), missing_path=str(missing))
    assert outcome(report) == (5_000, 0, 0)
    assert (report["found"], report["not_found"]) == (500, 4_500)
    assert {user["customer_id"] for user in lines(target)} == set(five_thousand[:500])
    assert len(lines(target)) == 500
    assert {one["customer_id"] for one in lines(missing)} == set(five_thousand[500:])
    calls = exports(track)
    refused = sum(call["status"] == 429 for call in calls)
    # Six windows, so five resets: each may be tried too early if the response to the request that opened its window is lost.
    assert refused <= (5 if faults else 0)
    assert report["requests"] == len(calls)
    if faults:
        assert report["retried"] == len(calls) - 250 > 0
    else:
        assert len(calls) == 250 + refused
        assert {len(call["body"]["data"]["identifiers"]) for call in calls} == {20}
        began = calls[0]["at"]
        assert len({int((call["at"] - began) / 2) for call in calls}) >= 5
        assert report["throttled_seconds"] > 0


def test_the_report_users_and_ids_not_found_come_back(track: Tracker):
    known(track, 3, plan="gold")
    report = track(users=["user-0", {"customer_id": "user-2"}, "user-9"])
    found = sorted(report["users"], key=lambda user: user["customer_id"])
    moengage_ids = {customer_id: user["id"] for customer_id, user in track.sandbox.users().items()}
    assert found == [
        {**users(1, first=n)[0], "plan": "gold", "id": moengage_ids[f"user-{n}"]} for n in (0, 2)
    ]
    assert report["users_not_found"] == ["user-9"]
    assert (report["read"], report["found"], report["not_found"]) == (3, 2, 1)
    assert "users" not in track.ti.xcoms["report"]


def test_only_the_named_fields_are_read(track: Tracker):
    known(track, 1, plan="gold", secret="s")
    report = track(users=["user-0"], fields=["plan", "customer_id"])
    assert exports(track)[0]["body"]["data"]["user_fields_to_export"] == ["plan", "customer_id"]
    assert report["users"] == [{"plan": "gold", "customer_id": "user-0", "id": report["users"][0]["id"]}]


def test_users_can_be_asked_for_by_their_moengage_id(track: Tracker, tmp_path: Path):
    known(track, 1)
    moengage_id = track.sandbox.users()["user-0"]["id"]
    missing = tmp_path / "missing.ndjson"
    report = track(users=[moengage_id, "nobody"], identifier_type="id", missing_path=str(missing))
    assert [user["customer_id"] for user in report["users"]] == ["user-0"]
    sent = exports(track)[0]["body"]["data"]["identifiers"]
    assert sent == [{"identifier_type": "id", "identifier": one} for one in (moengage_id, "nobody")]
    assert report["users_not_found"] == ["nobody"]
    assert [list(line.values()) for line in lines(missing)] == [["nobody"]]


def test_a_moengage_id_that_is_not_found_is_not_called_a_customer_id(track: Tracker, tmp_path: Path):
    known(track, 1)
    missing = tmp_path / "missing.ndjson"
    track(users=["nobody"], identifier_type="id", missing_path=str(missing))
    assert lines(missing) == [{"id": "nobody"}]


def test_a_repeated_id_is_asked_for_once(track: Tracker):
    known(track, 2)
    report = track(users=["user-0", "user-1", "user-0", {"customer_id": "user-0"}] * 10)
    assert outcome(report) == (40, 0, 0)
    assert (report["found"], report["not_found"], report["requests"]) == (2, 0, 1)
    assert len(report["users"]) == 2


def test_a_repeated_id_shares_the_fate_of_the_first(track: Tracker):
    known(track, 2)
    track.sandbox.fault(kind="status", status=400, path="/export", customer_id="user-1")
    report = track(users=["user-0", "user-1", "user-1"], max_rejected=2)
    assert report["found"] == 1
    assert outcome(report) == (1, 2, 0)


def test_a_repeated_id_that_is_refused_is_kept_as_a_row_that_can_be_sent_again(
    track: Tracker, tmp_path: Path
):
    known(track, 2)
    track.sandbox.fault(kind="status", status=400, path="/export", customer_id="user-1")
    rows = [{"uid": user, "note": "whatever"} for user in ("user-0", "user-1", "user-1", "user-1")]
    folder = tmp_path / "rejected"
    report = track(users=rows, id_column="uid", max_rejected=3, rejected_path=folder.as_uri())
    assert outcome(report) == (1, 3, 0)
    kept = [line["row"] for line in refused(folder)]
    assert kept == [{"uid": "user-1", "note": "whatever"}, {"uid": "user-1"}, {"uid": "user-1"}]
    again = track(path=report["rejected_path"], id_column="uid", max_rejected=3)
    assert outcome(again) == (0, 3, 0)


class Row(dict[str, Any]):
    """A row whose end can be seen."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Rows:
    """Rows that are counted while anybody holds them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.held: weakref.WeakSet[Row] = weakref.WeakSet()
        self.most = 0

    def __len__(self) -> int:
        return self.count

    def prepare(self, check_columns: Any, halt: Any) -> None:
        return None

    def rows(self, check_columns: Any, start: int = 0) -> Iterator[Row]:
        for number in range(start, self.count):
            row = Row(customer_id=f"user-{number % 2}", note="x" * 100)
            self.held.add(row)
            self.most = max(self.most, len(self.held))
            yield row


def test_a_repeated_row_is_not_held_until_the_end(track: Tracker):
    known(track, 2)
    rows = Rows(5_000)
    assert track(users=rows, xcom_limit=5_000)["accepted"] == 5_000
    assert rows.most < 100


def test_more_users_than_xcom_takes_are_refused_before_the_first_call(track: Tracker):
    known(track, 0)
    error = track.fails(MoEngageTaskFailed, users=ids(101))
    assert "output_path" in str(error)
    assert "xcom_limit=100" in str(error)
    assert exports(track) == []
    assert outcome(track(users=ids(101), xcom_limit=101)) == (101, 0, 0)


def test_where_the_count_is_not_known_the_limit_ends_the_run(
    track: Tracker, sqlite_warehouse: Callable[..., None]
):
    known(track, 200)
    sqlite_warehouse("create table who (customer_id text);")
    sqlite_warehouse("insert into who values (?)", [(one,) for one in ids(200)])
    sql = {"sql": "select customer_id from who", "sql_conn_id": "warehouse"}
    error = track.fails(MoEngageTaskFailed, **sql)
    assert "output_path" in str(error)
    assert 5 <= len(exports(track)) < 11
    assert "report" in track.ti.xcoms
    assert len(track(**sql, xcom_limit=200)["users"]) == 200


ODD = {
    "text": 'a,"b"\né',
    "tags": ["x", "y"],
    "place": {"lat": 1.5, "lon": 2},
    "big": 2**70,
    "truth": True,
}


@pytest.mark.parametrize("ending", ["ndjson", "jsonl", "csv", "parquet"])
def test_users_are_written_to_one_file(track: Tracker, tmp_path: Path, ending: str):
    known(track, 45)
    track.using(MoEngageTrackUsersOperator)(users=[{"customer_id": "user-7", **ODD}])
    track.using(MoEngageGetUsersOperator)
    target = tmp_path / "deep" / f"users.{ending}"
    report = track(users=ids(50), output_path=str(target))
    assert (report["found"], report["not_found"]) == (45, 5)
    assert "users" not in report
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    if ending == "csv":
        with target.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    elif ending == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(target).to_pylist()
    else:
        rows = lines(target)
    assert {row["customer_id"] for row in rows} == set(ids(45))
    odd = next(row for row in rows if row["customer_id"] == "user-7")
    assert odd["text"] == ODD["text"]
    as_text = ending == "csv"
    assert odd["tags"] == (json.dumps(ODD["tags"]) if as_text else ODD["tags"])
    assert int(odd["big"]) == 2**70
    assert str(odd["number"]) == "7"


@pytest.mark.parametrize("ending", ["ndjson", "csv", "parquet"])
def test_users_that_disagree_about_a_type_are_written_all_the_same(
    track: Tracker, tmp_path: Path, ending: str
):
    values: list[Any] = [1, 2.5, "text", True, ["a"], {"a": 1}, [], 2**63, 2**53 + 1, None]
    for value in values[:-1]:
        pairs = [(value, "other"), (value, 0.5)]
        for number, pair in enumerate(pairs):
            rows = [{"customer_id": f"user-{n}", "mixed": one} for n, one in enumerate(pair)]
            track.using(MoEngageTrackUsersOperator)(users=rows)
            target = tmp_path / f"{number}.{ending}"
            track.using(MoEngageGetUsersOperator)(users=ids(2), output_path=str(target), fields=["mixed"])
            assert target.stat().st_size > 0


def test_no_user_found_is_an_empty_file_that_can_be_read(track: Tracker, tmp_path: Path):
    known(track, 0)
    for ending in ("ndjson", "csv", "parquet"):
        target = tmp_path / f"users.{ending}"
        track(users=["nobody"], output_path=str(target), fields=["plan", "customer_id"])
        assert target.exists()
    assert (tmp_path / "users.ndjson").read_text() == ""
    with (tmp_path / "users.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["plan", "customer_id"]]


@pytest.mark.parametrize("ending", ["ndjson", "csv", "parquet"])
def test_a_run_that_fails_leaves_no_file(track: Tracker, tmp_path: Path, ending: str):
    known(track, 100)
    track.sandbox.fault(kind="status", status=500, path="/export", after=3)
    target = tmp_path / f"users.{ending}"
    report = track.report(MoEngageIncompleteRun, users=ids(100), output_path=str(target))
    assert report["accepted"] == 60
    assert list(tmp_path.iterdir()) == []


FULL = """
import json, resource, sys
from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator

class TaskInstance:
    dag_id, run_id, task_id, map_index, try_number, max_tries = "dag", "run", "get", -1, 1, 0
    def xcom_push(self, key, value):
        print(json.dumps({key: value}))

get = MoEngageGetUsersOperator(task_id="get", users=json.loads(sys.argv[1]), output_path=sys.argv[2])
# No file of this process may be larger than so many bytes: writing fails as it does on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
try:
    get.execute({"ti": TaskInstance()})
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_temporary_folder_that_is_full_still_reports(track: Tracker, tmp_path: Path):
    known(track, 100)
    target = tmp_path / "users.csv"
    # Where a run's standard output goes into a file, that would be full too.
    told = subprocess.run(
        [sys.executable, "-c", FULL, json.dumps(ids(100)), str(target)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    report = next(json.loads(line)["report"] for line in told.splitlines() if line.startswith('{"report"'))
    assert report["read"] == 100
    assert report["accepted"] + report["unsent"] == 100
    assert "MoEngageIncompleteRun" in told
    assert "temporary" in told
    assert not target.exists()


def test_validating_leaves_what_was_written_before_alone(track: Tracker, tmp_path: Path):
    known(track, 2)
    target, missing = tmp_path / "users.ndjson", tmp_path / "missing.ndjson"
    parameters = {"users": ids(3), "output_path": str(target), "missing_path": str(missing)}
    track(**parameters)
    before = target.read_text(), missing.read_text()
    report = track(**parameters, validate_only=True)
    assert report["valid"] == 3
    assert (target.read_text(), missing.read_text()) == before


def test_an_answer_that_leaves_users_out_is_an_error(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    with serving(lambda body: answer(b'{"status": "success", "data": {"users": []}}')) as server:
        connect(monkeypatch, server.port)
        track.using(MoEngageGetUsersOperator)
        report = track.report(MoEngageIncompleteRun, users=ids(2))
    assert report["accepted"] == 0
    assert report["unsent"] == 2


def test_on_missing_fails_once_all_others_are_read(track: Tracker, tmp_path: Path):
    known(track, 2)
    target, missing = tmp_path / "users.ndjson", tmp_path / "missing.ndjson"
    error = track.fails(
        MoEngageTaskFailed,
        users=ids(3),
        on_missing="fail",
        output_path=str(target),
        missing_path=str(missing),
    )
    assert "1 of 3" in str(error)
    assert len(lines(target)) == 2
    assert lines(missing) == [{"customer_id": "user-2"}]
    assert outcome(track(users=ids(3), on_missing="ignore")) == (3, 0, 0)


def test_ids_are_taken_bare_and_in_every_type(track: Tracker):
    track(users=[{"customer_id": "12345"}])
    track.using(MoEngageGetUsersOperator)
    report = track(
        users=[12345, "12345", {"customer_id": 12345.0}, 1.25, None, True, "unknown", []], max_rejected=5
    )
    assert outcome(report) == (3, 5, 0)
    assert report["found"] == report["requests"] == 1


def read_table(track: Tracker, table: str, conn_id: str) -> dict[str, Any]:
    known(track, 45, tags=["x"], plan="gold")
    track.using(MoEngageTrackUsersOperator)(users=[{"customer_id": "bare"}])
    return track.using(MoEngageGetUsersOperator)(
        users=[*ids(50), "bare"],
        fields=["customer_id", "number", "plan", "tags"],
        output_table=table,
        output_conn_id=conn_id,
    )


EXPECTED = [*((f"user-{n}", n, "gold", '["x"]') for n in range(45)), ("bare", None, None, None)]


def test_users_go_into_a_table_of_sqlite(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse(
        "create table people (customer_id text, number integer, plan text, tags text, more text);"
    )
    report = read_table(track, "people", "warehouse")
    assert (report["found"], report["not_found"]) == (46, 5)
    from airflow_provider_moengage._compat import BaseHook

    hook = BaseHook.get_connection("warehouse").get_hook()
    stored = hook.get_records("select customer_id, number, plan, tags from people")
    assert sorted(map(str, stored)) == sorted(map(str, EXPECTED))


def test_users_go_into_a_table_of_postgres(
    track: Tracker, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("airflow.providers.postgres")
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", postgres_server.connection_json)
    from airflow_provider_moengage._compat import BaseHook

    hook = BaseHook.get_connection("lake").get_hook()
    hook.run(
        "drop table if exists people; create table people (customer_id text, number int, plan text, tags jsonb)"
    )
    read_table(track, "people", "lake")
    stored = hook.get_records("select customer_id, number, plan, tags::text from people")
    assert sorted(map(str, stored)) == sorted(map(str, EXPECTED))


def test_a_table_that_does_not_exist_fails_the_task(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table people (customer_id text);")
    with pytest.raises(Exception, match="no such table"):
        read_table(track, "nowhere", "warehouse")


def test_users_that_a_table_does_not_take_stay_out_of_log_and_error(
    track: Tracker,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    pytest.importorskip("airflow.providers.postgres")
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", postgres_server.connection_json)
    from airflow_provider_moengage._compat import BaseHook

    hook = BaseHook.get_connection("lake").get_hook()
    hook.run(
        "drop table if exists people; create table people (customer_id text, number int unique, plan text, tags jsonb);"
        "insert into people values ('ann', 5, 'gold', null)"
    )
    with pytest.raises(MoEngageIncompleteRun) as caught:
        read_table(track, "people", "lake")
    # PostgreSQL says which value is there already, and Airflow's hook which rows it was given.
    assert "UniqueViolation, SQLSTATE 23505" in str(caught.value)
    said = caplog.text + "".join(capfd.readouterr()) + "".join(traceback.format_exception(caught.value))
    for personal in ("(number)=(5)", "'user-5'", "('user-"):
        assert personal not in said


def test_get_user_that_is_not_enabled_stops_the_run(track: Tracker):
    known(track, 0)
    track.sandbox.settings(get_user=False)
    report = track.report(MoEngageTaskFailed, users=ids(50))
    assert outcome(report) == (0, 0, 50)
    assert report["requests"] == 1


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"users": None}, ("users=", "sql=", "path=")),
        ({"identifier_type": "email"}, ("identifier_type", "'customer_id'")),
        ({"fields": []}, ("fields",)),
        ({"fields": "plan"}, ("fields",)),
        ({"fields": [1]}, ("fields",)),
        ({"xcom_limit": -1}, ("xcom_limit",)),
        ({"xcom_limit": True}, ("xcom_limit",)),
        ({"on_missing": "skip"}, ("on_missing", "'ignore'")),
        (
            {"output_path": "a.csv", "output_table": "t", "output_conn_id": "c"},
            ("output_path", "output_table"),
        ),
        ({"output_table": "t"}, ("output_conn_id",)),
        ({"output_conn_id": "c"}, ("output_table",)),
        ({"output_table": "t", "output_conn_id": "c"}, ("fields",)),
        ({"id_column": None}, ("id_column",)),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageGetUsersOperator(task_id="read", **{"users": [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)


def test_an_output_of_no_known_format_ends_the_task_before_the_first_call(track: Tracker):
    track.using(MoEngageGetUsersOperator)
    error = track.fails(MoEngageTaskFailed, users=["user-1"], output_path="users.xlsx")
    assert ".parquet" in str(error)
    assert track.requests == 0


def test_a_refused_id_fails_the_task_once_the_others_are_written(track: Tracker, tmp_path: Path):
    known(track, 2)
    target = tmp_path / "users.ndjson"
    track.fails(MoEngageTaskFailed, users=["user-0", "unknown", "user-1"], output_path=str(target))
    assert {line["customer_id"] for line in lines(target)} == {"user-0", "user-1"}


def test_users_that_cannot_be_written_are_not_reported_as_done(track: Tracker, tmp_path: Path):
    known(track, 2)
    (tmp_path / "file").write_text("in the way")
    track.fails(MoEngageIncompleteRun, users=ids(2), output_path=str(tmp_path / "file" / "users.ndjson"))
