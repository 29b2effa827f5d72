"""The tries of one task instance, each as Airflow would begin it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from tests.end_to_end.tracker import TaskInstance
from tests.support.task_state_store import TaskStateStore


class Task:
    """
    One task instance.

    :param operator: what it runs.
    :param store: its state store; None: the Airflow has none.
    :param parameters: the operator's.
    """

    def __init__(
        self,
        operator: type[MoEngageSendOperator],
        store: TaskStateStore | None = None,
        retries: int = 9,
        run_id: str = TaskInstance.run_id,
        map_index: int = TaskInstance.map_index,
        **parameters: Any,
    ) -> None:
        self.operator = operator
        self.store = store
        self.retries = retries
        self.run_id = run_id
        self.map_index = map_index
        self.parameters = parameters
        self.try_number = 0
        self.max_tries = retries
        self.report: dict[str, Any] = {}
        self.running: MoEngageSendOperator | None = None
        #: Whether each try gets rows of its own.
        self.deep = True

    def attempt(self, *, resume: bool = False, **changes: Any) -> dict[str, Any]:
        """
        Begin the next try; what it raises is raised.

        :param resume: go on with the same try, after a deferral.
        :param changes: parameters that differ from now on.
        :return: the report.
        """
        self.parameters.update(changes)
        self.try_number += not resume
        ti = TaskInstance()
        ti.try_number, ti.max_tries = self.try_number, self.max_tries
        ti.run_id, ti.map_index = self.run_id, self.map_index
        parameters = copy.deepcopy(self.parameters) if self.deep else self.parameters
        self.running = self.operator(task_id=ti.task_id, retries=self.retries, **parameters)
        context: dict[str, Any] = {"ti": ti}
        if self.store is not None:
            context["task_state_store"] = self.store
        try:
            return self.running.resume(context) if resume else self.running.execute(context)
        finally:
            self.report = ti.xcoms.get("report", {})
            if self.report:
                report = self.report
                settled = report["accepted"] + report["rejected"] + report["unsent"]
                assert report["read"] == settled + report.get("unchanged", 0)
                assert min(value for value in report.values() if isinstance(value, int)) >= 0

    def fails(self, **changes: Any) -> MoEngageError:
        """Begin the next try, which must fail; gives its error."""
        with pytest.raises(MoEngageError) as caught:
            self.attempt(**changes)
        return caught.value

    def clear(self) -> None:
        """Clear the task, as a user does in the UI."""
        self.max_tries = self.try_number + self.retries
