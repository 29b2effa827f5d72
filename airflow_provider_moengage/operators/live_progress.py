"""Where a task writes its progress while it runs: Airflow's task state store, or XCom before Airflow 3.3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from airflow_provider_moengage._compat import AirflowSkipException, Context, threads_may_push
from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.delivery.account.live_progress import PROGRESS_KEY, LiveProgress, ProgressJson
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun


class Shown:
    """
    The progress of a task, for the block that runs it.

    :param live: writes it; None: the task has no place for it.
    :ivar resumes_at: when the task resumes, once it is to be deferred.
    """

    def __init__(self, live: LiveProgress | None) -> None:
        self.live = live
        self.resumes_at: datetime | None = None


@contextmanager
def shown_progress(
    context: Context, published: Sequence[Report], show_links: Callable[[Any], None]
) -> Iterator[Shown]:
    """
    Write the progress of the block that runs a task, and how it ended.

    :param published: the reports of the task; the last one has the final counts.
    :param show_links: called with the task instance after each write, from any thread: to show the links earlier would
        delay the first request.
    """
    shown = Shown(_live_progress(context, show_links))
    try:
        yield shown
    except BaseException as error:
        _end(shown, published, error)
        raise
    _end(shown, published, None)


def _live_progress(context: Context, show_links: Callable[[Any], None]) -> LiveProgress | None:
    ti = context.get("ti")
    if ti is None:
        return None
    store: Any = context.get("task_state_store")

    def write(progress: ProgressJson) -> None:
        try:
            if store is not None:
                store.set(PROGRESS_KEY, progress)
            else:
                ti.xcom_push(key=PROGRESS_KEY, value=progress)
        finally:
            show_links(ti)

    return LiveProgress(
        write,
        "XCom" if store is None else "Airflow's task state store",
        getattr(ti, "try_number", 1),
        in_thread=threads_may_push(),
        # Threads write checkpoints to the store.
        ticks=store is None,
    )


def _end(shown: Shown, published: Sequence[Report], error: BaseException | None) -> None:
    if shown.live is None:
        return
    report = published[-1] if published else None
    if shown.resumes_at is not None:
        shown.live.end("deferred", report, resumes_at=shown.resumes_at)
    elif error is None:
        shown.live.end("success", report)
    elif isinstance(error, AirflowSkipException):
        shown.live.end("skipped", report)
    else:
        shown.live.end("failed", report, error=_without_values(error))


def _without_values(error: BaseException) -> str:
    """Return what failed a task; of errors of other code, only their type is known to hold no value of a row."""
    if not isinstance(error, MoEngageError):
        return type(error).__name__
    cause = error.__cause__
    if (
        isinstance(error, MoEngageIncompleteRun)
        and cause is not None
        and not isinstance(cause, MoEngageError)
    ):
        # Its text has the text of the cause.
        return f"The run ended early: {type(cause).__name__}"
    return str(error)
