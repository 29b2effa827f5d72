"""
Hands to :data:`tests.leaks.watch` whatever the suite's runs say, keep and show; what is found fails the test.

``from tests.watching import leaks, pytest_runtest_makereport, watched_suite`` in a conftest makes it so for all tests
below. A test that shows something on purpose says so:
``@pytest.mark.shows(kind, where, reason="…")``, with the names of :mod:`tests.leaks`.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.api.workspace import Workspace
from tests.leaks import CHECKPOINT, Watch, watch


@pytest.fixture(scope="session", autouse=True)
def watched_suite() -> Iterator[None]:
    """Let what the runs of all tests do pass by the watch."""
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_watching_factory(factory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "__post_init__", _learning(Workspace.__post_init__))
        patch.setattr(pytest.ExceptionInfo, "fill_unfilled", _catching(pytest.ExceptionInfo.fill_unfilled))
        patch.setattr(pytest.CaptureFixture, "readouterr", _reading(pytest.CaptureFixture.readouterr))
        # Not imported for this: the tests of the sandbox do without Airflow.
        operators = sys.modules.get("airflow_provider_moengage.operators.base")
        if operators is not None:
            operator = operators.MoEngageSendOperator
            # What execute and, after a deferral, resume come to in every operator.
            patch.setattr(operator, "_run", _running(operator._run))
        yield
    logging.setLogRecordFactory(factory)


@pytest.fixture(autouse=True)
def leaks(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """Watch a test, and fail it where something held a secret or a person."""
    watch.begin()
    yield watch
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None:
        watch.folder(folder)
    meant = {marker.args for marker in request.node.iter_markers("shows") if marker.kwargs["reason"]}
    found = [str(finding) for finding in watch.findings if (finding.kind, finding.where) not in meant]
    if found:
        pytest.fail(f"In {request.node.nodeid} " + "\nand ".join(dict.fromkeys(found)), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Look at what a test printed, on Airflow 3 its operators' log among it, before its fixtures end."""
    report = yield
    if report.when == "call":
        watch.output(report.capstdout, "standard output")
        watch.output(report.capstderr, "standard error")
    return report


def _watching_factory(plain: Any) -> Any:
    """Make log records: every one that is not below its logger's level, whatever the handlers."""

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = plain(*args, **kwargs)
        watch.record(record)
        return record

    return make


def _learning(plain: Any) -> Any:
    """Make a workspace: its key is a secret from now on."""

    @functools.wraps(plain)
    def post_init(workspace: Workspace) -> None:
        plain(workspace)
        watch.learn(workspace.app_id, workspace.api_key)

    return post_init


def _catching(plain: Any) -> Any:
    """Catch what ``pytest.raises`` expects; this package's errors are looked at."""

    @functools.wraps(plain)
    def fill_unfilled(info: Any, caught: Any) -> None:
        plain(info, caught)
        if isinstance(caught[1], MoEngageError):
            watch.error(caught[1])

    return fill_unfilled


def _reading(plain: Any) -> Any:
    """Read a test's output, which pytest's report of the test then lacks."""

    @functools.wraps(plain)
    def readouterr(capture: Any) -> Any:
        said = plain(capture)
        for text in said:
            watch.output(str(text), "as the test read it")
        return said

    return readouterr


def _running(plain: Any) -> Any:
    """Run an operator: its rendered fields, what it returns and what it raises are looked at."""

    @functools.wraps(plain)
    def run(operator: Any, *args: Any, **kwargs: Any) -> Any:
        watch.rendered(operator)
        try:
            returned = plain(operator, *args, **kwargs)
        except BaseException as error:
            watch.error(error)
            if hasattr(error, "trigger"):
                # A deferral is an exception too; Airflow keeps these until the task goes on.
                watch([error.trigger.serialize(), vars(error)], CHECKPOINT, "the arguments of a deferral")
            raise
        watch.xcom(returned, "return_value")
        return returned

    return run
