"""One run of an operator's task: it plans, delivers, publishes the report, and ends or defers the task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

from airflow_provider_moengage._compat import AirflowSkipException, Context, DateTimeTrigger
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageWindowSpent
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.report_table import LoggedEnd, log_report
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.delivery.shape.not_rows import of_empty_text
from airflow_provider_moengage.delivery.storage import task_folder
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.options import DeliveryArguments
from airflow_provider_moengage.operators.changes import changed_only, sample_of
from airflow_provider_moengage.operators.live_progress import Shown, shown_progress
from airflow_provider_moengage.operators.resumption import (
    ResumePlan,
    ResumeRequest,
    fingerprint_of,
    plan_resume,
)
from airflow_provider_moengage.operators.row_sources import source_of


class TaskRun:
    """
    One run of a task: an attempt, or the part of one after a deferral.

    :param operator: a :class:`~airflow_provider_moengage.operators.base.MoEngageSendOperator`.
    :param context: the task's.
    :param send: delivers the rows of a source.
    :param cancellation: cancels the run.
    :param deferred: whether the attempt was deferred and now continues.
    """

    def __init__(
        self,
        operator: Any,
        context: Context,
        *,
        send: Callable[..., Report],
        cancellation: Cancellation,
        deferred: bool,
    ) -> None:
        self._operator = operator
        self._context = context
        self._send = send
        self._cancellation = cancellation
        self._deferred = deferred
        self._published: list[Report] = []

    def run(self) -> Report:
        """
        Deliver the rows, and return the report.

        :raises MoEngageTaskFailed: a retry would not help; it names the reasons.
        :raises MoEngageIncompleteRun: rows were left unsent; a retry sends them.
        """
        self._operator.show_start(deferred=self._deferred)
        with shown_progress(self._context, self._published, self._operator.show_links) as shown:
            plan, options = self._planned()
            finished = plan.finished()
            if finished is not None:
                return self._finish_again(plan, finished)
            report = self._delivered(plan, options, shown)
            plan.forget(report)
            if report["read"] == 0:
                self._end_empty(report)
            return report

    def _planned(self) -> tuple[ResumePlan, DeliveryArguments]:
        operator, context = self._operator, self._context
        try:
            plan = self._plan_resume()
            return plan, {
                "max_wait": operator.defer_threshold if plan.defers() else None,
                "changes": changed_only(operator, context, operator.removal(), operator.target()),
                "sample": sample_of(operator, context),
            }
        except MoEngageParameterError as error:
            raise MoEngageTaskFailed(str(error)) from None

    def _plan_resume(self) -> ResumePlan:
        operator = self._operator
        request = ResumeRequest(
            fingerprint=fingerprint_of(operator),
            durable=operator.durable,
            staging_path=operator.staging_path,
            deferrable=operator.deferrable,
            resumable=operator.resumable,
            idempotent=operator.operation.idempotent,
            on_restart=getattr(operator, "on_restart", "fail"),
            retries=operator.retries or 0,
        )
        source: Source = source_of(operator, operator.source_parameter)
        # A run that sends nothing has nothing to resume.
        context: Context = {} if operator.validate_only else self._context
        return plan_resume(request, source, context, deferred=self._deferred)

    def _finish_again(self, plan: ResumePlan, report: Report) -> Report:
        """Return the report of an earlier attempt that has sent all rows."""
        self._operator.log.info(
            "An earlier try has sent all rows, but Airflow did not record its success; nothing is sent"
        )
        self._publish(report)
        log_report(report)
        plan.forget(report)
        return report

    def _delivered(self, plan: ResumePlan, options: DeliveryArguments, shown: Shown) -> Report:
        operator, cancellation = self._operator, self._cancellation
        ended = False
        try:
            report = self._send(
                MoEngageHook(operator.moengage_conn_id, project_code=operator.project_code),
                plan.source,
                concurrency=operator.concurrency,
                max_rejected=operator.max_rejected,
                rejected_path=self._rejected_folder(),
                replace_rejected="ti" in self._context,
                validate_only=operator.validate_only,
                on_report=self._publish,
                checkpoints=plan.checkpoints,
                cancellation=cancellation,
                live_progress=shown.live,
                **options,
            )
            if cancellation.cancelled:
                raise MoEngageIncompleteRun("The task was told to end when all was done", report=report)
            ended = True
            return report
        except AirflowSkipException:
            # A function that returns rows has skipped the task, so there is no retry.
            ended = True
            plan.forget(self._published[-1])
            raise
        except MoEngageWindowSpent as spent:
            if cancellation.cancelled:
                report = self._published[-1]
                with LoggedEnd(report):
                    raise MoEngageIncompleteRun(
                        "The task was told to end when it was to be deferred", report=report
                    ) from spent
            ended = True
            self._defer(spent, shown)
        finally:
            if not ended:
                plan.log_what_stays()

    def _publish(self, report: Report) -> None:
        self._published.append(report)
        self._operator.show_report(report, self._context)

    def _rejected_folder(self) -> str | None:
        folder = self._operator.rejected_path
        if not folder:
            return None
        # A template renders None as the text "None", which would become the name of a folder.
        if nothing := of_empty_text("rejected_path", folder):
            raise MoEngageTaskFailed(nothing)
        ti = self._context.get("ti")
        return str(folder) if ti is None else task_folder(str(folder), ti)

    def _defer(self, spent: MoEngageWindowSpent, shown: Shown) -> NoReturn:
        shown.resumes_at = moment = datetime.now(timezone.utc) + timedelta(seconds=spent.retry_after or 0.0)
        self._operator.log.info("Deferred until %s UTC: %s", f"{moment:%H:%M:%S}", spent.progress)
        defer: Callable[..., NoReturn] = self._operator.defer
        defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")

    def _end_empty(self, report: Report) -> None:
        on_empty = self._operator.on_empty
        if on_empty == "skip":
            raise AirflowSkipException("The source has no rows")
        if on_empty == "fail":
            raise MoEngageTaskFailed("The source has no rows, and on_empty is 'fail'", report=report)
        self._operator.log.warning("The source has no rows; nothing was sent")
