"""What one run delivers, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.delivery.account.live_progress import LiveProgress
from airflow_provider_moengage.delivery.account.progress import Observe
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts
from airflow_provider_moengage.delivery.account.segments import SEGMENT_ROWS
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.changes.kept_sample import KeptSample
from airflow_provider_moengage.delivery.operation import Operation, Responses, RowMapping
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.report import RunReport
from airflow_provider_moengage.delivery.resume.checkpoint_store import CheckpointStore
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.parameters import MAX_CONCURRENCY


@dataclass(frozen=True)
class Delivery:
    """
    What a run delivers, and how.

    :param source: the rows.
    :param mapping: turns them into records.
    :param operation: where they go.
    :param connect: returns the client; called once, when the run starts.
    :param concurrency: maximum requests in flight; None: as many as it takes, up to the maximum of the parameter.
    :param responses: what the responses mean.
    :param on_unknown: what happens to rows that are not idempotent and whose request got no response: ``resend`` sends
        them again, ``reject`` rejects them.
    :param parts: where rejected rows are written; None: nowhere.
    :param validate_only: do everything but sending.
    :param observe: called with the progress every few seconds, from another thread, and once at the end of the run.
    :param live_progress: writes the progress while the run lasts; None: nothing does.
    :param checkpoints: where the checkpoint is kept that a later attempt resumes from; None: it starts over.
    :param max_wait: maximum seconds to wait for a rate window; a longer wait stops the run with
        :class:`~airflow_provider_moengage.api.errors.MoEngageWindowSpent`. None: no maximum.
    :param cancellation: cancels the run.
    :param segment_rows: rows of a segment, by which the checkpoint advances.
    :param changes: leaves out the rows that have not changed; None: all rows are sent.
    :param sample: keeps a sample of what was sent; None: nothing does.
    """

    source: Source
    mapping: RowMapping
    operation: Operation
    connect: Callable[[], MoEngageClient]
    concurrency: int | None
    responses: Responses = field(default_factory=Responses)
    on_unknown: Literal["resend", "reject"] = "resend"
    parts: RejectedParts | None = None
    validate_only: bool = False
    observe: Observe | None = None
    live_progress: LiveProgress | None = None
    checkpoints: CheckpointStore | None = None
    max_wait: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    segment_rows: int = SEGMENT_ROWS
    changes: ChangedRows | None = None
    sample: KeptSample | None = None

    @property
    def maximum_concurrency(self) -> int:
        """The maximum requests in flight."""
        return self.concurrency or MAX_CONCURRENCY

    @property
    def resends(self) -> bool:
        """Whether a request that got no response is sent again."""
        return self.operation.idempotent or self.on_unknown == "resend"


@dataclass(frozen=True)
class Run:
    """
    The result of a run.

    :param report: the counts.
    :param stopped_by: what stopped the run before its source was exhausted, or left rows unsent; None: it completed.
    """

    report: RunReport
    stopped_by: BaseException | None
