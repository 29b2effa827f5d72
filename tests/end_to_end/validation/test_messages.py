"""What a task says of a mistake: which parameter it is, what is wrong, and what mends it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import airflow
import pytest

from airflow_provider_moengage.api.errors import (
    MoEngageAuthError,
    MoEngageError,
    MoEngageNetworkError,
    MoEngageServerError,
)
from airflow_provider_moengage.delivery.shape.not_rows import of_another_type, of_dict
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.get_users import IdentifierMapping
from airflow_provider_moengage.operations.user_outputs import TableSink
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.tracker import TaskInstance, Tracker
from tests.support.leaks import PERSON
from tests.support.postgres import PostgresServer

#: SQLite's errors carry their code since Python 3.11; before, a wrong statement is retried.
WRONG_STATEMENT = MoEngageTaskFailed if sys.version_info >= (3, 11) else MoEngageIncompleteRun
knows_codes = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQLite's errors have no code")
#: Operators with an id column: the parameter of their rows, what else they need, and what else a row has.
WITH_ID: list[tuple[type[MoEngageSendOperator], dict[str, Any], dict[str, Any]]] = [
    (MoEngageTrackUsersOperator, {}, {"plan": "gold", "status": 5}),
    (MoEngageTrackUsersOperator, {"bulk": True, "on_bad_attribute": "drop"}, {"plan": "gold", "bad": b"5"}),
    (MoEngageTrackUsersOperator, {}, {"attributes": {"plan": "gold"}, "plan": "silver"}),
    (MoEngageTrackUsersOperator, {}, {"type": "customer", "attributes": [5]}),
    (MoEngageUnsetAttributesOperator, {"unset": ["plan"]}, {}),
    (MoEngageUnsetAttributesOperator, {"unset_column": "gone"}, {"gone": 5}),
    (MoEngageTrackEventsOperator, {}, {"action": None, "n": b"5"}),
    (MoEngageTrackEventsOperator, {}, {"actions": [{"action": None}], "more": 5}),
    (MoEngageTrackDevicesOperator, {}, {"device_id": 1.5, "platform": "x", "push_id": None}),
    (MoEngageTrackDevicesOperator, {}, {"device_id": 1.5, "attributes": {"platform": "x"}, "more": 5}),
    (MoEngageOptOutDevicesOperator, {}, {"action_type": "stop", "reason": 5}),
    (MoEngageGetUsersOperator, {}, {}),
    (MoEngageGetUsersOperator, {"identifier_type_column": "kind"}, {"kind": "mail"}),
    (MoEngageDeleteUsersOperator, {}, {}),
]
with_id = pytest.mark.parametrize(
    ("operator", "parameters", "row"), WITH_ID, ids=lambda one: getattr(one, "__name__", None)
)


@pytest.fixture
def answering_database() -> Iterator[None]:
    """Let Airflow's own database answer that it has no connection; from version 3 on, a process like this does not ask it."""
    if airflow.__version__.startswith("3"):
        yield
        return
    from airflow import settings
    from airflow.models import Connection
    from sqlalchemy import inspect

    if inspect(settings.engine).has_table("connection"):
        yield
        return
    Connection.__table__.create(settings.engine)
    yield
    Connection.__table__.drop(settings.engine)


def only_reason(error: MoEngageTaskFailed) -> str:
    assert error.report is not None
    (reason,) = error.report["reasons"]
    return str(reason)


@with_id
def test_a_missing_id_is_said_first_and_the_column_that_looks_like_one(
    track: Tracker, operator: type[MoEngageSendOperator], parameters: dict[str, Any], row: dict[str, Any]
):
    rows = {operator.operation.rows: [{"user_id": "a15", **row}]}
    error = track.using(operator).fails(MoEngageTaskFailed, **rows, **parameters)
    assert only_reason(error) == (
        "the row has no column 'customer_id', which identifies the user; set id_column= to the column that does, such as "
        "id_column='user_id'"
    )
    assert track.requests == 0


@with_id
def test_an_id_that_is_null_is_said_first(
    track: Tracker, operator: type[MoEngageSendOperator], parameters: dict[str, Any], row: dict[str, Any]
):
    for absent in (None, float("nan"), " "):
        rows = {operator.operation.rows: [{"uid": absent, "user_id": "a15", **row}]}
        error = track.using(operator).fails(MoEngageTaskFailed, id_column="uid", **rows, **parameters)
        assert re.fullmatch("(customer_id|the id), in column 'uid', is missing", only_reason(error))


@pytest.mark.parametrize(
    "column",
    ["user_id", "userid", "UserId", "uid", "id", "customerId", "cust_id", "Customer-ID", "client.id", " user_id", "external_id"],
)  # fmt: skip
def test_columns_that_look_like_ids(track: Tracker, column: str):
    error = track.fails(MoEngageTaskFailed, users=[{"plan": "gold", column: "a15"}])
    assert f"such as id_column={column.strip()!r}" in only_reason(error)
    report = track(users=[{"plan": "gold", column: "a15"}], id_column=column.strip())
    assert report["accepted"] == 1


def test_where_no_column_looks_like_an_id(track: Tracker):
    error = track.fails(MoEngageTaskFailed, users=[{PERSON: "a15"}])
    assert only_reason(error).endswith("set id_column= to the column that does")
    assert PERSON not in str(error)


