"""Every message that the page quotes is provoked, or found in the sources: the package really writes it."""

from __future__ import annotations

import ast
import json
import logging
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox import __main__ as sandbox_program
from tests.end_to_end.tries import Task
from tests.support.dag_runs import ROOT
from tests.support.task_state_store import TaskStateStore

PAGE = ROOT / "docs" / "troubleshooting.md"
PACKAGE = ROOT / "airflow_provider_moengage"
ELLIPSIS = "…"
ROW = {"customer_id": "a1", "plan": "gold"}


def customers(number: int, **attributes: Any) -> list[dict[str, Any]]:
    return [{"customer_id": f"c-{n}", **attributes} for n in range(number)]


def messages() -> list[str]:
    """Return the messages that the page quotes, each on a line above what it means."""
    return re.findall(r"^`(.+)`\n: ", PAGE.read_text(), re.MULTILINE)


def pattern_of(message: str) -> re.Pattern[str]:
    """Return what a text matches that has the message; an ellipsis stands for anything in a line."""
    return re.compile(".*".join(re.escape(part.strip()) for part in message.split(ELLIPSIS)))


class Workplace:
    """A worker with a connection to the sandbox, a warehouse and a folder; what is logged and raised is collected."""

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        run_sql: Callable[..., None],
    ) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.run_sql = run_sql
        self.raised: list[str] = []

    def push(self, operator: Any = MoEngageTrackUsersOperator, **parameters: Any) -> None:
        """Run an operator, by default with one good row; an error is collected."""
        if not parameters.keys() & {"users", "events", "members", "sql", "path"}:
            parameters["users"] = [ROW]
        self.attempt(lambda: operator(task_id="push", **parameters).execute({}))

    def attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            self.raised.append(f"{type(error).__name__}: {error}")

    def connect(self, name: str = "moengage_default", **fields: Any) -> None:
        """Change fields of the connection to the sandbox; None leaves one out."""
        changed = {**self.sandbox.connection, **fields}
        connection = {key: value for key, value in changed.items() if value is not None}
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))

    def file(self, name: str, content: bytes | str) -> str:
        """Write a file of rows, and return its URL."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path.as_uri()

    def url(self, name: str) -> str:
        return (self.folder / name).as_uri()


@pytest.fixture
def workplace(
    moengage_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sqlite_warehouse: Callable[..., None],
    fast_retries: None,
    caplog: pytest.LogCaptureFixture,
) -> Workplace:
    caplog.set_level(logging.INFO)
    sqlite_warehouse(
        "create table customers (customer_id text, plan_name text, status text); "
        "insert into customers values ('a1', 'gold', 'new')"
    )
    workplace = Workplace(moengage_sandbox, tmp_path, monkeypatch, sqlite_warehouse)
    workplace.connect()
    return workplace


Provoker = Callable[[Workplace], object]
PROVOKERS: dict[str, Provoker] = {}


def prints(message: str) -> Callable[[Provoker], Provoker]:
    """Register a function that makes the package print a message."""

    def register(provoke: Provoker) -> Provoker:
        PROVOKERS[message] = provoke
        return provoke

    return register


def pushes(message: str, **parameters: Any) -> None:
    """Register a run of Track Users that prints a message."""
    prints(message)(lambda workplace: workplace.push(**parameters))


def connects(message: str, **fields: Any) -> None:
    """Register a connection with which a run prints a message."""

    def provoke(workplace: Workplace) -> None:
        workplace.connect(**fields)
        workplace.push()

    prints(message)(provoke)


# The connection.
connects('MoEngage answered 401 … ("APP_KEY and APP_SECRET do not match")', password="another key")
connects('MoEngage answered 401 … ("APP_ID is invalid")', login="ANOTHER")
connects("the data centre (extra data_center) is missing", host=None, port=None)
connects("the data centre (extra data_center) is …, which is unknown", extra={"data_center": "99"})
connects("the Data API key (the connection's password) is missing", password=None)
connects("host … would be reached over plain http", host="http://proxy.example.com", port=80)
connects("… could not be reached", port=9)
connects("The connection's extras … are unknown and ignored", extra={"datacenter": "03"})
connects("which is of type …; name one of type moengage", conn_type="http")
pushes(
    "sql_conn_id names the connection …, which is not a database's",
    sql="select 1",
    sql_conn_id="moengage_default",
)


@prints("moengage_conn_id names the connection …, which does not exist")
def no_connection(workplace: Workplace) -> None:
    # There is no migrated database here; an empty one has no such connection.
    backend = "airflow.secrets.metastore.MetastoreBackend.get_connection"
    workplace.monkeypatch.setattr(backend, lambda *_, **__: None)
    workplace.push(moengage_conn_id="elsewhere")


@prints("MoEngage answered 403 …: the account is suspended, or the workspace has an IP allow-list")
def suspended(workplace: Workplace) -> None:
    workplace.sandbox.fault(
        kind="status", status=403, type="Account Suspended", message="The account is suspended"
    )
    workplace.push()


@prints("sql_conn_id names the connection … of type …, which has no hook here")
def no_provider(workplace: Workplace) -> None:
    workplace.connect("oracle", conn_type="oracle")
    workplace.push(sql="select 1", sql_conn_id="oracle")


# Rows.
SQL = {"sql": "select customer_id, plan_name, status from customers", "sql_conn_id": "warehouse"}
pushes("The source has no rows; nothing was sent", users=[])
pushes("sql cannot be run with sql_conn_id=…", sql="select nothing from nowhere", sql_conn_id="warehouse")
pushes(
    "the source has no column …; set id_column= to the right one of its columns",
    **{**SQL, "sql": "select customer_id as user_id from customers"},
)
pushes("attributes reads … from column …, which the source does not have", **SQL, attributes={"plan": "plan"})
pushes("column …; send it under another name with attributes=…", **SQL)
pushes("customer_id is missing", users=[{"customer_id": None}])
pushes("customer_id is one of the words that MoEngage blocks", users=[{"customer_id": "null"}])


@prints("attribute … has a datetime without a time zone; set timezone=…")
def naive(workplace: Workplace) -> None:
    workplace.push(users=[{**ROW, "seen": datetime(2026, 1, 31)}])


pushes("attribute … has a string that looks like a date", users=[{**ROW, "born": "31/12/1999"}])
pushes(
    "that is not a datetime; types says datetime", users=[{**ROW, "born": "soon"}], types={"born": "datetime"}
)
pushes("attribute … has a string over 512 characters", users=[{**ROW, "notes": "a" * 600}])
pushes("rejected, more than max_rejected=… allows", users=[ROW, {"customer_id": None}])
pushes("is a text that is not JSON, but the Python form of a list", users="[{'customer_id': 'a1'}]")
pushes("users is a dict", users={"rows": [ROW]})


@prints("MoEngage rejected 50 rows with … and accepted none")
def all_rejected(workplace: Workplace) -> None:
    workplace.sandbox.fault(kind="status", status=400)
    workplace.push(users=customers(500))


@prints("the header has one column, which holds …; set delimiter=")
def semicolons(workplace: Workplace) -> None:
    workplace.push(path=workplace.file("rows.csv", "customer_id;plan\na1;gold\n"))


@prints("the text is not UTF-8")
def encoded(workplace: Workplace) -> None:
    workplace.push(path=workplace.file("rows.csv", "customer_id,plan\na1,gold\n".encode("utf-16-le")))


@prints("path … does not exist, as this worker sees it")
def nowhere(workplace: Workplace) -> None:
    workplace.push(path=workplace.url("nowhere"))


@prints("path has a Parquet file, which needs pyarrow")
def parquet(workplace: Workplace) -> None:
    workplace.monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    workplace.monkeypatch.setitem(sys.modules, "pyarrow", None)
    workplace.push(path=workplace.file("rows.parquet", b"PAR1"))


# Limits and the network.
@prints("MoEngage answered 503: attempt … of … in …")
def outage(workplace: Workplace) -> None:
    workplace.sandbox.fault(kind="status", status=503)
    workplace.push()


PROVOKERS["a request is given up after … attempts"] = outage
PROVOKERS["The run ended early: …"] = outage


@prints("no response came: MoEngage may or may not have accepted it, and on_unknown is 'reject'")
def lost(workplace: Workplace) -> None:
    workplace.sandbox.fault(kind="drop_after", times=1)
    workplace.push(
        MoEngageTrackEventsOperator,
        events=[{"customer_id": "a1", "action": "Order"}],
        time_column=None,
        on_unknown="reject",
    )


@prints("the connection's rate_limit_conn_id needs the redis package")
def no_redis(workplace: Workplace) -> None:
    workplace.monkeypatch.setitem(sys.modules, "redis", None)
    workplace.connect("redis_default", conn_type="redis", host="127.0.0.1")
    workplace.connect(extra={"rate_limit_conn_id": "redis_default"})
    workplace.push()


@prints("did not respond (…); the rate headers alone are followed until it does")
def redis_gone(workplace: Workplace) -> None:
    workplace.connect("redis_default", conn_type="redis", host="127.0.0.1", port=9)
    workplace.connect(extra={"rate_limit_conn_id": "redis_default"})
    workplace.push()


# Retries.
@prints("A retry begins with the first row again, because …")
def begins_again(workplace: Workplace) -> None:
    workplace.attempt(Task(MoEngageTrackUsersOperator, None, **SQL, attributes=["plan_name"]).attempt)


def interrupted(workplace: Workplace, operator: Any, **parameters: Any) -> Task:
    task = Task(operator, TaskStateStore(), **parameters)
    workplace.sandbox.fault(kind="status", status=503, after=600)
    workplace.attempt(task.attempt)
    workplace.sandbox.clear_faults()
    return task


@prints("Resumed where try … ended: … rows are done")
def resumed(workplace: Workplace) -> None:
    task = interrupted(workplace, MoEngageTrackUsersOperator, users=customers(800))
    workplace.attempt(task.attempt)


@prints("An earlier try has sent rows and cannot be resumed, because …")
def not_resumed(workplace: Workplace) -> None:
    task = interrupted(workplace, MoEngageTrackUsersOperator, users=customers(800))
    workplace.attempt(lambda: task.attempt(nulls="send"))


@prints("An earlier try of this task may have sent events, and this one cannot tell which")
def unsafe(workplace: Workplace) -> None:
    rows = customers(800, action="Order")
    task = interrupted(workplace, MoEngageTrackEventsOperator, events=rows, time_column=None)
    workplace.attempt(lambda: task.attempt(update_existing_only=True))


@prints("The task was cleared: it starts over")
def cleared(workplace: Workplace) -> None:
    task = interrupted(workplace, MoEngageTrackUsersOperator, users=customers(800))
    task.clear()
    workplace.attempt(task.attempt)


@prints("The rows cannot be staged in …; nothing was sent")
def no_staging(workplace: Workplace) -> None:
    blocked = workplace.file("blocked", "")
    task = Task(
        MoEngageTrackUsersOperator, TaskStateStore(), **SQL, attributes=["plan_name"], staging_path=blocked
    )
    workplace.attempt(task.attempt)


@prints("deferrable is True, but the task could not resume after a deferral: …")
def not_deferrable(workplace: Workplace) -> None:
    task = Task(MoEngageTrackUsersOperator, None, **SQL, attributes=["plan_name"], deferrable=True)
    workplace.attempt(task.attempt)


# Only what changed.
pushes("changed_only is True, but there is no folder for the snapshot", changed_only=True)


def syncs(workplace: Workplace, *rows: Mapping[str, Any], **parameters: Any) -> None:
    folder = {"changed_only": True, "snapshot_path": workplace.url("snapshots")}
    workplace.push(users=list(rows), **{**folder, **parameters})


@prints("Every row is sent, changed or not, because …")
def not_trusted(workplace: Workplace) -> None:
    syncs(workplace, ROW)
    for manifest in (workplace.folder / "snapshots").rglob("manifest-*"):
        manifest.write_text("{")
    syncs(workplace, ROW)


REMOVING = {"on_removed": "update", "removed_attributes": {"customer": False}}


@prints("left the source, more than max_removed=… allows; no record is removed")
def too_many_left(workplace: Workplace) -> None:
    for rows in (customers(20), customers(10)):
        syncs(workplace, *rows, **REMOVING)


@prints("Nothing is removed, because …")
def one_rejected(workplace: Workplace) -> None:
    syncs(workplace, *customers(20), **REMOVING)
    syncs(workplace, *customers(20), {"customer_id": None}, max_rejected=1, **REMOVING)


@prints("that the snapshot has, … changed: does the query return something that changes by itself")
def nearly_all(workplace: Workplace) -> None:
    for age in (1, 2):
        syncs(workplace, *customers(2_000, age=age), bulk=True)


@prints("snapshot_path … cannot be written; nothing was sent")
def not_writable(workplace: Workplace) -> None:
    syncs(workplace, ROW, snapshot_path=workplace.file("blocked", "") + "/snapshots")


# The sandbox.
@prints("The MoEngage sandbox cannot listen on …")
def in_use(workplace: Workplace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sandbox_program.main(["--port", str(taken.getsockname()[1])])


@pytest.mark.parametrize("message", PROVOKERS)
def test_a_message_of_the_page_is_printed(message, workplace, caplog, capsys):
    PROVOKERS[message](workplace)
    printed = "\n".join([caplog.text, *workplace.raised, *capsys.readouterr()])
    assert pattern_of(message).search(printed), printed


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Yield the texts in a module, with an ellipsis for each part that is put in at run time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in node.values)
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%\.?\d*[sdf]|\{\w+\}", ELLIPSIS, node.value)


def test_the_other_messages_are_in_the_sources():
    trees = (ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py"))
    texts = "\n".join(text for tree in trees for text in texts_of(tree))
    others = set(messages()) - set(PROVOKERS)
    assert len(others) < 10
    assert [message for message in others if not pattern_of(message).search(texts)] == []


def test_a_message_that_the_package_has_not_is_found():
    texts = "\n".join(texts_of(ast.parse("f'the host {name} is wrong'\nlog('%d rows in %s', 1, 2)")))
    assert pattern_of("the host … is wrong").search(texts)
    assert pattern_of("… rows in …").search(texts)
    assert not pattern_of("the host … is right").search(texts)


def test_every_provoked_message_is_on_the_page():
    quoted = messages()
    assert set(PROVOKERS) <= set(quoted)
    assert len(quoted) == len(set(quoted))
    assert len(quoted) >= 50
