"""Stores a task's checkpoint between attempts and decides whether an attempt may resume from it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.storage import (
    delete_own,
    folder_path,
    make_folder,
    read_whole,
    write_whole,
)
from airflow_provider_moengage.delivery.storage_errors import described, remedy

log = logging.getLogger(__name__)

#: Increased when the format changes or rows become other records: other versions are not resumed from.
CHECKPOINT_VERSION = 2
#: Its key in Airflow's task state store.
CHECKPOINT_KEY = "moengage_checkpoint"
CHECKPOINT_FILE = "checkpoint.json"
#: Requests and times in the report of an attempt that sends nothing.
NOTHING_SENT = {
    "requests": 0,
    "retried": 0,
    "deferrals": 0,
    "throttled_seconds": 0.0,
    "duration_seconds": 0.0,
}


class CheckpointPlace(Protocol):
    """Where a checkpoint is kept between attempts; every error it raises counts as temporary."""

    def load(self) -> Any:
        """Return the last saved value; None: nothing was saved."""
        ...

    def save(self, value: dict[str, Any]) -> None:
        """Save a value in place of the last one."""
        ...

    def delete(self) -> None:
        """Delete the saved value; no error if there is none."""
        ...


class StateStore:
    """
    Airflow's own store for the state of a task, from 3.3 on.

    :param store: ``context["task_state_store"]``.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def __str__(self) -> str:
        return "Airflow's task state store"

    def load(self) -> Any:
        """Return the last saved value; None: nothing was saved."""
        return self._store.get(CHECKPOINT_KEY)

    def save(self, value: dict[str, Any]) -> None:
        """Save a value in place of the last one."""
        self._store.set(CHECKPOINT_KEY, value)

    def delete(self) -> None:
        """Delete the saved value."""
        self._store.delete(CHECKPOINT_KEY)