@pytest.mark.parametrize("kind", ["customer", "event", "device"])
def test_an_element_without_an_id_has_no_parameter_for_it(track: Tracker, kind: str):
    element = {"type": kind, "user_id": "a15", "attributes": 5, "actions": 5}
    error = track.using(MoEngageBulkImportOperator).fails(MoEngageTaskFailed, elements=[element])
    assert only_reason(error) == (
        "the row has no column 'customer_id', which identifies the user; it has 'user_id', which may be meant"
    )


@pytest.mark.parametrize(
    ("operator", "parameters", "columns"),
    [
        (MoEngageTrackUsersOperator, {}, "user_id,status"),
        (MoEngageUnsetAttributesOperator, {"unset": ["plan"]}, "user_id,plan"),
        (MoEngageTrackEventsOperator, {}, "user_id,event"),
        (MoEngageTrackDevicesOperator, {}, "user_id,plan"),
        (MoEngageOptOutDevicesOperator, {"action": "block"}, "user_id,plan"),
        (MoEngageGetUsersOperator, {}, "user_id,plan"),
        (MoEngageDeleteUsersOperator, {}, "user_id,plan"),
    ],
)
def test_the_columns_of_a_source_are_told_of_the_same_way(
    track: Tracker,
    tmp_path: Path,
    operator: type[MoEngageSendOperator],
    parameters: dict[str, Any],
    columns: str,
):
    (tmp_path / "rows.csv").write_text(f"{columns}\na15,gold\n")
    error = track.using(operator).fails(MoEngageTaskFailed, path=str(tmp_path / "rows.csv"), **parameters)
    assert "the source has no column 'customer_id'; set id_column= to the right one of its columns" in str(
        error
    )
    assert "such as id_column='user_id'" in str(error)
    assert track.requests == 0


class Frame:
    """As much of a data frame as it takes to know one."""

    columns = ("customer_id",)

    def to_dict(self, orient: str = "dict") -> Any: ...


class PolarsFrame(Frame):
    def to_dicts(self) -> Any: ...


class Table:
    def to_pylist(self) -> Any: ...


class Series(list):  # type: ignore[type-arg]
    def tolist(self) -> Any: ...


class Array:
    def tolist(self) -> Any: ...


RECORDS = "frame.to_dict('records')"
DICTS: list[tuple[dict[Any, Any], str]] = [
    ({"rows": [{"customer_id": PERSON}] * 3}, "its key 'rows' holds a list of 3; return that list"),
    ({"data": [{"customer_id": PERSON}], "count": 1, "next": None}, "its key 'data' holds a list of 1"),
    ({"users": [{"customer_id": PERSON}]}, "xcom_pull(task_ids='upstream')['users'] | tojson"),
    ({"ids": [PERSON, "a2"]}, "its key 'ids' holds a list of 2"),
    ({"customer_id": {0: PERSON, 1: "a2"}, "plan": {0: "gold", 1: None}}, RECORDS),
    ({"customer_id": {"0": PERSON}}, RECORDS),
    ({0: {"customer_id": PERSON}, 1: {"customer_id": "a2"}}, RECORDS),
    ({PERSON: {"plan": "gold"}, "a2": {"plan": "free"}}, "list(rows.values())"),
    ({"customer_id": [PERSON, "a2"], "plan": ["gold", "free"]}, RECORDS),
    ({"index": [0], "columns": ["customer_id"], "data": [[PERSON]]}, RECORDS),
    ({"customer_id": PERSON, "plan": "gold"}, "pass a single row as a list of one, [row]"),
    ({"customer_id": PERSON, "tags": ["a"]}, "[row]"),
    ({"customer_id": PERSON, "attributes": {"plan": "gold"}}, "[row]"),
    ({"customer_id": PERSON, "actions": [{"action": "seen"}]}, "[row]"),
    ({"attributes": {"plan": PERSON}}, "[row]"),
    ({}, "an empty list means no rows"),
]


@pytest.mark.parametrize(("value", "said"), DICTS)
@pytest.mark.parametrize("way", ["argument", "upstream", "template", "hook"])
def test_a_dict_is_no_list_of_rows(track: Tracker, value: dict[Any, Any], said: str, way: str):
    if way == "hook":
        with pytest.raises(MoEngageTaskFailed) as caught:
            MoEngageHook().track_users(MappingProxyType(value))
    else:
        caught = pytest.raises(MoEngageTaskFailed)
        with caught as caught:
            if way == "argument":
                MoEngageTrackUsersOperator(task_id="push", users=value).execute({"ti": TaskInstance()})
            else:
                operator = MoEngageTrackUsersOperator(task_id="push", users="{{ rows }}")
                operator.users = json.dumps(value) if way == "template" else value
                operator.execute({"ti": TaskInstance()})
    assert said in str(caught.value)
    assert str(caught.value).startswith("users is a")
    assert PERSON not in str(caught.value)
    assert track.requests == 0


def test_a_dict_of_series_is_one_of_columns():
    assert RECORDS in of_dict("users", {"customer_id": Series(["a1"])})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Frame(), RECORDS),
        (PolarsFrame(), "frame.to_dicts()"),
        (Table(), "table.to_pylist()"),
        (Array(), "series.tolist()"),
        (5, "renders to a JSON list"),
    ],
)
def test_what_else_is_no_list_of_rows(value: object, said: str):
    assert of_another_type("users", value).endswith(said)


