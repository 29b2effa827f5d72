"""
Passes to :data:`tests.support.leaks.watch` what the suite's runs log, return, raise and print; what is found fails the test.

``from tests.support.watching import leaks, pytest_runtest_makereport, watched_suite`` in a conftest does so for all tests below
it. A test that shows something on purpose is marked ``@pytest.mark.shows(kind, where, reason="…")``, with the names of
:mod:`tests.support.leaks`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from airflow_provider_moengage.api.workspace import Workspace
from tests.support.leaks import CHECKPOINT, RENDERED, Watch, watch


@pytest.fixture(scope="session", autouse=True)
def watched_suite() -> Iterator[None]:
    """Watch what all tests log, the keys they use and the operators they run."""
    make_record, post_init = logging.getLogRecordFactory(), Workspace.__post_init__

    def watching_factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = make_record(*args, **kwargs)
        watch.record(record)
        return record

    def learning_post_init(workspace: Workspace) -> None:
        post_init(workspace)
        watch.learn(workspace.app_id, workspace.api_key)

    logging.setLogRecordFactory(watching_factory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "__post_init__", learning_post_init)
        # Not imported for this: the tests of the sandbox do without Airflow.
        operators = sys.modules.get("airflow_provider_moengage.operators.base")
        if operators is not None:
            operator = operators.MoEngageSendOperator
            # Called by execute and, after a deferral, by resume, in every operator.
            patch.setattr(operator, "_run", _watching_run(operator._run))
        yield
    logging.setLogRecordFactory(make_record)


@pytest.fixture(autouse=True)
def leaks(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """Watch a test, and fail it if something held a secret or a person."""
    watch.begin()
    yield watch
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None:
        watch.folder(folder)
    meant = {marker.args for marker in request.node.iter_markers("shows") if marker.kwargs["reason"]}
    found = [str(finding) for finding in watch.findings if finding[:2] not in meant]
    if found:
        pytest.fail(f"In {request.node.nodeid} " + "\nand ".join(dict.fromkeys(found)), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Search what a test printed, which with Airflow 3 includes its operators' log, before its fixtures end."""
    report = yield
    if report.when == "call":
        watch.output(report.capstdout, "standard output")
        watch.output(report.capstderr, "standard error")
    return report


def _watching_run(plain: Any) -> Any:
    def run(operator: Any, *args: Any, **kwargs: Any) -> Any:
        for name in operator.template_fields:
            watch(getattr(operator, name), RENDERED, name)
        try:
            returned = plain(operator, *args, **kwargs)
        except BaseException as error:
            watch.error(error)
            if hasattr(error, "trigger"):
                # A deferral is an exception too; Airflow keeps its arguments until the task goes on.
                watch([error.trigger.serialize(), vars(error)], CHECKPOINT, "the arguments of a deferral")
            raise
        watch.xcom(returned, "return_value")
        return returned

    return run