class CheckpointFile:
    """
    A checkpoint file in the folder of the staged rows.

    :param folder: a URL for ``ObjectStoragePath``.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return f"{self._folder}/{CHECKPOINT_FILE} (staging_path)"

    def load(self) -> Any:
        """Return the last saved value; None: nothing was saved."""
        folder = folder_path(self._folder)
        with suppress(OSError):
            # Left by a process that was killed while it saved.
            delete_own(folder, CHECKPOINT_FILE.__eq__, kept=(CHECKPOINT_FILE,))
        content = read_whole(folder / CHECKPOINT_FILE)
        try:
            return None if content is None else json.loads(content)
        except ValueError:
            # A corrupt file is an invalid checkpoint (start over), not a storage failure (retry).
            return ""

    def save(self, value: dict[str, Any]) -> None:
        """Save a value in place of the last one."""
        folder = folder_path(self._folder)
        make_folder(folder)
        write_whole(folder / CHECKPOINT_FILE, json.dumps(value).encode())

    def delete(self) -> None:
        """Delete the saved value."""
        delete_own(folder_path(self._folder), CHECKPOINT_FILE.__eq__)


@dataclass(frozen=True)
class Binding:
    """
    What a checkpoint belongs to.

    :param fingerprint: of the arguments that shape rows and requests.
    :param max_tries: the task instance's; it changes when the task is cleared.
    :param try_number: the task instance's; a deferral does not change it.
    :param version: of the checkpoint's format.
    """

    fingerprint: str
    max_tries: int
    try_number: int
    version: int = CHECKPOINT_VERSION


class CheckpointStore:
    """
    Loads and saves the checkpoint of one task instance.

    :param place: where it is kept; None: nowhere.
    :param binding: what it belongs to.
    :param resumable: whether a retry may resume from it; else it records only that something may have been sent.
    :param sent_before: whether an earlier attempt may have sent something; without its checkpoint it is unknown what.
    :param on_restart: ``resend``: unconfirmed events may be sent again; ``fail``: they may not.
    :param retry_effect: what a retry would do after this attempt, for the log; None: nothing is logged.
    :param announced: save a first checkpoint before anything is read or sent, so that a deleted checkpoint can be told
        from one that never existed.
    """

    def __init__(
        self,
        place: CheckpointPlace | None,
        binding: Binding,
        *,
        resumable: bool = True,
        sent_before: bool = False,
        on_restart: str = "fail",
        announced: bool = False,
        retry_effect: str | None = None,
    ) -> None:
        self._place = place
        self._binding = binding
        self._source: str | None = None
        self.resumable = resumable and place is not None
        self._resend = on_restart == "resend"
        self._sent_before = sent_before
        self._announced = announced
        self.retry_effect = retry_effect
        self._saved: Any = None
        self._was_read = False
        #: Whether an earlier attempt may have sent events that are not known and must not be duplicated.
        self.unsafe = sent_before and place is None and not self._resend

    def open(self) -> None:
        """
        Read the checkpoint of an earlier attempt, before the rows are read.

        :raises MoEngageStorageError: it cannot be read; nothing was read or sent.
        """
        if self._place is None:
            return
        try:
            self._read(self._place)
        except Exception as error:
            raise MoEngageStorageError(
                f"The checkpoint in {self._place} cannot be read ({described(error)}){remedy(error, 'read there')}; nothing was sent. "
                "A retry may succeed; durable=False runs without a checkpoint"
            ) from error
        if self._saved is None and self._announced:
            if self._sent_before:
                log.warning("The checkpoint of an earlier try is gone from %s", self._place)
                self.unsafe = not self._resend
            else:
                self.save(Checkpoint())

    def load(self, source: str | None) -> Checkpoint | None:
        """
        Return the checkpoint to resume from, out of what :meth:`open` has read; None: start over.

        :param source: the source's fingerprint; None: it cannot be read again.
        """
        self._source = source
        if self._saved is None:
            return None
        checkpoint = self._usable(self._saved)
        if checkpoint is None or checkpoint.try_number != self._binding.try_number:
            return checkpoint and checkpoint.for_next_attempt()
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """
        Save a checkpoint.

        :raises MoEngageStorageError: it cannot be written.
        """
        if self._place is None:
            return
        now = replace(checkpoint, source=self._source, try_number=self._binding.try_number)
        try:
            self._place.save({**self._binding_fields(), "checkpoint": now.to_json()})
        except Exception as error:
            raise MoEngageStorageError(
                f"The checkpoint cannot be written to {self._place} ({described(error)}){remedy(error, 'write there')}"
            ) from error

    def finish(self, report: Report) -> None:
        """
        Replace the checkpoint by the report, so that a later attempt sends nothing.

        Airflow records the success only after the task has ended; without the report, a process killed in between
        would duplicate events.
        """
        if self._place is None:
            return
        try:
            self._place.save({**self._binding_fields(), "finished": dict(report)})
        except Exception as error:
            log.warning("The final report cannot be written to %s: %s", self._place, type(error).__name__)

    def finished(self) -> Report | None:
        """Return the report of an earlier attempt that has sent everything; None: there is none, or it is unreadable."""
        try:
            saved = self._read(self._place) if self._place is not None else None
            if saved is not None and all(
                saved[name] == value for name, value in self._binding_fields().items()
            ):
                report: Report | None = saved.get("finished")
                return cast(Report, {**report, **NOTHING_SENT}) if report else None
        except Exception:
            # Loading the checkpoint will raise and report the same error.
            log.debug("The final report of an earlier try cannot be read", exc_info=True)
        return None

    def delete(self) -> None:
        """Delete the checkpoint, since there is nothing to resume."""
        if self._place is None:
            return
        try:
            self._place.delete()
        except Exception as error:
            # Harmless: the checkpoint is bound to this run, and a cleared task starts over anyway.
            log.warning("The checkpoint in %s cannot be deleted: %s", self._place, type(error).__name__)

    def _read(self, place: CheckpointPlace) -> Any:
        """Return what was saved before this attempt, read once: the first request waits for it."""
        if not self._was_read:
            self._saved = place.load()
            self._was_read = True
        return self._saved

    def _binding_fields(self) -> dict[str, Any]:
        binding = self._binding
        return {
            "fingerprint": binding.fingerprint,
            "max_tries": binding.max_tries,
            "version": binding.version,
        }

    def _usable(self, saved: Any) -> Checkpoint | None:
        """Return the checkpoint if this run can resume from it; else log why the run starts over."""
        binding = self._binding
        checkpoint = None
        try:
            if saved["max_tries"] != binding.max_tries:
                log.info("The task was cleared: it starts over, whatever was sent before")
                return None
            if saved["version"] == binding.version:
                checkpoint = Checkpoint.from_json(saved["checkpoint"])
            why = self._obstacle(saved["version"], saved["fingerprint"], checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError):
            checkpoint, why = None, "the checkpoint is not valid"
        if why is None or (checkpoint is not None and not checkpoint.began):
            return checkpoint if why is None else None
        self.unsafe = not self._resend
        log.warning("An earlier try has sent rows and cannot be resumed, because %s", why)
        return None

    def _obstacle(self, version: object, fingerprint: object, checkpoint: Checkpoint | None) -> str | None:
        """Return why a checkpoint cannot be resumed from; None: it can."""
        if checkpoint is None:
            return f"the checkpoint is of version {version}, and this package writes {self._binding.version}"
        if fingerprint != self._binding.fingerprint:
            return "the operator's arguments have changed since"
        if not self.resumable or self._source is None:
            return "its rows cannot be read again as they were"
        return None if checkpoint.source == self._source else "its rows have changed since"