def test_pandas_is_known(track: Tracker):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"customer_id": ["a1", "a2"], "plan": ["gold", "free"]})
    for orient in ("dict", "list", "series", "split", "tight", "index"):
        error = track.fails(MoEngageTaskFailed, users=frame.to_dict(orient))
        assert RECORDS in str(error), orient
    assert RECORDS in str(track.fails(MoEngageTaskFailed, users=frame))
    assert "series.tolist()" in str(track.fails(MoEngageTaskFailed, users=frame["customer_id"]))
    assert track(users=frame.to_dict("records"))["accepted"] == 2


@pytest.mark.parametrize(
    ("operator", "parameters"), [(MoEngageGetUsersOperator, {}), (MoEngageDeleteUsersOperator, {})]
)
def test_ids_in_a_dict_are_named_as_no_list_of_rows(
    track: Tracker, operator: type[MoEngageSendOperator], parameters: dict[str, Any]
):
    error = track.using(operator).fails(MoEngageTaskFailed, users={"ids": ["a1", "a2"]}, **parameters)
    assert "users is a dict, not a list of rows: its key 'ids' holds a list of 2" in str(error)


def test_a_file_that_wraps_its_rows(track: Tracker, tmp_path: Path):
    (tmp_path / "rows.json").write_text('{"rows": [{"customer_id": "a1"}, {"customer_id": "a2"}]}')
    error = track.fails(MoEngageTaskFailed, path=str(tmp_path / "rows.json"))
    assert only_reason(error) == (
        "the row has no column 'customer_id', but a list of 2 rows under 'rows': pass that list"
    )


NOTHING = "is None at run time: did the upstream task return nothing? Check the task_ids= of xcom_pull"


@pytest.mark.parametrize("value", ["null", " null\n", "None", None])
@pytest.mark.parametrize(
    "operator",
    [MoEngageTrackUsersOperator, MoEngageTrackEventsOperator, MoEngageMergeUsersOperator, MoEngageGetUsersOperator],
)  # fmt: skip
def test_rows_that_render_to_nothing(track: Tracker, operator: type[MoEngageSendOperator], value: Any):
    name = operator.operation.rows
    task = operator(task_id="push", **{name: "{{ rows }}"})
    setattr(task, name, value)
    with pytest.raises(MoEngageTaskFailed, match=f"^{name} {re.escape(NOTHING)}"):
        task.execute({"ti": TaskInstance()})
    assert track.requests == 0


def test_the_hook_is_told_the_same_of_none(track: Tracker):
    with pytest.raises(MoEngageTaskFailed, match=f"^users {re.escape(NOTHING)}"):
        MoEngageHook().track_users(None)


def test_an_empty_text_means_no_rows(track: Tracker):
    task = MoEngageTrackUsersOperator(task_id="push", users="{{ rows }}", on_empty="fail")
    task.users = " \n"
    with pytest.raises(MoEngageTaskFailed, match="The source has no rows, and on_empty is 'fail'"):
        task.execute({"ti": TaskInstance()})


def test_rows_that_were_made_json_twice(track: Tracker):
    task = MoEngageTrackUsersOperator(task_id="push", users="{{ rows }}")
    task.users = json.dumps(json.dumps([{"customer_id": PERSON}]))
    with pytest.raises(MoEngageTaskFailed, match=r"^users is the JSON of a text, not of a list") as caught:
        task.execute({"ti": TaskInstance()})
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", " ", "None"])
@pytest.mark.parametrize(("name", "more"), [("sql", {"sql_conn_id": "warehouse"}), ("path", {})])
def test_a_query_or_a_path_that_renders_to_nothing(
    track: Tracker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    more: dict[str, Any],
    value: Any,
):
    # The working directory must not be read in its place.
    (tmp_path / "private.csv").write_text("customer_id\na1\n")
    monkeypatch.chdir(tmp_path)
    task = MoEngageTrackUsersOperator(task_id="push", **{name: "{{ rows }}"}, **more)
    setattr(task, name, value)
    with pytest.raises(MoEngageTaskFailed, match=f"^{name} is (None|empty) at run time: did its template"):
        task.execute({"ti": TaskInstance()})
    assert track.requests == 0


