"""Runs that fail, each in another way, say nothing of the people in their rows: the watch looks at all that is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.tracker import Tracker
from tests.support.leaks import EXCEPTION, LOG, PERSON, RENDERED, XCOM, Watch
from tests.support.postgres import PostgresServer

ROW = {"customer_id": "user-1", "name": f"{PERSON} Zażółć 🎉"}
#: Rows of which each breaks another rule, all with the person's name in it.
WRONG: list[Any] = [
    {**ROW, "born": f"2026-02-30 {PERSON}"},
    {**ROW, "tags": [PERSON, 1]},
    {**ROW, "box": {"a": {"b": {"c": PERSON}}}},
    {**ROW, "customer_id": PERSON * 100},
    {**ROW, "number": PERSON},
    {**ROW, "half": f"{PERSON} \ud83d"},
    {**ROW, "raw": PERSON.encode()},
    PERSON,
]


@pytest.fixture
def everything(track: Tracker, leaks: Watch, tmp_path: Path):
    """Run the operator to its failure, and make sure that a person's row was in it and all nets were out."""

    def run(kind: type[Exception], *, sent: bool | None = True, **parameters: Any) -> str:
        error = track.fails(kind, rejected_path=str(tmp_path / "rejected"), **parameters)
        for where in (LOG, EXCEPTION, XCOM, RENDERED):
            assert leaks.watched[where] > 0
        held = str(track.sandbox.requests()) + "".join(
            part.read_text("utf-8") for part in (tmp_path / "rejected").rglob("*.ndjson")
        )
        assert sent is None or (PERSON in held) is sent
        assert leaks.findings == []
        return str(error)

    return run


def test_a_run_of_wrong_rows_says_nothing_of_people(everything: Any):
    said = everything(MoEngageTaskFailed, users=WRONG, types={"number": "number"})
    assert f"All {len(WRONG)} rows were rejected" in said


def test_a_run_of_unreadable_lines_says_nothing_of_people(everything: Any, tmp_path: Path):
    (tmp_path / "users.csv").write_text(f"customer_id,name\nuser-1,{PERSON},more\nuser-2\n")
    everything(MoEngageTaskFailed, path=str(tmp_path / "users.csv"))
    (tmp_path / "users.ndjson").write_bytes(
        b'{"customer_id": "user-1", "name": ' + PERSON.encode() + b"\xff\n"
    )
    everything(MoEngageTaskFailed, path=str(tmp_path / "users.ndjson"))


def test_a_run_of_wrong_columns_says_nothing_of_people(everything: Any, tmp_path: Path):
    (tmp_path / "users.csv").write_text(f"customer_id,status\nuser-1,{PERSON}\n")
    everything(MoEngageTaskFailed, sent=False, path=str(tmp_path / "users.csv"))


def test_a_run_that_the_database_ends_says_nothing_of_people(
    everything: Any,
    sqlite_warehouse: Callable[..., None],
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
):
    psycopg2 = pytest.importorskip("psycopg2")
    pytest.importorskip("airflow.providers.postgres.hooks.postgres")
    sqlite_warehouse(
        f"create table customers (customer_id, name); insert into customers values (1, '{PERSON}')"
    )
    sqlite = {"sql_conn_id": "warehouse", "parameters": ["ann"]}
    everything(MoEngageError, sent=False, sql="select * from nowhere where x = ?", **sqlite)
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", postgres_server.connection_json)
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists people; create table people (customer_id text, points text)")
        cursor.execute("insert into people values ('user-1', %s)", [PERSON])
    connection.close()
    # PostgreSQL quotes what it cannot cast.
    query = "select customer_id, points::int from people"
    said = everything(MoEngageIncompleteRun, sent=False, sql=query, sql_conn_id="lake")
    assert "InvalidTextRepresentation, SQLSTATE 22P02" in said


#: What an event is called, and attributes that go: names, which reasons name.
NAMES = {"action", "gone"}
#: A good row of each operator, and its parameters; the name in place of each of its values makes it a wrong one.
GOOD: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (
        MoEngageTrackEventsOperator,
        {"customer_id": "user-1", "action": "Order placed", "event_time": 1_433_837_969, "total": 5},
        {"types": {"total": "number"}},
    ),
    (
        MoEngageTrackDevicesOperator,
        {"customer_id": "user-1", "platform": "ANDROID", "push_id": "p", "device_id": "d", "active": True},
        {},
    ),
    (
        MoEngageOptOutDevicesOperator,
        {"customer_id": "user-1", "device_identifiers": [{"device_id": "d"}], "action_type": "block"},
        {},
    ),
    (
        MoEngageUnsetAttributesOperator,
        {"customer_id": "user-1", "gone": ["plan"]},
        {"unset_column": "gone"},
    ),
    (
        MoEngageBulkImportOperator,
        {"type": "customer", "customer_id": "user-1", "attributes": {"plan": "gold"}},
        {},
    ),
    (MoEngageMergeUsersOperator, {"merged_user": "user-1", "retained_user": "user-2"}, {}),
    (MoEngageGetUsersOperator, {"customer_id": "user-1"}, {}),
    (MoEngageDeleteUsersOperator, {"customer_id": "user-1"}, {}),
]


@pytest.mark.parametrize(
    ("operator", "good", "parameters"), GOOD, ids=lambda value: getattr(value, "__name__", "")
)
def test_wrong_rows_of_every_operator_say_nothing_of_people(
    everything: Any, track: Tracker, operator: Any, good: dict[str, Any], parameters: dict[str, Any]
):
    strange = [
        PERSON * 100,
        [PERSON, 1],
        {PERSON: PERSON},
        f"2026-02-30 {PERSON}",
        f"{PERSON} \ud83d",
        [{"a": PERSON}],
    ]
    rows = [{**good, name: value} for name in sorted(good.keys() - NAMES) for value in strange] + [
        PERSON.encode(),
        [PERSON],
    ]
    track.using(operator).may_bend = True
    everything(MoEngageTaskFailed, **{operator.operation.rows: rows}, **parameters)


#: Responses that end a run, with a message that quotes a row.
FAULTS: list[dict[str, Any]] = [
    {"status": 400, "message": f"{PERSON} of user-1 is wrong"},
    {"status": 401, "message": f"{PERSON} of user-1 is wrong"},
    {"status": 404, "body": "html"},
    {"status": 500, "message": f"{PERSON} of user-1 is wrong"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["status"]))
@pytest.mark.parametrize(
    ("operator", "good", "parameters"),
    [(MoEngageTrackUsersOperator, ROW, {}), *GOOD],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_run_that_moengage_ends_says_nothing_of_people(
    everything: Any,
    track: Tracker,
    operator: Any,
    good: dict[str, Any],
    parameters: dict[str, Any],
    fault: dict[str, Any],
):
    track.sandbox.fault(kind="status", **fault)
    # Not every row has a value that could be the name; the response's message has it.
    sent = True if PERSON in str(good) else None
    track.using(operator)
    everything(MoEngageError, sent=sent, **{operator.operation.rows: [good]}, **parameters)
