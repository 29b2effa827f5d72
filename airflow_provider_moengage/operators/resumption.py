"""Decides whether a retry resumes where the previous attempt ended, and what is kept for it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

from airflow_provider_moengage._compat import Context, conf
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.read.function_rows import FunctionRows
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.resume.checkpoint_store import (
    Binding,
    CheckpointFile,
    CheckpointPlace,
    CheckpointStore,
    StateStore,
)
from airflow_provider_moengage.delivery.shape.canonical import canonical
from airflow_provider_moengage.delivery.storage import delete_empty_staging_folders, staging_folder

log = logging.getLogger(__name__)

#: Parameters of every operator that affect rows or requests. The rows have a fingerprint of their own.
COMPARED = (
    "sql",
    "sql_conn_id",
    "parameters",
    "sql_hook_params",
    "path",
    "encoding",
    "delimiter",
    "null_values",
    "fold_columns",
    "moengage_conn_id",
    "project_code",
    "changed_only",
    "snapshot_path",
    "full_resync",
)
#: Sources whose rows a retry finds only in a copy.
STAGED = (SqlSource, FunctionRows)
#: Arguments of some operators that affect neither: they may change between two attempts.
TUNING = frozenset({"on_unknown"})


@dataclass(frozen=True)
class ResumeRequest:
    """
    The settings of an operator that decide whether and how a retry resumes.

    :param fingerprint: as :func:`fingerprint_of` returns it.
    :param durable: whether a retry is to resume.
    :param staging_path: a folder for copies of rows; None: the deployment's, if it has one.
    :param deferrable: whether to defer the task for long waits; None: the deployment's default.
    :param resumable: whether the operation can be resumed at all.
    :param idempotent: whether every row may be sent twice with the effect of one.
    :param on_restart: what to do with rows that are not, and that a previous attempt may have sent: ``fail`` before
        anything is sent, or ``resend`` them.
    :param retries: attempts after the first.
    """

    fingerprint: str
    durable: bool
    staging_path: str | None
    deferrable: bool | None
    resumable: bool
    idempotent: bool
    on_restart: str
    retries: int


@dataclass(frozen=True)
class ResumePlan:
    """
    The source of an attempt, and what it keeps for the next one.

    :param request: the operator's settings.
    :param source: the source of the rows; the copy, if they are staged.
    :param checkpoints: the progress of the attempt; None: nothing is kept.
    :param obstacle: why a retry cannot resume where this attempt ends; None: it can, or there is no retry.
    :param delete_folders: deletes the task's empty folders.
    """

    request: ResumeRequest
    source: Source
    checkpoints: CheckpointStore | None = None
    obstacle: str | None = None
    delete_folders: Callable[[], None] = lambda: None

    @property
    def staged(self) -> StagedRows | None:
        """Return the copy of the rows, if there is one."""
        return self.source if isinstance(self.source, StagedRows) else None

    def defers(self) -> bool:
        """
        Whether to defer the task for a long wait.

        :raises MoEngageParameterError: ``deferrable`` is True, but the task cannot be deferred.
        """
        if self.obstacle is None:
            return _wants_deferral(self.request) and self.checkpoints is not None
        if self.request.deferrable:
            raise MoEngageParameterError(
                f"deferrable is True, but the task could not resume after a deferral: {self.obstacle}"
            )
        return False

    def finished(self) -> Report | None:
        """Return the report of an earlier attempt that completed but whose success Airflow never recorded."""
        if self.checkpoints is None or not self.checkpoints.resumable or self.request.idempotent:
            return None
        return self.checkpoints.finished()

    def forget(self, report: Report) -> None:
        """Delete what is kept for a retry; for events keep the report, so that none is sent again."""
        if self.checkpoints is not None and self.checkpoints.resumable:
            if not self.request.idempotent and report["read"]:
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
        """Log where the staged rows of a failed task are."""
        if self.staged is not None:
            log.info("The staged rows stay in %s, for a retry", self.staged.folder)


def plan_resume(
    request: ResumeRequest, source: Source, context: Context, *, deferred: bool = False
) -> ResumePlan:
    """
    Plan what is kept for a retry of a task, and what the attempt resumes from.

    :param source: the source that the operator's arguments name.
    :param context: the task's; without a task instance there is no retry, and nothing is kept.
    :param deferred: whether this attempt was deferred and now continues.
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
        parameter = (
            "staging_path" if request.staging_path else "[moengage] staging_path of Airflow's configuration,"
        )
        storage_path(str(url), parameter)
    folder = staging_folder(str(url), ti) if url else None
    place = _checkpoint_place(context, folder)
    obstacle = _obstacle(request, source, folder, place)
    if folder is not None and isinstance(source, STAGED) and request.durable:
        source = StagedRows(source, folder, binding)
    checkpoints = CheckpointStore(
        place if not request.idempotent or obstacle is None else None,
        binding,
        resumable=obstacle is None,
        sent_before=deferred or binding.try_number - 1 > binding.max_tries - request.retries,
        on_restart=request.on_restart,
        # Anybody can delete a file; an entry missing from Airflow's own store never existed.
        announced=not request.idempotent and isinstance(place, CheckpointFile),
        retry_effect=_retry_effect(request, obstacle),
    )
    delete_folders = partial(delete_empty_staging_folders, str(url), ti) if url else ResumePlan.delete_folders
    return ResumePlan(request, source, checkpoints, obstacle, delete_folders)


