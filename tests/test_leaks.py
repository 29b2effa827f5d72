"""The watch finds what it looks for wherever it can be, fails the test that held it, and has looked at real runs."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.dag_runs import ROOT, run_program
from tests.leaks import (
    CHECKPOINT,
    CUSTOMER_ID,
    DATABASE,
    EXCEPTION,
    HEADER,
    KEY,
    LOG,
    MARKED_VALUE,
    OUTPUT,
    PASSWORD,
    PERSON,
    RENDERED,
    XCOM,
    Watch,
)
from tests.operators.conftest import TaskInstance
from tests.task_state_store import TaskStateStore

# What is planted in a log is printed as well.
pytestmark = [
    pytest.mark.shows(kind, OUTPUT, reason="planted")
    for kind in (KEY, HEADER, PASSWORD, MARKED_VALUE, CUSTOMER_ID)
]
LEDGER = logging.getLogger("airflow_provider_moengage.delivery.account.ledger")


def taken(leaks: Watch) -> set[tuple[str, str]]:
    """What was found, and where; it does not fail this test, which planted it."""
    return {(finding.kind, finding.where) for finding in leaks.take()}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the key SANDBOX_KEY is wrong", KEY),
        ("demo-key", KEY),
        (b"SANDBOX_WORKSPACE:SANDBOX_KEY", HEADER),
        ("REDISKEY", PASSWORD),
        (f"Frau {PERSON.upper()}s Name", MARKED_VALUE),
        ({"customer_id": "user-17"}, CUSTOMER_ID),
    ],
)
def test_each_kind_is_found_in_a_log_line_and_named_but_not_shown(leaks: Watch, text: Any, kind: str):
    said = f"Basic {base64.b64encode(text).decode()}" if isinstance(text, bytes) else str(text)
    LEDGER.info("Row %d refused: %s", 3, said)
    found = leaks.take()
    assert kind in {finding.kind for finding in found}
    for finding in found:
        assert str(finding).startswith(
            "a log line (airflow_provider_moengage.delivery.account.ledger, INFO) held "
        )
        again = Watch()
        again(str(finding), LOG)
        assert again.findings == []


def test_a_key_is_known_as_soon_as_a_workspace_has_it(leaks: Watch):
    logging.getLogger("urllib3").warning("another-key")
    assert taken(leaks) == set()
    Workspace(app_id="W", api_key="another-key", data_center="01")
    logging.getLogger("urllib3").warning("another-key")
    logging.getLogger("urllib3").warning("%s", base64.b64encode(b"W:another-key").decode())
    assert taken(leaks) == {(KEY, LOG), (HEADER, LOG)}


def test_what_is_logged_below_info_may_hold_people(leaks: Watch, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    LEDGER.debug("Row %d would be sent as %s", 3, PERSON)
    assert PERSON in caplog.text
    assert taken(leaks) == set()


def test_the_traceback_of_a_log_line_is_part_of_it(leaks: Watch):
    try:
        raise ValueError(PERSON)
    except ValueError:
        LEDGER.exception("It went wrong")
    assert taken(leaks) == {(MARKED_VALUE, LOG)}


def test_what_an_operator_logs_is_seen(leaks: Watch, capfd: pytest.CaptureFixture[str]):
    MoEngageTrackUsersOperator(task_id="push", users=[]).log.info("Sent %s", PERSON)
    # Airflow 3 prints it, Airflow 2 hands it to logging.
    capfd.readouterr()
    assert taken(leaks) & {(MARKED_VALUE, OUTPUT), (MARKED_VALUE, LOG)}


def fail(error: BaseException, cause: BaseException | None = None) -> Any:
    raise error from cause


def fail_after(first: Exception, error: Exception) -> None:
    try:
        raise first
    except type(first):
        raise error  # noqa: B904


def test_an_expected_exception_and_its_chain_are_seen(leaks: Watch):
    with pytest.raises(MoEngageParameterError):
        fail(MoEngageParameterError(f"{PERSON} is wrong"))
    assert taken(leaks) == {(MARKED_VALUE, EXCEPTION)}
    with pytest.raises(MoEngageParameterError):
        fail(MoEngageParameterError("it failed"), ValueError(PERSON))
    assert taken(leaks) == {(MARKED_VALUE, EXCEPTION)}
    with pytest.raises(MoEngageParameterError):
        fail_after(ValueError(PERSON), MoEngageParameterError("it failed"))
    assert taken(leaks) == {(MARKED_VALUE, EXCEPTION)}


def test_what_an_exception_was_raised_from_none_of_is_not_shown(leaks: Watch):
    error = MoEngageParameterError("it failed")
    error.__suppress_context__ = True
    with pytest.raises(MoEngageParameterError):
        fail_after(ValueError(PERSON), error)
    assert isinstance(error.__context__, ValueError)
    assert taken(leaks) == set()


class Leaking(MoEngageTrackUsersOperator):
    """Does what it is told in place of sending."""

    act: Callable[[], Any]

    def _send(self, *_: Any, **__: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.act()
        return result


def leaking(act: Callable[[], Any], **parameters: Any) -> None:
    operator = Leaking(task_id="push", users=[], **parameters)
    operator.act = act
    operator.execute({})


class Trigger:
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "Trigger", {"moment": PERSON}


class Deferred(BaseException):
    trigger = Trigger()


def test_what_an_operator_returns_shows_and_raises_is_seen(leaks: Watch):
    leaking(lambda: {"read": 1})
    assert taken(leaks) == set()
    leaking(lambda: {"read": 1, "reasons": {f"{PERSON} is no date": 1}})
    # The operator logs its report too.
    assert (MARKED_VALUE, XCOM) in taken(leaks)
    leaking(lambda: {"read": 1}, rejected_path=f"/tmp/{PERSON}")
    assert taken(leaks) == {(MARKED_VALUE, RENDERED)}
    with pytest.raises(RuntimeError):
        leaking(lambda: fail(RuntimeError(PERSON)))
    assert taken(leaks) == {(MARKED_VALUE, EXCEPTION)}
    with pytest.raises(Deferred):
        leaking(lambda: fail(Deferred()))
    assert taken(leaks) == {(MARKED_VALUE, CHECKPOINT)}


def test_what_is_pushed_is_seen_and_profiles_that_were_asked_for_are_not(leaks: Watch):
    TaskInstance().xcom_push("report", {"read": 1, "reasons": {PERSON: 1}})
    assert taken(leaks) == {(MARKED_VALUE, XCOM)}
    leaks.xcom({"read": 1, "users": [{"name": PERSON}], "users_not_found": ["user-1"]}, "return_value")
    assert taken(leaks) == set()


def test_checkpoints_are_seen(leaks: Watch, tmp_path: Path):
    for store in (TaskStateStore(), TaskStateStore(tmp_path / "store.json")):
        store.set("moengage_checkpoint", {"next": "user-3"})
        assert taken(leaks) == {(CUSTOMER_ID, CHECKPOINT)}
        assert store.get("moengage_checkpoint") == {"next": "user-3"}
        store.delete("moengage_checkpoint")
        assert store.get("moengage_checkpoint", 0) == 0
    assert TaskStateStore(tmp_path / "store.json").get("moengage_checkpoint") is None
    file = tmp_path / "dag" / "run" / "push" / "checkpoint.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"name": PERSON}))
    leaks.folder(tmp_path)
    assert taken(leaks) == {(MARKED_VALUE, CHECKPOINT)}
    # The end of the test would find it again.
    file.unlink()


def test_what_a_program_prints_is_seen_its_source_code_and_debug_lines_are_not(leaks: Watch):
    def run(program: str) -> None:
        run_program(sys.executable, "-c", f"name = '{PERSON[:5]}' + '{PERSON[5:]}'\n{program}", env={})

    run("print('Hello', name)")
    assert taken(leaks) == {(MARKED_VALUE, OUTPUT)}
    run("print('2026-01-01T00:00:00Z [debug    ] Row 1 would be sent as', name)")
    run("print('[2026-01-01] {pipeline.py:1} DEBUG - Row 1 would be sent as', name)")
    assert taken(leaks) == set()
    trace = (
        f'Traceback:\n  File "push.py", line 3, in push\n    push("{PERSON}")\n         ^^^^\nValueError: '
    )
    leaks.output(trace, "a program")
    assert taken(leaks) == set()
    leaks.output(trace + PERSON, "a program")
    assert taken(leaks) == {(MARKED_VALUE, OUTPUT)}


def test_every_table_of_a_metadata_database_is_seen_but_the_dags_own_text(leaks: Watch, tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "airflow.db")
    connection.executescript(f"create table dag_code (source text); insert into dag_code values ('{PERSON}')")
    leaks.database(tmp_path / "airflow.db")
    assert taken(leaks) == set()
    connection.executescript("create table xcom (key text, value blob)")
    connection.execute("insert into xcom values ('report', ?)", [json.dumps({PERSON: 1}).encode()])
    connection.commit()
    connection.close()
    leaks.database(tmp_path / "airflow.db")
    assert taken(leaks) == {(MARKED_VALUE, DATABASE)}


DAG = """
import logging
from datetime import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG("leaking", schedule=None, start_date=datetime(2026, 1, 1)) as dag:

    @task
    def leak(number):
        logging.getLogger("airflow.task").warning("user-%d", number)
        return f"user-{number}"

    leak(17)
