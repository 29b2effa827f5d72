"""The loop from rows to outcomes: read, validate, pack, send, settle."""

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
from airflow_provider_moengage.delivery.account.segments import STRETCH_ROWS
from airflow_provider_moengage.delivery.batch import Batch, Entry, Item
from airflow_provider_moengage.delivery.opening import log_resumption, log_target, log_workspace
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.resume.checkpoint_store import Checkpoints
from airflow_provider_moengage.delivery.resume.checkpointer import Journal
from airflow_provider_moengage.delivery.send.cancellation import GRACE, Ending
from airflow_provider_moengage.delivery.send.packer import Packer
from airflow_provider_moengage.delivery.send.sender import Sender, unknown
from airflow_provider_moengage.delivery.send.workers import Workers
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

log = logging.getLogger(__name__)

#: A call that is not full is sent after so many rows all the same, most of which were refused: what is known of them is
#: not kept before.
MOST_STRETCH_ROWS = 10 * STRETCH_ROWS


@dataclass(frozen=True)
class Run:
    """
    How a run ended.

    :param report: the counts, as JSON; read = accepted + rejected + unsent (+ valid, where nothing was to be
        sent).
    :param stopped_by: what ended it before its source was exhausted, or left rows unsent; None for a run that
        reached its end.
    """

    report: Report
    stopped_by: BaseException | None


class SourceBroke(Exception):
    """The source raised while it was read; the cause says what."""


def _unbroken(rows: Iterable[object]) -> Iterator[object]:
    try:
        yield from rows
    except Exception as error:
        raise SourceBroke from error


