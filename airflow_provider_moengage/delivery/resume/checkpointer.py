"""Writes the checkpoint, and the rejected rows that it counts, while a run sends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts
from airflow_provider_moengage.delivery.account.segments import SEGMENT_ROWS
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.resume.checkpoint_store import CheckpointStore

log = logging.getLogger(__name__)


class Checkpointer:
    """
    Writes rejected rows and then the checkpoint that counts them, from the thread that settles a segment.

    :param ledger: holds the outcome of every row.
    :param parts: where rejected rows are written; None: nowhere.
    :param checkpoints: where the checkpoint is kept; None: nowhere.
    :param throttled_seconds: returns the seconds this attempt has waited for rate windows.
    :param segment_rows: rows that are reserved at a time.
    :param changes: knows what was sent, if only changed rows are; its state is part of the checkpoint.
    """

    def __init__(
        self,
        ledger: Ledger,
        parts: RejectedParts | None,
        checkpoints: CheckpointStore | None,
        throttled_seconds: Callable[[], float],
        segment_rows: int = SEGMENT_ROWS,
        changes: ChangedRows | None = None,
    ) -> None:
        self._ledger = ledger
        self._parts = parts
        self._checkpoints = checkpoints
        self._throttled_seconds = throttled_seconds
        self._segment_rows = segment_rows
        self._changes = changes
        self._kept = ledger.low_water_mark
        self._reserved = 0
        self._failing = False
        self._writing = threading.Lock()

    def keep(self) -> None:
        """
        Write what was settled since the last call; return at once if another thread is writing.

        :raises OSError: the folder of rejected rows cannot be written.
        """
        while self._ledger.low_water_mark != self._kept and self._writing.acquire(blocking=False):
            try:
                self._keep()
            finally:
                self._writing.release()

    def begin(self) -> None:
        """Write the first checkpoint, before the first request, if a later attempt has to know that there was one."""
        if self._checkpoints is not None and self._checkpoints.resumable:
            with self._writing:
                self._save(self._state())

    def reserve(self, first: int, end: int) -> None:
        """
        Write to the checkpoint that rows may have been sent, before they are.

        :param first: the position of the first row.
        :param end: the position after the last row.
        :raises MoEngageStorageError: the checkpoint cannot be written; the rows must not be sent.
        """
        if self._checkpoints is None or end <= self._reserved:
            return
        with self._writing:
            self._reserved = max(end, first + self._segment_rows)
            self._checkpoints.save(self._state())

    def close(self, *, deferring: bool = False, window_client: str | None = None) -> None:
        """
        Write the outcome of every single row, once none is in flight.

        :param deferring: whether the run is deferred: then the checkpoint must be written.
        :param window_client: as which client of the shared rate windows it resumes; None: a new one.
        :raises OSError: the folder of rejected rows cannot be written.
        """
        with self._writing:
            checkpoint, lines = self._ledger.final_state()
            if self._parts is not None:
                self._parts.add(lines)
                self._parts.flush()
            if self._checkpoints is None or not self._checkpoints.resumable:
                return
            checkpoint = replace(
                checkpoint,
                parts=self._parts.written if self._parts is not None else {},
                changes=self._changes.state(settled=True) if self._changes is not None else None,
                throttled_seconds=self._throttled_seconds(),
                deferred_at=time.time() if deferring else None,
                window_client=window_client,
            )
            if deferring:
                self._checkpoints.save(checkpoint)
            else:
                self._save(checkpoint)

    def _keep(self) -> None:
        self._kept = self._ledger.low_water_mark
        if self._checkpoints is not None and self._checkpoints.resumable:
            self._save(self._state())
        elif self._parts is not None:
            # Parts that are not full need to be written only together with a checkpoint.
            self._parts.add(self._ledger.take_lines())

    def _state(self) -> Checkpoint:
        """Write the rejected rows up to the low-water mark, and return the checkpoint that counts them."""
        checkpoint, lines = self._ledger.state()
        if self._parts is not None:
            self._parts.add(lines)
            self._parts.flush()
        return replace(
            checkpoint,
            unconfirmed=checkpoint.unconfirmed.union(ranges=[(checkpoint.low_water_mark, self._reserved)]),
            parts=self._parts.written if self._parts is not None else {},
            changes=self._changes.state() if self._changes is not None else None,
            throttled_seconds=self._throttled_seconds(),
        )

    def _save(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint, ignoring errors: resuming from an older one resends rows, and loses none."""
        if self._checkpoints is None:
            return
        try:
            self._checkpoints.save(checkpoint)
            self._failing = False
        except MoEngageStorageError as error:
            if not self._failing:
                log.warning("%s; the run continues, and a retry would send more rows again", error)
            self._failing = True
