"""Whether a retry can go on where a try ended, and with what."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage._compat import BaseOperator, Context, conf
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.checkpoints import (
    Binding,
    CheckpointFile,
    CheckpointPlace,
    Checkpoints,
    StateStore,
)
from airflow_provider_moengage.delivery.folders import task_folder
from airflow_provider_moengage.delivery.sources import Source, SqlSource
from airflow_provider_moengage.delivery.staging import StagedRows

if TYPE_CHECKING:
    from airflow_provider_moengage.operators.base import MoEngageSendOperator

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
class Durability:
    """
    What outlives a try of a task.

    :param source: where the rows come from; a copy, where they are staged.
    :param checkpoints: how far the try got; None: nothing is kept.
    :param obstacle: why a retry cannot go on where this try ends; None: it can, or there is none.
    """

    source: Source
    checkpoints: Checkpoints | None = None
    obstacle: str | None = None

    @property
    def staged(self) -> StagedRows | None:
        """The copy of the rows, where there is one."""
        return self.source if isinstance(self.source, StagedRows) else None

    def defers(self, operator: MoEngageSendOperator) -> bool:
        """
        Tell whether a long wait is a deferral; say in the log what a retry does where it cannot go on.

        :raises MoEngageParameterError: a deferral was asked for, and cannot be.
        """
        wanted = operator.deferrable
        if wanted is None:
            wanted = conf.getboolean("operators", "default_deferrable", fallback=False)
        if self.obstacle is None:
            return wanted and self.checkpoints is not None
        if operator.deferrable:
            raise MoEngageParameterError(
                f"deferrable is True, but the task could not go on after a deferral: {self.obstacle}"
            )
        refuses = operator.sends_events and not _resends(operator)
        log.info(
            "A retry %s: %s%s",
            "fails before it sends an event" if refuses else "sends all rows again",
            self.obstacle,
            "; rate windows are waited for in the worker, for the same reason" if wanted else "",
        )
        return False

    def finished(self) -> dict[str, Any] | None:
        """Give the report of an earlier try that has sent everything, and died before Airflow came to know."""
        if self.checkpoints is None or not self.checkpoints.resumable:
            return None
        return self.checkpoints.finished()

    def forget(self, operator: MoEngageSendOperator, report: Mapping[str, Any]) -> None:
        """Delete what is kept: the task is done. Of events the report stays, so that none is sent anew."""
        if self.checkpoints is not None and self.checkpoints.resumable:
            if operator.sends_events and report["read"]:
                self.checkpoints.finish(report)
            else:
                self.checkpoints.delete()
        if self.staged is not None:
            try:
                self.staged.delete()
            except OSError as error:
                log.warning("The staged rows in %s cannot be deleted: %s", self.staged.folder, error)

    def tell_what_stays(self) -> None:
        """Say where the staged rows are of a task that failed."""
        if self.staged is not None:
            log.info("The staged rows stay in %s, for a retry", self.staged.folder)


def durability_of(operator: MoEngageSendOperator, source: Source, context: Context) -> Durability:
    """
    Tell what can be kept for a retry of a task.

    :param source: the rows as the operator's arguments name them.
    """
    ti = context.get("ti")
    if ti is None or operator.validate_only:
        return Durability(source)
    binding = Binding(
        fingerprint=fingerprint_of(operator),
        max_tries=getattr(ti, "max_tries", 0),
        try_number=getattr(ti, "try_number", 1),
    )
    url = operator.staging_path or conf.get("moengage", "staging_path", fallback=None)
    folder = task_folder(str(url), ti) if url else None
    place = _place(context, folder)
    obstacle = _obstacle(operator, source, folder, place)
    if obstacle is None:
        if folder is not None and isinstance(source, SqlSource):
            source = StagedRows(source, folder, binding)
        return Durability(source, Checkpoints(place, binding, resend=_resends(operator)))
    if operator.sends_events:
        retry = binding.try_number - 1 > binding.max_tries - (operator.retries or 0)
        checkpoints = Checkpoints(
            place, binding, resumable=False, sent_before=retry, resend=_resends(operator)
        )
        return Durability(source, checkpoints, obstacle)
    return Durability(source, obstacle=obstacle)


def fingerprint_of(operator: MoEngageSendOperator) -> str:
    """Give a sum of the arguments that shape rows and requests; the rows themselves are known by their source."""
    texts = [type(operator).__qualname__]
    texts += (f"{name}={getattr(operator, name, None)!r}" for name in sorted(set(_parameters(operator))))
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()


def _parameters(operator: MoEngageSendOperator) -> Iterator[str]:
    known = {*TUNING, operator.rows_parameter}
    # What BaseOperator takes is Airflow's business.
    for kind in takewhile(lambda kind: kind is not BaseOperator, type(operator).__mro__):
        constructor = vars(kind).get("__init__")
        for name, parameter in inspect.signature(constructor).parameters.items() if constructor else ():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in known:
                yield name


def _place(context: Context, folder: str | None) -> CheckpointPlace | None:
    store: Any = context.get("task_state_store")
    if store is not None:
        return StateStore(store)
    return CheckpointFile(folder) if folder is not None else None


def _obstacle(
    operator: MoEngageSendOperator, source: Source, folder: str | None, place: CheckpointPlace | None
) -> str | None:
    if not operator.resumable:
        return f"{type(operator).__name__} keeps what it reads in this process"
    if not operator.durable:
        return "durable is False"
    if isinstance(source, SqlSource) and folder is None:
        return "a query may give other rows the next time: set staging_path= to keep a copy of them"
    if place is None:
        return "there is no place for a checkpoint: set staging_path=, or use Airflow 3.3 or newer"
    return None


def _resends(operator: MoEngageSendOperator) -> bool:
    return getattr(operator, "on_restart", None) == "resend"