class Delivery:
    """
    Sends every row of a source, whatever the operation.

    :param connect: gives the client; called once, when the run begins.
    :param concurrency: requests in flight at most.
    :param parts: where rejected rows are written; None: nowhere.
    :param validate_only: do everything but sending.
    :param observe: called with the progress every few seconds, from another thread, and once at the end.
    :param checkpoints: where a later try reads how far this one got; None: it begins anew.
    :param patience: seconds to wait for a rate window at most; a longer wait stops the run with
        :class:`~airflow_provider_moengage.api.errors.MoEngageWindowSpent`. None: as long as it takes.
    :param ending: carries the order to end.
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
        checkpoints: Checkpoints | None = None,
        patience: float | None = None,
        ending: Ending | None = None,
    ) -> None:
        self._source = source
        self._mapping = mapping
        self._connect = connect
        self._client: MoEngageClient | None = None
        self._operation = operation
        self._packer = Packer(operation.endpoint)
        self._repeated: list[tuple[str, int]] = []
        self._concurrency = concurrency
        self._parts = parts
        self._validate_only = validate_only
        self._checkpoints = checkpoints
        self._patience = patience
        self._ending = ending or Ending()
        self._over = threading.Event()
        self._begin_with(None, None)
        self._warnings = RowWarnings(learn_types=validate_only)
        self._progress = ProgressReporter(self._look, observe)
        self._sender: Sender | None = None
        self._workers: Workers | None = None
        self._halt = threading.Event()
        self._stopped_by: BaseException | None = None

    def run(self) -> Run:
        """Deliver until the source ends or something stops the run; what is in flight then is still settled."""
        ender = threading.Thread(target=self._await_order, name="moengage-ending", daemon=True)
        ender.start()
        # A time-out may interrupt the wait for what is in flight, which is settled before the report all the same:
        # so there is a second one, which has nothing to do otherwise.
        wait_twice = (self._finish, self._finish)
        steps = (self._progress.begin, self._open, self._read, self._send_rest, *wait_twice, self._receive)
        for step in (*steps, self._settle_repeated, self._close, self._progress.end):
            # Errors are kept and not raised: the report of what was done is owed in every exit.
            try:
                step()
            except SourceBroke as broke:
                # The rows that were read before are good: they are still sent.
                self._stopped_by = self._stopped_by or broke.__cause__
            except BaseException as error:
                self._stop(error)
        self._over.set()
        self._ending.over()
        if isinstance(self._stopped_by, MoEngageWindowSpent) and self._progress.last is not None:
            self._stopped_by.progress = self._progress.last.summary
        if self._client is not None:
            # It belongs to whoever gave it, and may serve another run.
            self._client.release()
        self._warnings.close()
        written = self._parts is not None and self._parts.written
        report = self._ledger.report(
            self._throttled_seconds(), self._parts.folder if written and self._parts else None
        )
        if self._validate_only:
            report["valid"] = self._ledger.valid
        return Run(report, self._stopped_by)

    def _begin_with(self, resumed: Checkpoint | None, checkpoints: Checkpoints | None) -> None:
        """Begin where an earlier try got to; before that is known, its checkpoint must not be written over."""
        self._ledger = Ledger(resumed, keep_rejected=self._parts is not None)
        self._journal = Journal(self._ledger, self._parts, checkpoints, self._throttled_seconds)
        self._throttled_earlier = resumed.throttled_seconds if resumed else 0.0
        self._start = self._ledger.mark
        self._known_until = max(self._start, self._ledger.done.end)
        self._doubt_until = self._ledger.doubt.end
        self._stretch_due = self._look_due = self._start + STRETCH_ROWS

    def _open(self) -> None:
        self._measure()
        client = self._connect()
        self._throttled_before = client.windows.throttled_seconds
        self._client = client
        endpoint = self._operation.endpoint
        log_target(self._source, client, endpoint, self._concurrency, validate_only=self._validate_only)
        kept = resumed = None
        if self._checkpoints is not None:
            self._checkpoints.open()
            kept = self._checkpoints.load(self._known_source(self._checkpoints))
            resumed = kept and kept.after_deferral(time.time())
            self._begin_with(resumed, self._checkpoints)
        self._measure()
        if kept is not None:
            log_resumption(kept, self._ledger)
        elif self._checkpoints is not None and self._checkpoints.retry_effect is not None:
            log.info("%s", self._checkpoints.retry_effect)
        if self._parts is not None:
            self._parts.open(resumed.parts if resumed else None)
        self._sender = Sender(
            client, self._operation, self._ledger, self._journal, self._halt, self._stop, self._patience
        )

    def _known_source(self, checkpoints: Checkpoints) -> str | None:
        """Get the rows ready, and give what they are known by; where nobody will ask, a list is not read for it."""
        if checkpoints.resumable or isinstance(self._source, StagedRows):
            return self._source.prepare(self._mapping.check_columns, self._halt)
        return None

    def _measure(self) -> None:
        with suppress(TypeError):
            self._ledger.read = len(self._source)
            self._ledger.source_exhausted = True

    def _throttled_seconds(self) -> float:
        now = self._client.windows.throttled_seconds - self._throttled_before if self._client else 0.0
        return self._throttled_earlier + now

    def _look(self, seconds: float) -> Progress:
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
        known_until = self._known_until
        with closing(self._source.rows(self._mapping.check_columns, start)) as rows:
            for position, row in enumerate(_unbroken(rows), start):
                if not sized and position >= ledger.read:
                    ledger.read = position + 1
                if position >= known_until or not self._is_known(position, row):
                    self._take(position, row)
                if position >= self._look_due:
                    self._end_stretch(position + 1)
                if self._stopped_by is not None:
                    return
        ledger.source_exhausted = True

    def _send_rest(self) -> None:
        if self._halt.is_set() or self._validate_only:
            return
        for batch in self._packer.rest():
            self._submit(batch)

    def _is_known(self, position: int, row: object) -> bool:
        """Pass over a row that an earlier try has settled."""
        if position >= self._start and position not in self._ledger.done:
            return False
        if self._mapping.remembers:
            with suppress(MoEngageRecordInvalid):
                self._item(row)
        if position >= self._start:
            self._ledger.pass_over(position)
        return True

    def _item(self, row: object) -> Item:
        """
        Return what is sent of a row; an error that one of its values raises is the row's alone.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        try:
            return self._mapping.item(row, self._warnings)
        except (MoEngageError, MemoryError):
            raise
        except RecursionError:
            raise MoEngageRecordInvalid("object_levels", "the row has a value nested without end") from None
        except Exception as error:
            raise MoEngageRecordInvalid(
                "value_type", f"the row has a value that cannot be read: it raises {type(error).__name__}"
            ) from None

    def _take(self, position: int, row: object) -> None:
        if isinstance(row, Unreadable):
            self._ledger.refuse(Entry(position, row.text), MoEngageRecordInvalid(row.code, row.reason))
            return
        try:
            item = self._item(row)
            content, user, form = item
            if dropped := self._warnings.dropped:
                self._warnings.dropped = []
            doubtful = position < self._doubt_until and position in self._ledger.doubt
            if doubtful and not self._operation.repeatable:
                self._ledger.may_have_been_sent(position, form.events or 1)
                self._ledger.refuse(Entry(position, row), unknown())
                return
            ready = self._packer.add(item, position, row) if content else ()
        except MoEngageRecordInvalid as error:
            self._ledger.refuse(Entry(position, row), error)
            return
        if self._validate_only:
            log.debug("Row %d would be sent as %s", position, content or "what an earlier row is")
            self._ledger.found_valid()
            if dropped:
                self._ledger.drop(position, dropped)
            self._ledger.pass_over(position)
            return
        if not content:
            self._repeated.append((user, position))
            self._ledger.pass_over(position)
        if ready and position >= self._stretch_due:
            self._begin_stretch(position if ready[-1].end <= position else position + 1)
        # Where a stretch began with this row, it is that one's.
        if dropped:
            self._ledger.drop(position, dropped)
        if doubtful:
            self._ledger.may_have_been_sent(position, form.events or 1)
        for batch in ready:
            self._submit(batch)

    def _end_stretch(self, end: int) -> None:
        """End the stretch behind the last row, where nothing of it waits for its call to fill."""
        if end - self._ledger.growing >= MOST_STRETCH_ROWS:
            self._send_rest()
        if self._validate_only or not len(self._packer):
            self._begin_stretch(end)
        else:
            # Most likely the call that fills ends it: a look at every row would cost more than it brings.
            self._look_due = end + STRETCH_ROWS // 5

    def _begin_stretch(self, position: int) -> None:
        self._ledger.end_stretch(position)
        self._stretch_due = self._look_due = position + STRETCH_ROWS
        self._journal.keep()

    def _submit(self, batch: Batch) -> None:
        sender = self._sender
        if sender is None:
            return
        if batch.has_events and self._checkpoints is not None:
            self._reserve(batch, self._checkpoints)
        if self._workers is None:
            # The first request goes alone: it proves the credentials and brings the rate window.
            sender.send(batch)
            if self._client is not None and not self._halt.is_set():
                log_workspace(self._client, self._operation.endpoint)
            self._workers = Workers(sender.send, self._concurrency)
        else:
            self._workers.submit(batch)
        sender.receive()

    def _reserve(self, batch: Batch, checkpoints: Checkpoints) -> None:
        """Write down that events may have been sent before they are: a crash must not send them again unnoticed."""
        if checkpoints.unsafe:
            raise MoEngageUnsafeRestart(
                "An earlier try of this task may have sent events, and this one cannot tell which: sent again, they "
                "would be there twice. None was sent now. on_restart='resend' sends all of them again; staging_path= "
                "makes rows that can be gone on with"
            )
        self._journal.reserve(batch.positions[0], batch.end)

    def _receive(self) -> None:
        if self._sender is not None:
            self._sender.receive()

    def _settle_repeated(self) -> None:
        """Let rows that ask for what an earlier one asked for share that one's fate."""
        refused, pending = self._sender.refused if self._sender is not None else {}, 0
        for user, position in self._repeated:
            if user in refused:
                row = self._operation.repeated_row(user)
                self._ledger.refuse(Entry(position, row), refused[user])
            else:
                pending += 1
        self._ledger.accept_repeated(pending)

    def _stop(self, error: BaseException) -> None:
        """Take no new row and begin no new request; the first cause is the one to report."""
        if self._stopped_by is None:
            self._stopped_by = error
        self._halt.set()
        if self._client is not None:
            self._client.windows.wake()
        # A fetch that hangs ends on nothing else.
        cancel = getattr(self._source, "cancel", None)
        if cancel is not None:
            cancel()
        if not isinstance(error, Exception):
            # A time-out: what is in flight has no more time than after an order.
            self._ending.order()

    def _await_order(self) -> None:
        """End the run once it is ordered to: what is in flight has a few seconds, then its connections are cut."""
        if self._ending.wait():
            self._stop(MoEngageStopped("the task was told to end"))
            if not self._over.wait(GRACE) and self._client is not None:
                self._client.abort()

    def _finish(self) -> None:
        if self._workers is not None:
            self._workers.finish()

    def _close(self) -> None:
        self._over.set()
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
            self._journal.close(deferring=spent is not None)
        except (MoEngageStorageError, OSError) as error:
            if spent is None:
                raise
            # It was to be deferred, and nothing would be left of what it has done.
            self._ledger.deferrals -= 1
            self._stopped_by = error