#: Rows of every operator that are wrong in one way each, and what is said of them.
WRONG_ROWS: list[tuple[type[MoEngageSendOperator], dict[str, Any], dict[str, str]]] = [
    (
        MoEngageTrackEventsOperator,
        {},
        {
            "the row has no column 'action'; set action_column= to the column that holds the event's name":
                '{"customer_id": "a1", "event": "seen", "event_time": 5}',
            "the event's name, in column 'action', is NULL": '{"customer_id": "a1", "action": null, "event_time": 5}',
            "the event's name, in column 'action', is of type int; it must be a string":
                '{"customer_id": "a1", "action": 5, "event_time": 5}',
            "the row has no column 'event_time', which holds the event's time; set time_column= to the column that holds it, or "
            "time_column=None for the time of receipt": '{"customer_id": "a1", "action": "seen", "time": 5}',
            "'event_time' is missing; set time_column= to the column that holds it, or time_column=None for the time of receipt":
                '{"customer_id": "a1", "action": "seen", "event_time": null}',
        },
    ),
    (
        MoEngageTrackDevicesOperator,
        {},
        {
            "platform must be 'ANDROID', 'iOS', 'web' or 'TV'":
                '{"customer_id": "a1", "device_id": "d", "platform": "phone", "push_id": "p"}',
            "platform is missing": '{"customer_id": "a1", "device_id": "d", "push_id": "p"}',
            "device_id is missing": '{"customer_id": "a1", "platform": "iOS", "push_id": "p"}',
            "push_id is missing": '{"customer_id": "a1", "device_id": "d", "platform": "iOS"}',
            "'plan' is not a field that MoEngage knows there, and would be dropped; leave it out":
                '{"customer_id": "a1", "device_id": "d", "platform": "iOS", "push_id": "p", "plan": 1}',
        },
    ),
    (
        MoEngageOptOutDevicesOperator,
        {},
        {
            "action_type is missing": '{"customer_id": "a1"}',
            "action_type must be 'block' or 'unblock'": '{"customer_id": "a1", "action_type": "stop"}',
        },
    ),
    (
        MoEngageUnsetAttributesOperator,
        {"unset_column": "gone"},
        {"gone[0].type must be 'equals', 'prefix', 'suffix' or 'contains'":
            '{"customer_id": "a1", "gone": [{"type": "like", "attr": "x"}]}'},
    ),
    (
        MoEngageMergeUsersOperator,
        {},
        {"the row has no column 'merged_user'; a pair is 'merged_user', which goes, and 'retained_user', which stays":
            '{"from": "a1", "to": "a2"}'},
    ),
    (
        MoEngageGetUsersOperator,
        {"identifier_type_column": "kind"},
        {"identifier_type, in column 'kind', must be one of customer_id, id, moengage_id": '{"customer_id": "a1", "kind": "mail"}'},
    ),
    (
        MoEngageBulkImportOperator,
        {},
        {"an element's type must be one of customer, event, device, in lower case": '{"type": ["event"], "customer_id": "a1"}',
         "actions[0].action is missing": '{"type": "event", "customer_id": "a1", "actions": [{}]}'},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "parameters", "rows"), WRONG_ROWS)
def test_a_row_is_told_of_in_words_of_our_own(
    track: Tracker, operator: type[MoEngageSendOperator], parameters: dict[str, Any], rows: dict[str, str]
):
    given = {operator.operation.rows: [json.loads(row) for row in rows.values()]}
    error = track.using(operator).fails(MoEngageTaskFailed, **given, **parameters)
    assert error.report is not None
    assert set(error.report["reasons"]) == set(rows)


@pytest.mark.usefixtures("answering_database")
def test_a_database_connection_that_does_not_exist(track: Tracker):
    error = track.fails(MoEngageTaskFailed, sql="select 1", sql_conn_id="fast")
    assert str(error).startswith("sql_conn_id names the connection 'fast', which does not exist")
    output = {"output_conn_id": "fast", "output_table": "t", "fields": ["plan"]}
    error = track.using(MoEngageGetUsersOperator).fails(MoEngageTaskFailed, users=["a1"], **output)
    assert str(error).startswith("output_conn_id names the connection 'fast', which does not exist")
    assert track.requests == 0


