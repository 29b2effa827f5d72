from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.support.leaks import watch

Failure = TypeVar("Failure", bound=BaseException)


class TaskInstance:
    """As much of a task instance as an operator may use."""

    dag_id = "dag"
    run_id = "manual__2026-01-01T00:00:00+00:00"
    task_id = "push"
    map_index = -1
    try_number = 1
    max_tries = 0

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        watch.xcom(value, key)
        self.xcoms[key] = value


class Tracker:
    """
    Runs the operator against the sandbox.

    However a run ends, its rows have to add up, and its report has to be in XCom.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.operator: type[MoEngageSendOperator] = MoEngageTrackUsersOperator
        self.ti = TaskInstance()
        #: Set by a test that wants MoEngage to alter what was sent.
        self.may_bend = False

    def using(self, operator: type[MoEngageSendOperator]) -> Tracker:
        """Run another operator from now on."""
        self.operator = operator
        return self

    def __call__(self, **parameters: Any) -> dict[str, Any]:
        """Return the report of a run that succeeds; what it raises otherwise is raised."""
        self.ti = TaskInstance()
        operator = self.operator(task_id=self.ti.task_id, **parameters)
        try:
            report = operator.execute({"ti": self.ti})
        except (MoEngageTaskFailed, MoEngageIncompleteRun) as error:
            if error.report is not None:
                self._adds_up(error.report)
            raise
        self._adds_up(report)
        assert report["unsent"] == 0
        assert report["source_exhausted"] is True
        return report

    def fails(self, kind: type[Failure], **parameters: Any) -> Failure:
        """Return the error of a run that fails."""
        with pytest.raises(kind) as caught:
            self(**parameters)
        # Unlike the errors of a run, those of an operator's parameters are not seen by the watch.
        watch.error(caught.value)
        return caught.value

    def report(self, kind: type[MoEngageError], **parameters: Any) -> dict[str, Any]:
        """Return the report of a run that fails."""
        self.fails(kind, **parameters)
        report: dict[str, Any] = self.ti.xcoms["report"]
        return report

    def _adds_up(self, report: dict[str, Any]) -> None:
        settled = report["accepted"] + report["rejected"] + report["unsent"] + report.get("valid", 0)
        assert report["read"] == settled + report.get("unchanged", 0)
        # What Get Users returns beside the report is not part of it.
        more = {"users", "users_not_found"}
        assert self.ti.xcoms["report"] == {name: report[name] for name in report if name not in more}
        assert min(value for value in report.values() if isinstance(value, int)) >= 0

    def attributes(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of every user in the sandbox."""
        return {customer_id: user["attributes"] for customer_id, user in self.sandbox.users().items()}

    @property
    def requests(self) -> int:
        """The calls that the sandbox saw."""
        requests: int = self.sandbox.state()["requests"]
        return requests


@pytest.fixture
def track(moengage_sandbox_connection: Sandbox, fast_retries: None) -> Iterator[Tracker]:
    """Run the operator against a clean sandbox, which in the end must have had nothing to drop or alter."""
    tracker = Tracker(moengage_sandbox_connection)
    tracker.sandbox.settings(users_per_minute=10_000_000, window_seconds=1.0, object_attributes=True)
    yield tracker
    if not tracker.may_bend:
        assert tracker.sandbox.bent() == []
