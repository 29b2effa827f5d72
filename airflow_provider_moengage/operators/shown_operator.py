"""What Airflow and OpenLineage show of an operator's task: its report, links, lineage, and the counts of its assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_moengage._compat import BaseOperator, Context
from airflow_provider_moengage.assets import add_counts
from airflow_provider_moengage.delivery.operation import Operation
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.links import (
    MoEngageDashboardLink,
    MoEngageRejectedRowsLink,
    push_links,
)


class ShownOperator(BaseOperator):
    """The part of an operator that shows what its task does, whatever the task is."""

    #: Where the rows go.
    operation: Operation
    operator_extra_links = (MoEngageDashboardLink(), MoEngageRejectedRowsLink())
    #: The URLs of the task's links by their XCom keys, once it runs.
    links: Mapping[str, str | None] | None = None
    #: The reports of this attempt; None: it began in another process, before a deferral.
    _published: list[Report] | None = None

    def datasets(self) -> tuple[str, ...]:
        """Return what of the workspace the rows change, as lineage names it: ``users``, ``cohorts/churn-risk``."""
        return self.operation.datasets

    def written_to(self) -> list[tuple[str, str]] | None:
        """
        Return where the rows are written that are read from MoEngage: OpenLineage's namespace and name.

        :return: None for an operator that sends rows to MoEngage; empty if they are written to XCom.
        """
        return None

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the lineage of the task before it has counts; OpenLineage's listener calls it."""
        from airflow_provider_moengage.lineage.events import lineage_of

        return lineage_of(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the lineage of the task with the counts of its report; OpenLineage's listener calls it."""
        from airflow_provider_moengage.lineage.events import lineage_of

        return lineage_of(self, self._report_of(task_instance))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the lineage of a failed attempt; otherwise as :meth:`get_openlineage_facets_on_complete`."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def show_start(self, *, deferred: bool) -> None:
        """Forget what an earlier run has shown, when a task starts or continues after a deferral."""
        self._published = None if deferred else []
        self.links = None

    def show_links(self, ti: Any) -> None:
        """Show the links of a task, unless this run has; may be called from any thread."""
        if self.links is None:
            self.links = push_links(self, ti)

    def show_report(self, report: Report, context: Context) -> None:
        """Show the report of a run."""
        self._published = [*(self._published or ()), report]
        self._publish(report, context)

    def _publish(self, report: Report, context: Context) -> None:
        ti = context.get("ti")
        if ti is not None:
            ti.xcom_push(key="report", value=report)
            if "sample_path" in report:
                ti.xcom_push(key="sample_path", value=report["sample_path"])
        if self.outlets and "outlet_events" in context and self.written_to() is None:
            add_counts(self.outlets, context["outlet_events"], report)

    def _report_of(self, task_instance: Any) -> Report | None:
        """Return the report of the attempt that has just ended; None: it failed before there was one."""
        if self._published is not None:
            return self._published[-1] if self._published else None
        from airflow_provider_moengage.lineage.events import known

        def pulled() -> Report | None:
            report: Report | None = task_instance.xcom_pull(
                task_ids=task_instance.task_id, key="report", map_indexes=task_instance.map_index
            )
            return report

        return known("The report", pulled, None)