def test_a_connection_that_is_no_database(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_FOLDER", '{"conn_type": "fs", "extra": {"path": "/"}}')
    monkeypatch.setenv("AIRFLOW_CONN_STRANGE", '{"conn_type": "strange", "host": "x"}')
    # A type of Airflow's own that has no hook.
    monkeypatch.setenv("AIRFLOW_CONN_PLAIN", '{"conn_type": "generic", "host": "x"}')
    for conn_id in ("folder", "strange", "plain"):
        error = track.using(MoEngageTrackUsersOperator).fails(
            MoEngageTaskFailed, sql="select 1", sql_conn_id=conn_id
        )
        assert str(error).startswith(f"sql_conn_id names the connection '{conn_id}' of type ")
        output = {"output_conn_id": conn_id, "output_table": "t", "fields": ["plan"]}
        error = track.using(MoEngageGetUsersOperator).fails(MoEngageTaskFailed, users=["a1"], **output)
        assert str(error).startswith(f"output_conn_id names the connection '{conn_id}' of type ")
    assert track.requests == 0


DAG_FILE = """
import json
from datetime import timedelta

from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


def noted(kind):
    class Noted(kind):
        def execute(self, context):
            try:
                return super().execute(context)
            except Exception as error:
                with open({notes!r}, "a") as notes:
                    notes.write(json.dumps([self.task_id, type(error).__name__, str(error)]) + "\\n")
                raise

    return Noted


with DAG("mistakes", schedule=None) as dag:
    for task_id, mistake in {mistakes!r}.items():
        kind = MoEngageGetUsersOperator if "fields" in mistake else MoEngageTrackUsersOperator
        noted(kind)(task_id=task_id, retries=1, retry_delay=timedelta(0), **mistake)
"""
#: A secrets backend whose server does not answer.
VAULT = """
try:
    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
except ImportError:
    from airflow.secrets import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    def get_conn_value(self, conn_id, team_name=None):
        raise ConnectionError("no route to the vault")
"""


@pytest.fixture
def failed_tasks(run_dag: Any, moengage_sandbox: Any, tmp_path: Path) -> Any:
    """Run a task for each mistake, by its name; returns the class and the words of every try's error."""

    def run(mistakes: dict[str, dict[str, Any]], **variables: str) -> dict[str, list[tuple[str, str]]]:
        folder, notes = tmp_path / "dags", tmp_path / "notes"
        folder.mkdir()
        (folder / "mistakes.py").write_text(DAG_FILE.format(mistakes=mistakes, notes=str(notes)))
        connection = moengage_sandbox.connection_json
        outcome = run_dag(folder / "mistakes.py", AIRFLOW_CONN_MOENGAGE_DEFAULT=connection, **variables)
        assert "success" not in {task["state"] for task in outcome["tasks"].values()}
        tries: dict[str, list[tuple[str, str]]] = {name: [] for name in mistakes}
        for line in notes.read_text().splitlines():
            name, kind, said = json.loads(line)
            tries[name].append((kind, said))
        assert moengage_sandbox.state()["requests"] == 0
        return tries

    return run


OUTPUT = {"users": ["a1"], "output_conn_id": "fast", "output_table": "t", "fields": ["plan"]}


def test_mistakes_end_a_real_task_at_its_first_try(failed_tasks: Any):
    mistakes = {
        "sql_conn_id": {"sql": "select 1", "sql_conn_id": "fast"},
        "output_conn_id": OUTPUT,
        "rejected_path": {"users": [{"customer_id": "a1"}], "rejected_path": "gs://nope@bucket/rejected"},
        "staging_path": {"users": [{"customer_id": "a1"}], "staging_path": "xyz://bucket/staged"},
        "users": {"users": {"rows": [{"customer_id": "a1"}]}},
    }
    for name, tries in failed_tasks(mistakes).items():
        ((kind, said),) = tries
        assert kind == "MoEngageTaskFailed"
        assert said.startswith(f"{name} ")


def test_a_secrets_backend_that_does_not_answer_is_worth_a_retry(failed_tasks: Any, tmp_path: Path):
    (tmp_path / "vault.py").write_text(VAULT)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    found = failed_tasks(
        {"sql_conn_id": {"sql": "select 1", "sql_conn_id": "fast"}, "output_conn_id": OUTPUT},
        AIRFLOW__SECRETS__BACKEND="vault.Vault",
        PYTHONPATH=path,
    )
    for name, kind in (
        ("sql_conn_id", "MoEngageIncompleteRun"),
        ("output_conn_id", "MoEngageConnectionUnavailable"),
    ):
        assert [one for one, _ in found[name]] == [kind, kind]
        said = found[name][0][1]
        assert f"{name} names the connection 'fast', which was not found; it may exist" in said
        assert "these secrets backends failed: Vault (ConnectionError)" in said


GET = MoEngageGetUsersOperator
USERS: dict[str, Any] = {"users": [{"customer_id": "a1"}]}
QUERY: dict[str, Any] = {"sql": "select 1 as customer_id", "sql_conn_id": "warehouse"}
#: Every parameter that is a URL of files: the operator, its other parameters, and how the URL ends.
URLS: dict[str, tuple[type[MoEngageSendOperator], dict[str, Any], str]] = {
    "path": (MoEngageTrackUsersOperator, {}, "rows.csv"),
    "rejected_path": (MoEngageTrackUsersOperator, USERS, "rejected"),
    "staging_path": (MoEngageTrackUsersOperator, QUERY, "staged"),
    "output_path": (GET, USERS, "users.csv"),
    "missing_path": (GET, USERS, "missing.ndjson"),
}
PACKAGES = {
    "gs": "install apache-airflow-providers-google on the workers",
    "gcs": "install apache-airflow-providers-google on the workers",
    "abfs": "install apache-airflow-providers-microsoft-azure on the workers",
    "abfss": "install apache-airflow-providers-microsoft-azure on the workers",
    "xyz": "install the fsspec package for 'xyz' and the Airflow provider that registers it, or correct the URL",
}


@pytest.mark.parametrize("value", ["None", " "])
@pytest.mark.parametrize("name", URLS)
def test_a_url_that_renders_to_nothing(
    track: Tracker,
    sqlite_warehouse: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
):
    monkeypatch.chdir(tmp_path)
    operator, parameters, ending = URLS[name]
    task = operator(task_id="push", **{name: ending}, **parameters)
    setattr(task, name, value)
    with pytest.raises(MoEngageTaskFailed, match=f"^{name} is (None|empty) at run time"):
        task.execute({"ti": TaskInstance()})
    assert not (tmp_path / value).exists()
    assert track.requests == 0


def test_a_folder_for_rejected_rows_that_cannot_be_made(track: Tracker, tmp_path: Path):
    (tmp_path / "file").write_text("")
    error = track.fails(MoEngageIncompleteRun, **USERS, rejected_path=str(tmp_path / "file"))
    assert f"rejected_path '{tmp_path}/file/" in str(error)
    assert track.requests == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sql": ["select 1", "select 2"]}, "sql is of type list; use the text of one statement"),
        ({"parameters": 5}, "parameters is of type int; use a list or a dict"),
        ({"parameters": "gold"}, "parameters is of type str; use a list or a dict"),
        ({"sql_hook_params": [1]}, "sql_hook_params is of type list; use a dict"),
    ],
)
def test_arguments_of_a_query_that_are_of_another_type(
    track: Tracker, sqlite_warehouse: Callable[..., None], wrong: dict[str, Any], said: str
):
    error = track.fails(MoEngageTaskFailed, **{**QUERY, **wrong})
    assert str(error).startswith(said)