"""


def test_a_dag_run_is_seen_in_its_output_and_in_its_database(
    leaks: Watch, run_dag: Callable[..., Any], tmp_path: Path
):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "leaking.py").write_text(DAG)
    assert run_dag(tmp_path / "dags" / "leaking.py")["state"] == "success"
    assert taken(leaks) == {(CUSTOMER_ID, OUTPUT), (CUSTOMER_ID, DATABASE)}


CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.watching import leaks, pytest_runtest_makereport, watched_suite

def pytest_configure(config):
    config.addinivalue_line("markers", "shows(kind, where, reason): on purpose")
"""
TESTS = """
import logging
import pytest

def test_quiet():
    logging.getLogger("x").warning("nothing")

def test_logs():
    logging.getLogger("x").warning("SANDBOX_" + "KEY")

def test_prints():
    print("Wenzel" + "gunde")

@pytest.mark.shows("the API key", "a log line", reason="it is what the test is about")
def test_on_purpose():
    logging.getLogger("x").warning("SANDBOX_" + "KEY")

@pytest.mark.shows("the API key", "the output", reason="another place")
def test_elsewhere():
    logging.getLogger("x").warning("SANDBOX_" + "KEY")
"""


def test_a_test_that_holds_something_fails_at_its_end_unless_it_says_why(pytester: pytest.Pytester):
    pytester.makeconftest(CONFTEST.format(root=str(ROOT)))
    pytester.makepyfile(test_inner=TESTS)
    # Its output goes through the watch of this test too.
    result = pytester.runpytest_subprocess("-q", "--show-capture=no")
    result.assert_outcomes(passed=5, errors=3)
    said = result.stdout.str()
    for name, held in (
        ("test_logs", "a log line (x, WARNING) held the API key: <the API key>"),
        ("test_prints", "the output (standard output) held a marked value: <a marked value>"),
        ("test_elsewhere", "a log line (x, WARNING) held the API key: <the API key>"),
    ):
        assert f"In test_inner.py::{name} {held}" in said
