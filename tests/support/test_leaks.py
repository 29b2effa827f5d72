"""The watch finds what it looks for wherever it is said, and fails the test that said it."""

from __future__ import annotations

import base64
import logging
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import TaskInstance
from tests.support import leaks as names
from tests.support.dag_runs import ROOT, run_program
from tests.support.leaks import PERSON, Watch, watch
from tests.support.task_state_store import TaskStateStore

# What is planted in a log is printed as well.
pytestmark = [pytest.mark.shows(names.MARKED_VALUE, names.OUTPUT, reason="planted")]
LOGGER = logging.getLogger("airflow_provider_moengage.delivery.account.ledger")


def taken(leaks: Watch) -> set[str]:
    """Return where something was found, so that it does not fail this test."""
    found, leaks.findings = leaks.findings, []
    return {finding.where for finding in found}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("the key SANDBOX_KEY is wrong", names.KEY),
        ("demo-key", names.KEY),
        ("learned-key", names.KEY),
        (f"Basic {base64.b64encode(b'SANDBOX_WORKSPACE:SANDBOX_KEY').decode()}", names.HEADER),
        (f"Basic {base64.b64encode(b'W:learned-key').decode()}", names.HEADER),
        ("REDISKEY", names.PASSWORD),
        (f"Frau {PERSON.upper()}s Name", names.MARKED_VALUE),
        ("{'customer_id': 'user-17'}", names.CUSTOMER_ID),
    ],
)
def test_each_kind_is_found_and_named_but_not_shown(said: str, kind: str):
    own = Watch()
    own.learn("W", "learned-key")
    own(f"Row 3: {said}", names.LOG, "here")
    (finding,) = own.findings
    assert str(finding).startswith(f"a log line (here) held {kind}: Row 3: ")
    assert f"<{kind}>" in finding.text
    own(finding, names.LOG, "again")
    assert len(own.findings) == 1


def log_with_traceback() -> None:
    try:
        raise ValueError(PERSON)
    except ValueError:
        LOGGER.exception("It went wrong")


def log_a_key_in_use() -> None:
    Workspace(app_id="W", api_key="another-key", data_center="01")
    LOGGER.warning("another-key")


class Leaking(MoEngageTrackUsersOperator):
    """Does what it is told instead of sending."""

    act: Callable[[], Any]

    def _send(self, *_: Any, **__: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.act()
        return result


def run(act: Callable[[], Any], **parameters: Any) -> None:
    operator = Leaking(task_id="push", users=[], **parameters)
    operator.act = act
    operator.execute({})


def run_raising(error: BaseException, cause: BaseException | None = None) -> None:
    def fail() -> None:
        raise error from cause

    with pytest.raises(type(error)):
        run(fail)


class Deferred(BaseException):
    class trigger:
        @staticmethod
        def serialize() -> tuple[str, dict[str, Any]]:
            return "Trigger", {"moment": PERSON}


TRACEBACK = '  File "push.py", line 3, in push\n    push("{}")\nValueError: {}'


@pytest.mark.parametrize(
    ("say", "found"),
    [
        (lambda: LOGGER.info("Sent %s", PERSON), {names.LOG}),
        (lambda: LOGGER.debug("Sent %s", PERSON), set()),
        (log_with_traceback, {names.LOG}),
        (log_a_key_in_use, {names.LOG}),
        (lambda: run(lambda: {"read": 1}), set()),
        (lambda: run(lambda: {"read": 1}, rejected_path=f"/tmp/{PERSON}"), {names.RENDERED}),
        (lambda: run_raising(RuntimeError(PERSON)), {names.EXCEPTION}),
        (lambda: run_raising(RuntimeError("it failed"), ValueError(PERSON)), {names.EXCEPTION}),
        (lambda: run_raising(Deferred()), {names.CHECKPOINT}),
        (lambda: TaskInstance().xcom_push("report", {"reasons": {PERSON: 1}}), {names.XCOM}),
        (lambda: TaskInstance().xcom_push("return_value", {"users": [PERSON]}), set()),
        (lambda: TaskStateStore().set("moengage_checkpoint", {"next": PERSON}), {names.CHECKPOINT}),
        (lambda: run_program(sys.executable, "-c", f"print('{PERSON}')", env={}), {names.OUTPUT}),
        (lambda: watch.output(f"[debug    ] Row 1 would be sent as {PERSON}", "Airflow 3"), set()),
        (lambda: watch.output(f"[2026] {{}} DEBUG - Row 1 would be sent as {PERSON}", "Airflow 2"), set()),
        (lambda: watch.output(TRACEBACK.format(PERSON, "it failed"), "a program"), set()),
        (lambda: watch.output(TRACEBACK.format("it", PERSON), "a program"), {names.OUTPUT}),
    ],
)
@pytest.mark.shows(names.KEY, names.OUTPUT, reason="planted")
def test_what_is_said_is_seen_wherever_it_is_said(leaks: Watch, say: Callable[[], object], found: set[str]):
    say()
    assert taken(leaks) == found


def test_what_an_operator_returns_is_seen(leaks: Watch):
    run(lambda: {"read": 1, "reasons": {PERSON: 1}})
    # The operator logs its report too, which Airflow 2 passes to logging.
    assert names.XCOM in taken(leaks)


def test_what_a_dag_run_leaves_is_seen_but_the_dags_own_text(leaks: Watch, tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "airflow.db")
    connection.executescript(f"create table dag_code (source text); insert into dag_code values ('{PERSON}')")
    leaks.database(tmp_path / "airflow.db")
    assert taken(leaks) == set()
    connection.executescript("create table xcom (value text); insert into xcom values ('user-1')")
    connection.close()
    leaks.database(tmp_path / "airflow.db")
    (tmp_path / "checkpoint.json").write_text(PERSON)
    leaks.folder(tmp_path)
    assert taken(leaks) == {names.DATABASE, names.CHECKPOINT}
    # The end of the test would find it again.
    (tmp_path / "checkpoint.json").unlink()


CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.support.watching import leaks, pytest_runtest_makereport, watched_suite

def pytest_configure(config):
    config.addinivalue_line("markers", "shows(kind, where, reason): on purpose")
"""
TESTS = """
import logging
import pytest

def test_quiet():
    logging.getLogger("x").warning("nothing")

def test_prints():
    print("Wenzel" + "gunde")

@pytest.mark.shows("the API key", "a log line", reason="it is what the test is about")
def test_on_purpose():
    logging.getLogger("x").warning("SANDBOX_" + "KEY")

@pytest.mark.shows("the API key", "the output", reason="another place")
def test_elsewhere():
    logging.getLogger("x").warning("SANDBOX_" + "KEY")
"""


def test_a_test_that_shows_something_fails_at_its_end_unless_it_says_why(pytester: pytest.Pytester):
    pytester.makeconftest(CONFTEST.format(root=str(ROOT)))
    pytester.makepyfile(test_inner=TESTS)
    # Its output goes through the watch of this test too.
    result = pytester.runpytest_subprocess("-q", "--show-capture=no")
    result.assert_outcomes(passed=4, errors=2)
    said = result.stdout.str()
    assert "In test_inner.py::test_prints the output (standard output) held a marked value: <a mark" in said
    assert "In test_inner.py::test_elsewhere a log line (x, WARNING) held the API key: <the API key>" in said