@pytest.mark.parametrize("scheme", PACKAGES)
@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("conn_id", ["", "nope@"])
def test_a_file_system_that_is_not_installed(
    track: Tracker,
    sqlite_warehouse: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    scheme: str,
    conn_id: str,
):
    if scheme in ("gs", "gcs") and find_spec("airflow.providers.google"):
        # Only its library is missing, which Airflow finds out after it has looked the connection up.
        monkeypatch.setenv("AIRFLOW_CONN_NOPE", '{"conn_type": "google_cloud_platform"}')
    operator, parameters, ending = URLS[name]
    url = f"{scheme}://{conn_id}bucket/{ending}"
    error = track.using(operator).fails(MoEngageTaskFailed, **{name: url}, **parameters)
    assert str(error).startswith(f"{name} '{scheme}://{conn_id}bucket/")
    assert f"needs a file system for {scheme}://, which is not installed; {PACKAGES[scheme]}" in str(error)
    assert track.requests == 0


@pytest.mark.parametrize("name", URLS)
def test_amazons_file_system_without_its_extra(
    track: Tracker, sqlite_warehouse: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str
):
    pytest.importorskip("airflow.providers.amazon")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    # One that no other test has opened.
    conn_id = f"no_s3fs_{name}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", '{"conn_type": "aws"}')
    operator, parameters, ending = URLS[name]
    url = f"s3://{conn_id}@bucket/{ending}"
    error = track.using(operator).fails(MoEngageTaskFailed, **{name: url}, **parameters)
    assert str(error).startswith(f"{name} 's3://{conn_id}@bucket/")
    assert "install apache-airflow-providers-amazon[s3fs] on the workers" in str(error)
    assert track.requests == 0


@pytest.mark.usefixtures("answering_database")
@pytest.mark.parametrize("name", URLS)
def test_a_connection_of_a_file_system_that_does_not_exist(
    track: Tracker, sqlite_warehouse: Callable[..., None], name: str
):
    pytest.importorskip("airflow.providers.amazon")
    operator, parameters, ending = URLS[name]
    url = f"s3://nope@bucket/{ending}"
    error = track.using(operator).fails(MoEngageTaskFailed, **{name: url}, **parameters)
    assert str(error).startswith(f"{name} names the connection 'nope', which does not exist")
    assert track.requests == 0


def test_the_staging_path_of_the_configuration_is_named_as_that(
    track: Tracker, sqlite_warehouse: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__MOENGAGE__STAGING_PATH", "gs://bucket/staged")
    error = track.fails(MoEngageTaskFailed, **QUERY)
    assert str(error).startswith(
        "[moengage] staging_path of Airflow's configuration, 'gs://bucket/staged' needs"
    )


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select planname from customers", "no such column: planname"),
        ("select plan from custmers", "no such table: custmers"),
        ("selct plan from customers", 'near "selct": syntax error'),
        ("select nosuch(plan) from customers", "no such function: nosuch"),
    ],
)
@knows_codes
def test_a_wrong_statement_on_sqlite(
    track: Tracker, sqlite_warehouse: Callable[..., None], tmp_path: Path, sql: str, said: str
):
    sqlite_warehouse("create table customers (customer_id, plan)")
    for staging in (None, str(tmp_path)):
        error = track.fails(MoEngageTaskFailed, sql=sql, sql_conn_id="warehouse", staging_path=staging)
        assert str(error) == (
            f"sql cannot be run with sql_conn_id='warehouse': sqlite3.OperationalError: {said} "
            "(0 rows read, 0 accepted, 0 rejected, 0 not sent)"
        )
        assert error.__cause__ is None
        assert error.__suppress_context__
    assert track.requests == 0


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("select 1; select 2", None, "one statement at a time"),
        ("select ?", [1, 2], "Incorrect number of bindings"),
    ],
)
def test_what_pythons_module_says_of_a_statement(
    track: Tracker, sqlite_warehouse: Callable[..., None], sql: str, parameters: Any, said: str
):
    error = track.fails(MoEngageTaskFailed, sql=sql, sql_conn_id="warehouse", parameters=parameters)
    assert str(error).startswith("sql cannot be run with sql_conn_id='warehouse': sqlite3.")
    assert said in str(error)


@knows_codes
@pytest.mark.parametrize("first", [True, False], ids=["at once", "in the middle"])
def test_a_value_that_sqlite_stumbles_over_is_not_quoted(
    track: Tracker, sqlite_warehouse: Callable[..., None], first: bool
):
    sqlite_warehouse("create table people (customer_id text, name text)")
    rows = [(f"user-{number}", "$") for number in range(0 if first else 1_500)]
    sqlite_warehouse("insert into people values (?, ?)", [*rows, ("user-x", f"$[{PERSON}")])
    query = {
        "sql": "select customer_id, json_extract('{}', name) as x from people",
        "sql_conn_id": "warehouse",
    }
    error = track.fails(MoEngageIncompleteRun, types={"x": "string"}, **query)
    assert "may quote a row" in str(error)
    assert PERSON not in str(error)
    assert error.__cause__ is None


