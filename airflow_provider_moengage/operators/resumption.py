"""Whether a retry can go on where a try ended, and with what."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from airflow_provider_moengage._compat import BaseOperator, Context, conf
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.resume.checkpoint_store import (
    Binding,
    CheckpointFile,
    CheckpointPlace,
    Checkpoints,
    StateStore,
)
from airflow_provider_moengage.delivery.shape.canonical import canonical
from airflow_provider_moengage.delivery.storage import delete_empty_staging_folders, staging_folder

log = logging.getLogger(__name__)

#: Parameters that shape neither rows nor requests: they may change between two tries.
TUNING = frozenset(
    {
        "concurrency",
        "max_rejected",
        "rejected_path",
        "staging_path",
        "durable",
        "deferrable",
        "defer_threshold",
        "on_empty",
        "on_unknown",
        "on_restart",
        "validate_only",
    }
)


@dataclass(frozen=True)
class ResumeRequest:
    """
    What an operator asks for.

    :param fingerprint: as :func:`fingerprint_of` gives it.
    :param durable: whether a retry is to go on.
    :param staging_path: a folder for copies of rows; None: the deployment's, where it has one.
    :param deferrable: whether long waits are to be deferrals; None: as the deployment has it.
    :param resumable: whether what it does can be gone on with at all.
    :param sends_events: whether events may be among what it sends.
    :param resend: whether events may be sent again of which nobody knows whether they were sent.
    :param retries: tries after the first.
    """

    fingerprint: str
    durable: bool
    staging_path: str | None
    deferrable: bool | None
    resumable: bool
    sends_events: bool
    resend: bool
    retries: int


@dataclass(frozen=True)
class ResumePlan:
    """
    What outlives a try of a task.

    :param request: what the operator asks for.
    :param source: where the rows come from; a copy, where they are staged.
    :param checkpoints: how far the try got; None: nothing is kept.
    :param obstacle: why a retry cannot go on where this try ends; None: it can, or there is none.
    :param delete_folders: deletes the task's folders that are empty then.
    """

    request: ResumeRequest
    source: Source
    checkpoints: Checkpoints | None = None
    obstacle: str | None = None
    delete_folders: Callable[[], None] = lambda: None

    @property
    def staged(self) -> StagedRows | None:
        """The copy of the rows, where there is one."""
        return self.source if isinstance(self.source, StagedRows) else None

    def defers(self) -> bool:
        """
        Whether a long wait is a deferral.

        :raises MoEngageParameterError: a deferral was asked for, and cannot be.
        """
        if self.obstacle is None:
            return _is_to_defer(self.request) and self.checkpoints is not None
        if self.request.deferrable:
            raise MoEngageParameterError(
                f"deferrable is True, but the task could not go on after a deferral: {self.obstacle}"
            )
        return False

    def finished(self) -> Report | None:
        """Give the report of an earlier try that has sent everything, and died before Airflow came to know."""
        if self.checkpoints is None or not self.checkpoints.resumable or not self.request.sends_events:
            return None
        return self.checkpoints.finished()

    def forget(self, report: Report) -> None:
        """Delete what is kept: the task is done. Of events the report stays, so that none is sent anew."""
        if self.checkpoints is not None and self.checkpoints.resumable:
            if self.request.sends_events and report["read"]:
                self.checkpoints.finish(report)
            else:
                self.checkpoints.delete()
        if self.staged is not None:
            try:
                self.staged.delete()
            except OSError as error:
                log.warning("The staged rows in %s cannot be deleted: %s", self.staged.folder, error)
        self.delete_folders()

    def log_what_stays(self) -> None:
        """Say where the staged rows are of a task that failed."""
        if self.staged is not None:
            log.info("The staged rows stay in %s, for a retry", self.staged.folder)


def plan_resume(
    request: ResumeRequest, source: Source, context: Context, *, deferred: bool = False
) -> ResumePlan:
    """
    Return what can be kept for a retry of a task.

    :param source: the rows as the operator's arguments name them.
    :param context: the task's; without a task instance there is no retry to keep anything for.
    :param deferred: whether this try has begun already and was deferred.
    :raises MoEngageParameterError: the file system of the staging folder is not installed, or its connection does not
        exist.
    """
    ti = context.get("ti")
    if ti is None:
        return ResumePlan(request, source)
    binding = Binding(
        fingerprint=request.fingerprint,
        max_tries=getattr(ti, "max_tries", 0),
        try_number=getattr(ti, "try_number", 1),
    )
    url = request.staging_path or conf.get("moengage", "staging_path", fallback=None)
    if url:
        said = (
            "staging_path" if request.staging_path else "[moengage] staging_path of Airflow's configuration,"
        )
        storage_path(str(url), said)
    folder = staging_folder(str(url), ti) if url else None
    place = _place(context, folder)
    obstacle = _obstacle(request, source, folder, place)
    if folder is not None and isinstance(source, SqlSource) and request.durable:
        source = StagedRows(source, folder, binding)
    checkpoints = Checkpoints(
        place if request.sends_events or obstacle is None else None,
        binding,
        resumable=obstacle is None,
        sent_before=deferred or binding.try_number - 1 > binding.max_tries - request.retries,
        resend=request.resend,
        # A file can be deleted by anybody; what Airflow's own store does not hold was never there.
        announced=request.sends_events and isinstance(place, CheckpointFile),
        retry_effect=_retry_effect(request, obstacle),
    )
    delete_folders = partial(delete_empty_staging_folders, str(url), ti) if url else ResumePlan.delete_folders
    return ResumePlan(request, source, checkpoints, obstacle, delete_folders)


def fingerprint_of(operator: BaseOperator, rows_parameter: str) -> str:
    """
    Give a sum of the arguments that shape rows and requests.

    :param rows_parameter: the one that takes rows, which are known by their source.
    """
    known = {*TUNING, rows_parameter}
    names = sorted(set(_parameters(type(operator))) - known)
    texts = [
        type(operator).__qualname__,
        *(f"{name}={canonical(getattr(operator, name, None))}" for name in names),
    ]
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()


def _parameters(kind: type) -> Iterator[str]:
    # What BaseOperator takes is Airflow's business.
    for own in takewhile(lambda one: one is not BaseOperator, kind.__mro__):
        constructor = vars(own).get("__init__")
        for name, parameter in inspect.signature(constructor).parameters.items() if constructor else ():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                yield name


def _place(context: Context, folder: str | None) -> CheckpointPlace | None:
    store: Any = context.get("task_state_store")
    if store is not None:
        return StateStore(store)
    return CheckpointFile(folder) if folder is not None else None


def _is_to_defer(request: ResumeRequest) -> bool:
    if request.deferrable is None:
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
    return request.deferrable


def _retry_effect(request: ResumeRequest, obstacle: str | None) -> str:
    """Return what a retry would do, as the part of a sentence."""
    if obstacle is None:
        return "A retry goes on where this try ends"
    fails = request.sends_events and not request.resend
    return (
        f"A retry {'fails before it sends an event' if fails else 'begins with the first row again'}"
        + (" and rate windows are waited for in the worker" if _is_to_defer(request) else "")
        + f", because {obstacle}"
    )


def _obstacle(
    request: ResumeRequest, source: Source, folder: str | None, place: CheckpointPlace | None
) -> str | None:
    if not request.resumable:
        return "the operator keeps what it reads in its process"
    if not request.durable:
        return "durable is False"
    if isinstance(source, SqlSource) and folder is None:
        return "a query may return other rows (set staging_path= to keep a copy)"
    if place is None:
        return "there is no place for a checkpoint (set staging_path=, or use Airflow 3.3)"
    return None
