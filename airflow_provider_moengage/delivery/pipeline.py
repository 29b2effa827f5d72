"""The loop of a run: read rows, validate, pack, send and settle them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRateLimited,
    MoEngageRecordInvalid,
    MoEngageStopped,
    MoEngageStorageError,
    MoEngageUnsafeRestart,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.api.rate_limit.window import STARVED_WINDOWS
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.progress import Observe, Progress, ProgressReporter
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts
from airflow_provider_moengage.delivery.account.segments import SEGMENT_ROWS
from airflow_provider_moengage.delivery.batch import Batch, Entry, Item
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.resume.checkpoint_store import CheckpointStore
from airflow_provider_moengage.delivery.resume.checkpointer import Checkpointer
from airflow_provider_moengage.delivery.run_log import log_resumption, log_target, log_workspace
from airflow_provider_moengage.delivery.send.cancellation import ABORT_INTERVAL, GRACE, Cancellation
from airflow_provider_moengage.delivery.send.packer import Packer
from airflow_provider_moengage.delivery.send.sender import Sender, unconfirmed_error
from airflow_provider_moengage.delivery.send.workers import Workers
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

log = logging.getLogger(__name__)

#: Rows after which a segment ends even if its last batch is not full, as when most rows are rejected: outcomes reach the
#: checkpoint only when their segment ends.
MAX_SEGMENT_ROWS = 10 * SEGMENT_ROWS


@dataclass(frozen=True)
class Run:
    """
    The result of a run.

    :param report: the counts, as JSON; read = accepted + rejected + unsent (+ valid, with ``validate_only``).
    :param stopped_by: what stopped the run before its source was exhausted, or left rows unsent; None: it completed.
    """

    report: Report
    stopped_by: BaseException | None


class SourceError(Exception):
    """Reading the source raised an exception, which is the cause of this one."""


def _wrap_source_errors(rows: Iterable[object]) -> Iterator[object]:
    try:
        yield from rows
    except Exception as error:
        raise SourceError from error


class Delivery:
    """
    Sends every row of a source, whatever the operation.

    :param connect: returns the client; called once, when the run starts.
    :param concurrency: maximum requests in flight.
    :param parts: where rejected rows are written; None: nowhere.
    :param validate_only: do everything but sending.
    :param observe: called with the progress every few seconds, from another thread, and once at the end of the run.
    :param checkpoints: where the checkpoint is kept that a later attempt resumes from; None: it starts over.
    :param patience: maximum seconds to wait for a rate window; a longer wait stops the run with
        :class:`~airflow_provider_moengage.api.errors.MoEngageWindowSpent`. None: no maximum.
    :param ending: cancels the run.
    """

    def __init__(
        self,
        source: Source,
        mapping: RowMapping,
        connect: Callable[[], MoEngageClient],
        operation: Operation,
        *,
        concurrency: int,
        parts: RejectedParts | None = None,
        validate_only: bool = False,
        observe: Observe | None = None,
        checkpoints: CheckpointStore | None = None,
        patience: float | None = None,
        ending: Cancellation | None = None,
    ) -> None:
        self._source = source
        self._mapping = mapping
        self._connect = connect
        self._client: MoEngageClient | None = None
        self._operation = operation
        self._packer = Packer(operation.endpoint)
        self._duplicates: list[tuple[str, int]] = []
        self._concurrency = concurrency
        self._parts = parts
        self._validate_only = validate_only
        self._checkpoints = checkpoints
        self._patience = patience
        self._cancellation = ending or Cancellation()
        self._ended = threading.Event()
        self._resume_from(None, None)
        self._warnings = RowWarnings(learn_types=validate_only)
        self._progress = ProgressReporter(self._progress_now, observe)
        self._sender: Sender | None = None
        self._workers: Workers | None = None
        self._halt = threading.Event()
        self._stopped_by: BaseException | None = None

    def run(self) -> Run:
        """Deliver until the source ends or something stops the run; requests in flight are settled in any case."""
        threading.Thread(target=self._await_cancellation, name="moengage-ending", daemon=True).start()
        # Join twice: a task timeout may interrupt the first join, and requests in flight must be settled before the
        # report.
        join_twice = (self._join_workers, self._join_workers)
        steps = (self._progress.begin, self._open, self._read, self._send_rest, *join_twice, self._receive)
        for step in (*steps, self._settle_duplicates, self._close, self._progress.end):
            # Errors are kept and not raised, since every exit has to return a report.
            try:
                step()
            except SourceError as error:
                # Rows that were read before the error are still sent.
                self._stopped_by = self._stopped_by or error.__cause__
            except BaseException as error:
                self._stop(error)
        self._ended.set()
        self._cancellation.finish()
        if isinstance(self._stopped_by, MoEngageWindowSpent) and self._progress.last is not None:
            self._stopped_by.progress = self._progress.last.summary
        if self._client is not None:
            # The client belongs to the caller and may be used for another run.
            self._client.release()
        self._warnings.close()
        written = self._parts is not None and self._parts.written
        report = self._ledger.report(
            self._throttled_seconds(), self._parts.folder if written and self._parts else None
        )
        if self._validate_only:
            report["valid"] = self._ledger.valid
        return Run(report, self._stopped_by)

    def _resume_from(self, resumed: Checkpoint | None, checkpoints: CheckpointStore | None) -> None:
        """Start from a checkpoint; None for both until it is loaded, so that it cannot be overwritten before."""
        self._ledger = Ledger(resumed, keep_rejected=self._parts is not None)
        self._checkpointer = Checkpointer(self._ledger, self._parts, checkpoints, self._throttled_seconds)
        self._throttled_earlier = resumed.throttled_seconds if resumed else 0.0
        self._start = self._ledger.low_water_mark
        self._settled_until = max(self._start, self._ledger.done.end)
        self._unconfirmed_until = self._ledger.unconfirmed.end
        self._segment_due = self._check_due = self._start + SEGMENT_ROWS

    def _open(self) -> None:
        self._count_source()
        client = self._connect()
        self._throttled_before = client.windows.throttled_seconds
        self._client = client
        endpoint = self._operation.endpoint
        log_target(self._source, client, endpoint, self._concurrency, validate_only=self._validate_only)
        kept = resumed = None
        if self._checkpoints is not None:
            self._checkpoints.open()
            kept = self._checkpoints.load(self._fingerprint(self._checkpoints))
            resumed = kept and kept.after_deferral(time.time())
            self._resume_from(resumed, self._checkpoints)
        self._count_source()
        if kept is not None:
            log_resumption(kept, self._ledger)
        elif self._checkpoints is not None and self._checkpoints.retry_effect is not None:
            log.info("%s", self._checkpoints.retry_effect)
        if self._parts is not None:
            self._parts.open(resumed.parts if resumed else None)
        self._sender = Sender(
            client, self._operation, self._ledger, self._checkpointer, self._halt, self._stop, self._patience
        )

    def _fingerprint(self, checkpoints: CheckpointStore) -> str | None:
        """Prepare the source and return its fingerprint; None if no checkpoint needs it: to hash a list is O(n)."""
        if checkpoints.resumable or isinstance(self._source, StagedRows):
            return self._source.prepare(self._mapping.check_columns, self._halt)
        return None

    def _count_source(self) -> None:
        with suppress(TypeError):
            self._ledger.read = len(self._source)
            self._ledger.source_exhausted = True

    def _throttled_seconds(self) -> float:
        now = self._client.windows.throttled_seconds - self._throttled_before if self._client else 0.0
        return self._throttled_earlier + now

    def _progress_now(self, seconds: float) -> Progress:
        spent = self._stopped_by if isinstance(self._stopped_by, MoEngageWindowSpent) else None
        return Progress.of(
            self._ledger,
            self._client.windows if self._client else None,
            seconds=seconds,
            throttled_seconds=self._throttled_seconds(),
            resets_in=spent.retry_after if spent else None,
        )

    def _read(self) -> None:
        if self._halt.is_set():
            return
        ledger = self._ledger
        sized = ledger.source_exhausted
        start = 0 if self._mapping.remembers else self._start
        settled_until = self._settled_until
        with closing(self._source.rows(self._mapping.check_columns, start)) as rows:
            for position, row in enumerate(_wrap_source_errors(rows), start):
                if not sized and position >= ledger.read:
                    ledger.read = position + 1
                if position >= settled_until or not self._skip_if_settled(position, row):
                    self._process(position, row)
                if position >= self._check_due:
                    self._end_segment(position + 1)
                if self._stopped_by is not None:
                    return
        ledger.source_exhausted = True

    def _send_rest(self) -> None:
        if self._halt.is_set() or self._validate_only:
            return
        for batch in self._packer.rest():
            self._submit(batch)

    def _skip_if_settled(self, position: int, row: object) -> bool:
        """Whether an earlier attempt has settled a row, which is then skipped."""
        if position >= self._start and position not in self._ledger.done:
            return False
        if self._mapping.remembers:
            with suppress(MoEngageRecordInvalid):
                self._item(row)
        if position >= self._start:
            self._ledger.skip(position)
        return True

    def _item(self, row: object) -> Item:
        """
        Return a row as a record; an exception raised by one of its values rejects this row only.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        try:
            return self._mapping.item(row, self._warnings)
        except (MoEngageError, MemoryError):
            raise
        except RecursionError:
            raise MoEngageRecordInvalid(
                "object_levels", "the row has a value that is nested too deeply"
            ) from None
        except Exception as error:
            raise MoEngageRecordInvalid(
                "value_type", f"the row has a value that cannot be read: it raises {type(error).__name__}"
            ) from None

    def _process(self, position: int, row: object) -> None:
        if isinstance(row, Unreadable):
            self._ledger.reject(Entry(position, row.text), MoEngageRecordInvalid(row.code, row.reason))
            return
        try:
            item = self._item(row)
            content, user, form = item
            if dropped := self._warnings.dropped:
                self._warnings.dropped = []
            unconfirmed = position < self._unconfirmed_until and position in self._ledger.unconfirmed
            if unconfirmed and not self._operation.repeatable:
                self._ledger.mark_unconfirmed(position, form.events or 1)
                self._ledger.reject(Entry(position, row), unconfirmed_error())
                return
            ready = self._packer.add(item, position, row) if content else ()
        except MoEngageRecordInvalid as error:
            self._ledger.reject(Entry(position, row), error)
            return
        if self._validate_only:
            log.debug("Row %d would be sent as %s", position, content or "a duplicate of an earlier row")
            self._ledger.found_valid()
            if dropped:
                self._ledger.drop(position, dropped)
            self._ledger.skip(position)
            return
        if not content:
            self._duplicates.append((user, position))
            self._ledger.skip(position)
        if ready and position >= self._segment_due:
            self._begin_segment(position if ready[-1].end <= position else position + 1)
        # Only now: the row may belong to the segment that has just started.
        if dropped:
            self._ledger.drop(position, dropped)
        if unconfirmed:
            self._ledger.mark_unconfirmed(position, form.events or 1)
        for batch in ready:
            self._submit(batch)

    def _end_segment(self, end: int) -> None:
        """End the segment before position ``end``, unless some of its rows wait for their batch to fill."""
        if end - self._ledger.open_segment_start >= MAX_SEGMENT_ROWS:
            self._send_rest()
        if self._validate_only or not len(self._packer):
            self._begin_segment(end)
        else:
            # Check only every fifth of a segment: the next full batch usually ends it.
            self._check_due = end + SEGMENT_ROWS // 5

    def _begin_segment(self, position: int) -> None:
        self._ledger.end_segment(position)
        self._segment_due = self._check_due = position + SEGMENT_ROWS
        self._checkpointer.keep()

    def _submit(self, batch: Batch) -> None:
        sender = self._sender
        if sender is None:
            return
        if batch.has_events and self._checkpoints is not None:
            self._reserve(batch, self._checkpoints)
        if self._workers is None:
            # The first request goes alone: it proves the credentials, and its response brings the rate window.
            sender.send(batch)
            if self._client is not None and not self._halt.is_set():
                log_workspace(self._client, self._operation.endpoint)
            self._workers = Workers(sender.send, self._concurrency)
        else:
            self._workers.submit(batch)
        sender.receive()

    def _reserve(self, batch: Batch, checkpoints: CheckpointStore) -> None:
        """Write down that events may have been sent before they are, so that no crash can duplicate them silently."""
        if checkpoints.unsafe:
            raise MoEngageUnsafeRestart(
                "An earlier try of this task may have sent events, and this one cannot tell which; sending them again "
                "would duplicate them. No event was sent now. on_restart='resend' sends all of them again; "
                "staging_path= keeps a copy of the rows that a retry can resume from"
            )
        self._checkpointer.reserve(batch.positions[0], batch.end)

    def _receive(self) -> None:
        if self._sender is not None:
            self._sender.receive()

    def _settle_duplicates(self) -> None:
        """Settle duplicates with the outcome of the row they repeat."""
        rejected, pending = self._sender.rejected if self._sender is not None else {}, 0
        for user, position in self._duplicates:
            if user in rejected:
                row = self._operation.repeated_row(user)
                self._ledger.reject(Entry(position, row), rejected[user])
            else:
                pending += 1
        self._ledger.accept_duplicates(pending)

    def _stop(self, error: BaseException) -> None:
        """Read no more rows and start no more requests; the first error is the one that is reported."""
        if self._stopped_by is None:
            self._stopped_by = error
        self._halt.set()
        if self._client is not None:
            self._client.windows.wake()
        # Nothing else ends a hanging fetch.
        cancel = getattr(self._source, "cancel", None)
        if cancel is not None:
            cancel()
        if not isinstance(error, Exception):
            # A task timeout: requests in flight get no more time than after a cancellation.
            self._cancellation.cancel()

    def _await_cancellation(self) -> None:
        """Stop the run once it is cancelled; requests in flight get a grace period, then connections are closed."""
        if self._cancellation.wait():
            self._stop(MoEngageStopped("the task was told to end"))
            wait = GRACE
            while not self._ended.wait(wait) and self._client is not None:
                self._client.abort()
                # A connection that was still being opened then is closed by the next pass.
                wait = ABORT_INTERVAL

    def _join_workers(self) -> None:
        if self._workers is not None:
            self._workers.finish()

    def _close(self) -> None:
        self._ended.set()
        spent = self._stopped_by if isinstance(self._stopped_by, MoEngageWindowSpent) else None
        if spent is not None and self._ledger.fruitless_deferrals >= STARVED_WINDOWS:
            self._stopped_by = MoEngageRateLimited(
                f"the rate window granted nothing after {STARVED_WINDOWS} deferrals in a row",
                retry_after=spent.retry_after,
            )
            spent = None
        if spent is not None:
            self._ledger.defer()
        try:
            self._checkpointer.close(deferring=spent is not None)
        except (MoEngageStorageError, OSError) as error:
            if spent is None:
                raise
            # Without a checkpoint, a deferral would lose what was done.
            self._ledger.deferrals -= 1
            self._stopped_by = error
