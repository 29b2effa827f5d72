"""What follows a run that sends only changed rows: removals, and the next snapshot."""

from __future__ import annotations

import logging
from dataclasses import replace

from airflow_provider_moengage.api.errors import MoEngageWindowSpent
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.changes.left_rows import LeftRows, obstacle_to_removal, too_many
from airflow_provider_moengage.delivery.pipeline import deliver
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.report import RunReport
from airflow_provider_moengage.delivery.run import Delivery, Run

log = logging.getLogger(__name__)


def deliver_changes(delivery: Delivery) -> tuple[Run, str | None]:
    """
    Deliver rows and write the sample; if only changed rows are sent, remove what has left the source and write the snapshot.

    :return: the run, whose report counts the removals too, and why the task fails although every row was delivered
        (None: it does not).
    """
    changes, sample = delivery.changes, delivery.sample
    run = deliver(delivery)
    if sample is not None:
        run = replace(run, report=replace(run.report, sample_path=sample.write()))
    if changes is None:
        return run, None
    try:
        return _follow(delivery, run, changes)
    except BaseException as error:
        # For example the task's timeout: every exit has to return a report.
        return replace(run, stopped_by=error), None
    finally:
        changes.close()


def _follow(delivery: Delivery, run: Run, changes: ChangedRows) -> tuple[Run, str | None]:
    report = run.report
    completed = run.stopped_by is None and report.source_exhausted and not report.unsent
    removal = changes.options.removal
    obstacle = "the run did not complete" if not completed else obstacle_to_removal(changes, report)
    left = changes.left if removal is not None and obstacle is None else 0
    failure = _too_many_left(changes, left)
    if delivery.validate_only:
        if failure is not None:
            log.warning("%s", failure)
        return replace(run, report=replace(report, removed=left if removal is not None else None)), None
    if isinstance(run.stopped_by, MoEngageWindowSpent):
        return run, None
    removed: bool | None = None
    if removal is not None and completed and obstacle is not None:
        log.warning("Nothing is removed, because %s", obstacle)
    if removal is not None and left and failure is None:
        run = _remove(delivery, run, changes)
        failure = _not_removed(run.report)
        removed = run.stopped_by is None and not failure
    elif removal is not None:
        run = replace(run, report=replace(report, removed=0))
    changes.write(completed=completed, removed=removed)
    return run, failure


def _remove(delivery: Delivery, run: Run, changes: ChangedRows) -> Run:
    """Deliver the removals; they are waited for, and a retry begins with the first of them."""
    removal = changes.options.removal
    if removal is None or removal.operation.responses is None:
        return run
    changes.announce_removal()
    removing = Delivery(
        LeftRows(changes, removal),
        removal.mapping,
        removal.operation,
        delivery.connect,
        delivery.concurrency,
        responses=removal.operation.responses(),
        cancellation=delivery.cancellation,
        segment_rows=delivery.segment_rows,
    )
    ended = deliver(removing)
    report, more = run.report, ended.report
    return Run(
        replace(
            report,
            removed=more.accepted,
            removed_rejected=more.rejected,
            removed_unsent=changes.left - more.accepted - more.rejected,
            unknown=report.unknown + more.unknown,
            requests=report.requests + more.requests,
            retried=report.retried + more.retried,
            throttled_seconds=round(report.throttled_seconds + more.throttled_seconds, 3),
            duration_seconds=round(report.duration_seconds + more.duration_seconds, 3),
        ),
        ended.stopped_by,
    )


def _too_many_left(changes: ChangedRows, left: int) -> str | None:
    options, before = changes.options, changes.before
    if not too_many(options, left, before):
        return None
    return (
        f"{counted(left, 'record')} of {before:,} left the source, more than max_removed={options.max_removed!r} allows; "
        "nothing was removed, and every row was delivered. Check the source, or raise max_removed if all of them are meant"
    )


def _not_removed(report: RunReport) -> str | None:
    if not report.removed_rejected:
        return None
    return (
        f"{counted(report.removed_rejected, 'record')} that left the source could not be removed: MoEngage rejected them; "
        "every row was delivered, and the next run tries again"
    )