def test_a_database_that_is_locked_is_worth_a_retry(
    track: Tracker, sqlite_warehouse: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    sqlite_warehouse("create table customers (customer_id, plan)")
    connect = SqliteHook.get_conn

    def impatient(hook: SqliteHook) -> sqlite3.Connection:
        connection = connect(hook)
        connection.execute("pragma busy_timeout = 0")
        return connection

    monkeypatch.setattr(SqliteHook, "get_conn", impatient)
    other = sqlite3.connect(tmp_path / "warehouse.db")
    try:
        other.execute("pragma locking_mode = exclusive")
        other.execute("begin exclusive")
        error = track.fails(MoEngageIncompleteRun, sql="select * from customers", sql_conn_id="warehouse")
    finally:
        other.close()
    assert str(error).startswith("The run ended early: OperationalError: database is locked (0 rows read")
    assert "\n" not in str(error)


def test_an_output_table_or_column_that_does_not_exist(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table customers (customer_id, plan)")
    track(users=[{"customer_id": "a1", "plan": "gold"}])
    output = {"users": ["a1"], "output_conn_id": "warehouse"}
    for more, said in (
        ({"output_table": "custmers", "fields": ["customer_id", "plan"]}, "no such table: custmers"),
        ({"output_table": "customers", "fields": ["customer_id", "planname"]}, "planname"),
    ):
        error = track.using(GET).fails(
            WRONG_STATEMENT if sys.version_info >= (3, 11) else MoEngageError, **output, **more
        )
        assert said in str(error)
        if sys.version_info >= (3, 11):
            name = more["output_table"]
            assert str(error).startswith(
                f"output_table '{name}' cannot be written with output_conn_id='warehouse': sqlite3.OperationalError"
            )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select planname from shoppers", 'SQLSTATE 42703: column "planname" does not exist'),
        ("select plan from shopers", 'SQLSTATE 42P01: relation "shopers" does not exist'),
        ("selct plan from shoppers", 'SQLSTATE 42601: syntax error at or near "selct"'),
    ],
)
def test_a_wrong_statement_on_postgresql(
    track: Tracker, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, query: str, said: str
):
    psycopg2 = pytest.importorskip("psycopg2")
    pytest.importorskip("airflow.providers.postgres.hooks.postgres")
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", postgres_server.connection_json)
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists shoppers; create table shoppers (customer_id text, plan text)")
    connection.close()
    error = track.fails(MoEngageTaskFailed, sql=query, sql_conn_id="lake")
    assert str(error).startswith("sql cannot be run with sql_conn_id='lake': psycopg")
    assert said in str(error)
    assert "\n" not in str(error)
    assert error.__cause__ is None
    assert track.requests == 0


def test_a_server_that_is_down_is_worth_a_retry_and_told_of_in_one_line(
    track: Tracker, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("airflow.providers.postgres.hooks.postgres")
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAKE", '{"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x"}'
    )
    error = track.fails(MoEngageIncompleteRun, sql="select 1", sql_conn_id="lake")
    assert str(error).startswith("The run ended early: OperationalError: conn")
    assert "\n" not in str(error)