def fingerprint_of(operator: Any) -> str:
    """
    Return a fingerprint of the arguments that affect rows and requests.

    :param operator: a :class:`~airflow_provider_moengage.operators.base.MoEngageSendOperator`.
    """
    named = {name: getattr(operator, name) for name in COMPARED}
    named.update((name, value) for name, value in operator.own_arguments().items() if name not in TUNING)
    named.update(operator.compared())
    named["mapping"] = _parameters_of(operator.mapping)
    texts = [type(operator).__qualname__, *(f"{name}={canonical(named[name])}" for name in sorted(named))]
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()


def _parameters_of(mapping: object) -> object:
    """Return the type of a mapping and its parameters, those of the mappings in it included."""
    if not is_dataclass(mapping):
        return mapping
    # The other fields are derived from these, or hold the rows of a run.
    parameters = {
        one.name: _parameters_of(getattr(mapping, one.name)) for one in fields(mapping) if one.compare
    }
    return type(mapping), parameters


def _checkpoint_place(context: Context, folder: str | None) -> CheckpointPlace | None:
    store: Any = context.get("task_state_store")
    if store is not None:
        return StateStore(store)
    return CheckpointFile(folder) if folder is not None else None


def _wants_deferral(request: ResumeRequest) -> bool:
    if request.deferrable is None:
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
    return request.deferrable


def _retry_effect(request: ResumeRequest, obstacle: str | None) -> str:
    """Return what a retry would do, as the beginning of a sentence."""
    if obstacle is None:
        return "A retry resumes where this try ends"
    fails = not request.idempotent and request.on_restart == "fail"
    return (
        f"A retry {'fails before it sends an event' if fails else 'begins with the first row again'}"
        + (" and rate windows are waited for in the worker" if _wants_deferral(request) else "")
        + f", because {obstacle}"
    )


def _obstacle(
    request: ResumeRequest, source: Source, folder: str | None, place: CheckpointPlace | None
) -> str | None:
    if not request.resumable:
        return "the operator keeps what it reads in its process"
    if not request.durable:
        return "durable is False"
    if isinstance(source, STAGED) and folder is None:
        return f"{source.doubt} (set staging_path= to keep a copy)"
    if place is None:
        return "there is no place for a checkpoint (set staging_path=, or use Airflow 3.3)"
    return None
