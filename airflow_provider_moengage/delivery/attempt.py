"""An attempt to deliver the rows of a source: what becomes of each row, and how the attempt ends."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from types import TracebackType
from typing import Literal

from typing_extensions import Self

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.concurrency.limit import START
from airflow_provider_moengage.api.concurrency.limiter import ConcurrencyLimiter
from airflow_provider_moengage.api.errors import (
    MoEngageRateLimited,
    MoEngageRecordInvalid,
    MoEngageStorageError,
    MoEngageUnsafeRestart,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.api.rate_limit.window import STARVED_WINDOWS
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.progress import Progress, ProgressReporter
from airflow_provider_moengage.delivery.batch import Batch, Entry, Item
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.read.sources import SourceError, wrap_source_errors
from airflow_provider_moengage.delivery.resume.checkpointer import Checkpointer
from airflow_provider_moengage.delivery.run import Delivery, Run
from airflow_provider_moengage.delivery.run_log import log_workspace
from airflow_provider_moengage.delivery.send.packer import Packer
from airflow_provider_moengage.delivery.send.sender import Sender, unconfirmed_error
from airflow_provider_moengage.delivery.send.workers import READ_AHEAD, Workers
from airflow_provider_moengage.delivery.shape.shaper import Shaper
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

log = logging.getLogger(__name__)

#: A segment ends after so many times its usual rows even if its last batch is not full, as when most rows are rejected:
#: outcomes reach the checkpoint only when their segment ends.
MAX_SEGMENTS = 10


class Attempt:
    """
    One attempt of a run, as a context manager: leaving it joins the workers, settles every row and writes the
    checkpoint, whatever happened. Errors are kept as the reason of the cancellation and not raised.

    :param checkpoint: of an earlier attempt; None: start over.
    """

    def __init__(self, delivery: Delivery, client: MoEngageClient, checkpoint: Checkpoint | None) -> None:
        self._delivery = delivery
        self._client = client
        self._cancellation = delivery.cancellation
        self._parts = delivery.parts
        self._validate_only = delivery.validate_only
        self._changes = delivery.changes
        self._kept_parts = checkpoint.parts if checkpoint else {}
        self.ledger = ledger = Ledger(checkpoint, keep_rejected=delivery.parts is not None)
        ledger.count_source(delivery.source)
        self._throttled_earlier = checkpoint.throttled_seconds if checkpoint else 0.0
        self._throttled_before = client.windows.throttled_seconds
        self._checkpointer = Checkpointer(
            ledger,
            delivery.parts,
            delivery.checkpoints,
            self._throttled_seconds,
            delivery.segment_rows,
            self._changes,
        )
        self._mapping = delivery.mapping.for_run()
        shape = delivery.operation.shape(self._mapping)
        self._shaper = Shaper(shape, learn_types=delivery.validate_only)
        self._packer = Packer(delivery.operation.endpoint)
        self._limiter = limiter = ConcurrencyLimiter(client.windows, delivery.maximum_concurrency)
        self._sender = Sender(
            client,
            delivery.operation,
            delivery.responses,
            ledger,
            self._checkpointer,
            delivery.cancellation,
            limiter,
            resends=delivery.resends,
            max_wait=delivery.max_wait,
            changes=delivery.changes,
            sample=delivery.sample,
        )
        # Rows that must not be sent twice are in doubt as soon as they are queued, should the process be killed.
        read_ahead = READ_AHEAD if delivery.operation.idempotent else 0
        self._workers = Workers(
            self._sender.send, delivery.maximum_concurrency, lambda: limiter.threads, read_ahead
        )
        limiter.on_pause(self._workers.open)
        self._cancellation.on_stop(limiter.stop)
        self._sent = False
        self._progress = ProgressReporter(self._progress_now, delivery.observe)
        self._live_progress = delivery.live_progress
        self._duplicates: list[tuple[str, int]] = []
        self._start = ledger.low_water_mark
        self._settled_until = max(self._start, ledger.done.end)
        self._unconfirmed_until = ledger.unconfirmed.end
        self._rejects_unconfirmed = bool(ledger.unconfirmed.end) and not delivery.resends
        self._segment_due = self._check_due = self._start + delivery.segment_rows
        self._reads_again = self._mapping.remembers or (self._changes is not None and self._changes.rereads)

    def __enter__(self) -> Self:
        self._progress.begin()
        if self._live_progress is not None:
            self._live_progress.watch(self._progress.now)
        with self._stopping():
            if self._parts is not None:
                self._parts.open(self._kept_parts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True]:
        if error is not None:
            self._cancellation.stop(error)
        # Join twice: a task timeout may interrupt the first join, and requests in flight must be settled before the
        # report.
        with self._stopping():
            self._workers.finish()
        with self._stopping():
            self._workers.finish()
        with self._stopping():
            self._sender.receive()
        with self._stopping():
            self._settle_duplicates()
        with self._stopping():
            self._close()
        with self._stopping():
            self._finish_responses()
        if self._delivery.concurrency is None:
            log.debug("At most %s in flight at once", counted(self._limiter.peak, "request"))
        with self._stopping():
            self._progress.end()
        self._shaper.close()
        return True

    def remaining(self) -> Generator[tuple[int, object], None, None]:
        """Return the rows that no earlier attempt has settled, each with its position, until something ends the run."""
        if self._cancellation.event.is_set():
            return
        ledger, cancellation, settled_until = self.ledger, self._cancellation, self._settled_until
        sized = ledger.source_exhausted
        start = 0 if self._reads_again else self._start
        try:
            with closing(self._delivery.source.rows(self._mapping.check_columns, start)) as rows:
                for position, row in enumerate(wrap_source_errors(rows), start):
                    if not sized and position >= ledger.read:
                        ledger.read = position + 1
                    if position >= settled_until or not self._skip_if_settled(position, row):
                        yield position, row
                    if position >= self._check_due:
                        self._end_segment(position + 1)
                    if cancellation.reason is not None:
                        return
            ledger.source_exhausted = True
        except SourceError as error:
            # Rows that were read before the error are still sent.
            cancellation.fail(error.__cause__ or error)

    def shape(self, position: int, row: object) -> Item | None:
        """Return a row as it is sent; None: it was rejected, or has not changed, and was recorded as such."""
        try:
            item = self._shaper.shape(row)
            if self._rejects_unconfirmed and position in self.ledger.unconfirmed:
                self._shaper.take_dropped()
                self.ledger.mark_unconfirmed(position, item[2].records)
                raise unconfirmed_error()
        except MoEngageRecordInvalid as error:
            self.ledger.reject(Entry(position, row.text if isinstance(row, Unreadable) else row), error)
            return None
        if self._changes is not None and self._changes.is_unchanged(item):
            self._shaper.take_dropped()
            self.ledger.leave_unchanged(position)
            # A segment is as long as what it sends: batches need not be cut short for rows that are not sent.
            self._segment_due += 1
            self._check_due += 1
            return None
        return item

    def pack(self, position: int, row: object, item: Item) -> Sequence[Batch]:
        """Add a row to its batch, and return the batches that are full now."""
        content, _, envelope = item
        dropped = self._shaper.take_dropped()
        try:
            ready = self._packer.add(item, position, row) if content else ()
        except MoEngageRecordInvalid as error:
            self.ledger.reject(Entry(position, row), error)
            return ()
        if not content or self._validate_only:
            ready = self._put_aside(position, item)
        if ready and position >= self._segment_due:
            self._begin_segment(position if ready[-1].end <= position else position + 1)
        # Only now: the row may belong to the segment that has just started.
        if dropped:
            self.ledger.drop(position, dropped)
        if position < self._unconfirmed_until and position in self.ledger.unconfirmed:
            self.ledger.mark_unconfirmed(position, envelope.records)
        return ready

    def send(self, batch: Batch) -> None:
        """Send a batch; wait while too many are in flight."""
        delivery = self._delivery
        if not delivery.operation.idempotent and not batch.idempotent:
            self._reserve(batch)
        if self._sent:
            self._workers.submit(batch)
        else:
            if self._changes is not None:
                self._changes.announce()
                self._checkpointer.begin()
            # The first request goes alone: it proves the credentials, and its response brings the rate window.
            self._sender.send(batch)
            self._sent = True
            if not self._cancellation.event.is_set():
                log_workspace(self._client, delivery.operation.endpoint)
        self._sender.receive()
        if self._live_progress is not None:
            self._live_progress.tick()

    def send_rest(self) -> None:
        """Send the batch that is not full yet, unless the run was stopped."""
        if self._cancellation.event.is_set() or self._validate_only:
            return
        for batch in self._packer.rest():
            self.send(batch)

    def run(self) -> Run:
        """Return the result, once the attempt has ended."""
        delivery, ledger, reason = self._delivery, self.ledger, self._cancellation.reason
        if isinstance(reason, MoEngageWindowSpent) and self._progress.last is not None:
            reason.progress = self._progress.last.summary
        report = ledger.report(
            self._throttled_seconds(),
            self._parts.folder if self._parts is not None and self._parts.written else None,
            more={
                "valid": ledger.valid if self._validate_only else None,
                **self._changes_found(),
                **delivery.responses.counts(ledger.total().missing),
            },
        )
        return Run(report, reason)

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Stop the run if the block raises an error, which is not raised."""
        try:
            yield
        except BaseException as error:
            self._cancellation.stop(error)

    def _skip_if_settled(self, position: int, row: object) -> bool:
        """Whether an earlier attempt has settled a row, which is then skipped."""
        if position >= self._start and position not in self.ledger.done:
            return False
        if self._reads_again:
            with suppress(MoEngageRecordInvalid):
                item = self._shaper.shape(row)
                if self._changes is not None:
                    self._changes.see(item)
        if position >= self._start:
            self.ledger.skip(position)
        return True

    def _put_aside(self, position: int, item: Item) -> Sequence[Batch]:
        """Record a row that is not to be sent: a duplicate of an earlier one, or any row if rows are only validated."""
        content, user, _ = item
        if self._validate_only:
            log.debug("Row %d would be sent as %s", position, content or "a duplicate of an earlier row")
            self.ledger.found_valid()
        else:
            self._duplicates.append((user, position))
        self.ledger.skip(position)
        return ()

    def _end_segment(self, end: int) -> None:
        """End the segment before position ``end``, unless some of its rows wait for their batch to fill."""
        segment_rows, segment = self._delivery.segment_rows, self.ledger.open_segment
        if end - segment.start - segment.unchanged_rows >= MAX_SEGMENTS * segment_rows:
            self.send_rest()
        if self._validate_only or not len(self._packer):
            self._begin_segment(end)
        else:
            # Check only every fifth of a segment: the next full batch usually ends it.
            self._check_due = end + segment_rows // 5

    def _begin_segment(self, position: int) -> None:
        self.ledger.end_segment(position)
        segment_rows = self._delivery.segment_rows
        # A crash resends what is in flight beyond the segment, too: shorter segments make up for it.
        fewer = min(max(0, self._limiter.limit - START), segment_rows // 2)
        self._segment_due = self._check_due = position + segment_rows - fewer
        self._checkpointer.keep()

    def _reserve(self, batch: Batch) -> None:
        """Write down that events may have been sent before they are, so that no crash can duplicate them silently."""
        checkpoints = self._delivery.checkpoints
        if checkpoints is None:
            return
        if checkpoints.unsafe:
            raise MoEngageUnsafeRestart(
                "An earlier try of this task may have sent events, and this one cannot tell which; sending them again "
                "would duplicate them. No event was sent now. on_restart='resend' sends all of them again; "
                "staging_path= keeps a copy of the rows that a retry can resume from"
            )
        self._checkpointer.reserve(batch.positions[0], batch.end)

    def _settle_duplicates(self) -> None:
        """Settle duplicates with the outcome of the row they repeat."""
        rejected, pending = self._sender.rejected, 0
        for user, position in self._duplicates:
            if user in rejected:
                self.ledger.reject(Entry(position, self._mapping.repeated_row(user)), rejected[user])
            else:
                pending += 1
        self.ledger.accept_duplicates(pending)

    def _close(self) -> None:
        """Write the final checkpoint; a run that waited in vain for too many windows is not deferred once more."""
        ledger, spent = self.ledger, self._cancellation.reason
        if self._changes is not None:
            self._changes.record_rest(ledger.in_flight)
        if not isinstance(spent, MoEngageWindowSpent):
            self._checkpointer.close()
            return
        if ledger.fruitless_deferrals >= STARVED_WINDOWS:
            self._cancellation.reason = MoEngageRateLimited(
                f"the rate window granted nothing after {STARVED_WINDOWS} deferrals in a row",
                retry_after=spent.retry_after,
            )
            self._checkpointer.close()
            return
        ledger.defer()
        try:
            self._checkpointer.close(deferring=True, window_client=self._client.windows.client)
            self._client.windows.suspend()
        except (MoEngageStorageError, OSError) as error:
            # Without a checkpoint, a deferral would lose what was done.
            ledger.undo_deferral()
            self._cancellation.reason = error

    def _finish_responses(self) -> None:
        """Complete what was received, before the report is published."""
        responses = self._delivery.responses
        if self._cancellation.reason is not None or self._validate_only:
            responses.discard()
        else:
            responses.finish()

    def _changes_found(self) -> dict[str, int]:
        changes = self._changes
        if changes is None:
            return {}
        found = {"unchanged": self.ledger.total().unchanged}
        if self._validate_only:
            found |= {"added": changes.added, "changed": changes.changed}
        return found

    def _throttled_seconds(self) -> float:
        return self._throttled_earlier + self._client.windows.throttled_seconds - self._throttled_before

    def _progress_now(self, seconds: float) -> Progress:
        reason = self._cancellation.reason
        return Progress.of(
            self.ledger,
            self._client.windows,
            seconds=seconds,
            throttled_seconds=self._throttled_seconds(),
            resets_in=reason.retry_after if isinstance(reason, MoEngageWindowSpent) else None,
        )