def test_a_csv_between_semicolons_names_the_delimiter(track: Tracker, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("customer_id;plan\na1;gold\n")
    error = track.fails(MoEngageTaskFailed, path=str(tmp_path / "rows.csv"))
    assert "such as delimiter=';'" in str(error)
    assert track(path=str(tmp_path / "rows.csv"), delimiter=";")["accepted"] == 1


def test_upper_case_columns_name_fold_columns(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table t (CUSTOMER_ID, PLAN); insert into t values ('a1', 'gold')")
    query = {"sql": "select * from t", "sql_conn_id": "warehouse"}
    assert "set fold_columns='lower'" in str(track.fails(MoEngageTaskFailed, **query))
    assert track(**query, fold_columns="lower")["accepted"] == 1


def unfit(count: int) -> list[dict[str, Any]]:
    return [{"customer_id": "unknown"}] * count


GOOD_USER = {"customer_id": "a1"}


@pytest.mark.parametrize(
    ("rows", "parameters", "said"),
    [
        (unfit(1), {}, "The only row was rejected, more than max_rejected=0 allows. 1 x customer_id"),
        (unfit(50), {}, "All 50 rows were rejected, more than max_rejected=0 allows. 50 x customer_id"),
        ([*unfit(1), GOOD_USER], {}, "1 of 2 rows was rejected, more than max_rejected=0 allows; the other row was delivered. "),
        ([*unfit(1), GOOD_USER, GOOD_USER], {}, "1 of 3 rows was rejected, more than max_rejected=0 allows; every other row was delivered. "),
        ([*unfit(2), GOOD_USER], {"max_rejected": 0.5}, ("2 of 3 rows were rejected, more than max_rejected=0.5 allows; the other row was "
         "delivered. ")),
        ([*unfit(2), GOOD_USER], {"max_rejected": 1, "validate_only": True}, "; the other row was found valid. "),
    ],
)  # fmt: skip
def test_too_many_rejected_rows(
    track: Tracker, tmp_path: Path, rows: list[dict[str, Any]], parameters: dict[str, Any], said: str
):
    error = track.fails(MoEngageTaskFailed, users=rows, **parameters)
    assert said in str(error)
    plural = "rows" if rows.count(unfit(1)[0]) > 1 else "row"
    assert str(error).endswith(f". Set rejected_path to keep the rejected {plural}")
    error = track.fails(MoEngageTaskFailed, users=rows, rejected_path=str(tmp_path), **parameters)
    folder = track.ti.xcoms["report"]["rejected_path"]
    assert str(error).endswith(f". The rejected {plural} {'are' if plural == 'rows' else 'is'} in {folder}")
    assert "refused" not in str(error)


@pytest.mark.parametrize(("count", "rows"), [(1, "1 row read"), (3, "3 rows read")])
def test_the_counts_of_a_run_that_ended_early(track: Tracker, count: int, rows: str):
    track.sandbox.fault(kind="status", status=500)
    error = track.fails(MoEngageIncompleteRun, users=[{"customer_id": f"user-{n}"} for n in range(count)])
    assert str(error).endswith(f"({rows}, 0 accepted, 0 rejected, {count} not sent)")


def test_a_path_that_does_not_exist(track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    error = track.fails(MoEngageTaskFailed, path="customers.csv")
    assert str(error).startswith(
        "path 'customers.csv' does not exist: it is relative to the worker's working directory, so it was looked for at "
        f"'{tmp_path}/customers.csv'; use an absolute path or a URL"
    )
    for absolute in (f"{tmp_path}/customers.csv", f"file://{tmp_path}/customers.csv"):
        error = track.fails(MoEngageTaskFailed, path=absolute)
        assert str(error).startswith(f"path '{absolute}' does not exist, as this worker sees it")
    assert track.requests == 0


@pytest.mark.parametrize("ending", ["ndjson", "jsonl", "NDJSON"])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_in_a_file_of_lines(track: Tracker, tmp_path: Path, ending: str, indent: int | None):
    rows = [{"customer_id": "a1"}, {"customer_id": "a2"}]
    (tmp_path / "a.ndjson").write_text('{"customer_id": "a0"}\n')
    (tmp_path / f"b.{ending}").write_text("\n" + json.dumps(rows, indent=indent))
    error = track.fails(MoEngageTaskFailed, path=str(tmp_path))
    assert (
        f"b.{ending}: the file is one JSON array, but by its name it has one object a line; name it .json"
        in str(error)
    )
    assert track.requests == 0
    (tmp_path / f"b.{ending}").rename(tmp_path / "b.json")
    assert track(path=str(tmp_path))["accepted"] == 3


def test_a_list_among_lines_is_one_bad_row(track: Tracker, tmp_path: Path):
    (tmp_path / "a.ndjson").write_text('[1, 2]\n{"customer_id": "a1"}\n[{"customer_id": "a2"}]\n')
    report = track(path=str(tmp_path), max_rejected=2)
    assert (report["accepted"], report["rejected"]) == (1, 2)


def shown(error: BaseException) -> list[type[BaseException]]:
    """The errors that a traceback shows, the last first."""
    kinds: list[type[BaseException]] = []
    one: BaseException | None = error
    while one is not None:
        kinds.append(type(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return kinds


@pytest.mark.usefixtures("answering_database")
def test_a_traceback_shows_what_says_more_and_nothing_else(
    track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "rows.csv").write_text("customer_id;plan\na1;gold\n")
    for mistake in (
        {"path": str(tmp_path / "rows.csv")},
        {"path": str(tmp_path / "nothing.csv")},
        {"path": "gs://bucket/rows.csv"},
        {"sql": "select 1", "sql_conn_id": "fast"},
        {"users": {"rows": []}},
        {"users": [{"customer_id": "unknown"}]},
    ):
        assert shown(track.fails(MoEngageTaskFailed, **mistake)) == [MoEngageTaskFailed]
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(b"\x1f\x8b damaged")
    kinds = shown(track.fails(MoEngageIncompleteRun, path=str(damaged)))
    assert len(kinds) == 2
    track.sandbox.fault(kind="status", status=500)
    kinds = shown(track.fails(MoEngageIncompleteRun, users=[GOOD_USER]))
    assert kinds == [MoEngageIncompleteRun, MoEngageServerError]
    track.sandbox.reset()
    connection = json.loads(track.sandbox.connection_json)
    wrong = {**connection, "password": "another key"}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(wrong))
    assert shown(track.fails(MoEngageTaskFailed, users=[GOOD_USER])) == [
        MoEngageTaskFailed,
        MoEngageAuthError,
    ]
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps({**connection, "port": 1}))
    kinds = shown(track.fails(MoEngageIncompleteRun, users=[GOOD_USER]))
    assert kinds[:2] == [MoEngageIncompleteRun, MoEngageNetworkError]
    assert len(kinds) == 3


def test_an_unknown_error_keeps_its_cause(track: Tracker):
    class Broken:
        def __len__(self) -> int:
            raise TypeError

        def prepare(self, check_columns: Any, halt: Any) -> None:
            return None

        def rows(self, check_columns: Any, start: int = 0) -> Any:
            raise LookupError("nothing there") from ValueError("inside")
            yield

    kinds = shown(track.fails(MoEngageIncompleteRun, users=Broken()))
    assert kinds == [MoEngageIncompleteRun, LookupError, ValueError]


@pytest.mark.usefixtures("answering_database")
def test_a_table_of_the_hook_is_checked_too(track: Tracker):
    with pytest.raises(
        MoEngageError, match="output_conn_id names the connection 'fast', which does not exist"
    ):
        MoEngageHook().get_users(["a1"], sink=TableSink("fast", "t", ["plan"]), mapping=IdentifierMapping())
