"""Where a checkpoint is kept between the tries of a task, and whether it may be gone on from."""

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

log = logging.getLogger(__name__)

#: Another number here is another form, or rows become something else: such a checkpoint is not gone on from.
CHECKPOINT_VERSION = 2
#: Its key in Airflow's task state store.
CHECKPOINT_KEY = "moengage_checkpoint"
CHECKPOINT_FILE = "checkpoint.json"
#: What a report says of the requests and times of a try, where the try had none.
NOTHING_SENT = {
    "requests": 0,
    "retried": 0,
    "deferrals": 0,
    "throttled_seconds": 0.0,
    "duration_seconds": 0.0,
}


class CheckpointPlace(Protocol):
    """Where a checkpoint is kept between the tries of a task; any error it raises may pass."""

    def load(self) -> Any:
        """Give what was saved last; None where nothing was."""
        ...

    def save(self, value: dict[str, Any]) -> None:
        """Put a value in the place of the last one."""
        ...

    def delete(self) -> None:
        """Keep nothing; no error where nothing was."""
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
        """Give what was saved last; None where nothing was."""
        return self._store.get(CHECKPOINT_KEY)

    def save(self, value: dict[str, Any]) -> None:
        """Put a value in the place of the last one."""
        self._store.set(CHECKPOINT_KEY, value)

    def delete(self) -> None:
        """Keep nothing."""
        self._store.delete(CHECKPOINT_KEY)


class CheckpointFile:
    """
    A file beside the staged rows.

    :param folder: as ``ObjectStoragePath`` takes it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return f"{self._folder}/{CHECKPOINT_FILE}"

    def load(self) -> Any:
        """Give what was saved last; None where nothing was."""
        folder = folder_path(self._folder)
        with suppress(OSError):
            # What a process left that was killed while it saved.
            delete_own(folder, CHECKPOINT_FILE.__eq__, kept=(CHECKPOINT_FILE,))
        content = read_whole(folder / CHECKPOINT_FILE)
        try:
            return None if content is None else json.loads(content)
        except ValueError:
            # It will never be JSON, so it is one that cannot be understood, and none that cannot be read.
            return ""

    def save(self, value: dict[str, Any]) -> None:
        """Put a value in the place of the last one."""
        folder = folder_path(self._folder)
        make_folder(folder)
        write_whole(folder / CHECKPOINT_FILE, json.dumps(value).encode())

    def delete(self) -> None:
        """Keep nothing."""
        delete_own(folder_path(self._folder), CHECKPOINT_FILE.__eq__)


@dataclass(frozen=True)
class Binding:
    """
    What a checkpoint belongs to.

    :param fingerprint: of the arguments that shape rows and requests.
    :param max_tries: the task instance's; it changes when the task is cleared.
    :param try_number: the task instance's; it stays the same over a deferral.
    :param version: the form of the checkpoint.
    """

    fingerprint: str
    max_tries: int
    try_number: int
    version: int = CHECKPOINT_VERSION


class CheckpointStore:
    """
    The checkpoint of one task instance.

    :param place: where it is kept; None: nowhere.
    :param binding: what it belongs to.
    :param resumable: whether a retry may go on from it; else it says only whether something may have been sent.
    :param sent_before: whether an earlier try may have sent something; where there is no checkpoint of it, nobody
        knows what.
    :param resend: whether events may be sent again of which nobody knows whether they were sent.
    :param retry_effect: what a retry would do after this try, for the log; None: nothing is said of it.
    :param announced: write a first checkpoint before anything is read or sent, so that one that is gone later can be
        told from one that never was.
    """

    def __init__(
        self,
        place: CheckpointPlace | None,
        binding: Binding,
        *,
        resumable: bool = True,
        sent_before: bool = False,
        resend: bool = False,
        announced: bool = False,
        retry_effect: str | None = None,
    ) -> None:
        self._place = place
        self._binding = binding
        self._source: str | None = None
        self.resumable = resumable and place is not None
        self._resend = resend
        self._sent_before = sent_before
        self._announced = announced
        self.retry_effect = retry_effect
        self._saved: Any = None
        #: Whether an earlier try may have sent events that this one cannot know of and must not send again.
        self.unsafe = sent_before and place is None and not resend

    def open(self) -> None:
        """
        Read what an earlier try has kept, before the rows are read.

        :raises MoEngageStorageError: its place does not answer; nothing was read or sent.
        """
        if self._place is None:
            return
        try:
            self._saved = self._place.load()
        except Exception as error:
            raise MoEngageStorageError(
                f"The checkpoint in {self._place} cannot be read ({type(error).__name__}: {error}); nothing was sent. "
                "A retry tries again; durable=False goes without"
            ) from error
        if self._saved is None and self._announced:
            if self._sent_before:
                log.warning("The checkpoint of an earlier try is gone from %s", self._place)
                self.unsafe = not self._resend
            else:
                self.save(Checkpoint())

    def load(self, source: str | None) -> Checkpoint | None:
        """
        Return the checkpoint to go on from, of what :meth:`open` has read; None: begin anew.

        :param source: what the rows are known by; None: they cannot be read again.
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
        Keep a checkpoint.

        :raises MoEngageStorageError: its place does not take it.
        """
        if self._place is None:
            return
        now = replace(checkpoint, source=self._source, try_number=self._binding.try_number)
        try:
            self._place.save({**self._binding_fields(), "checkpoint": now.to_json()})
        except Exception as error:
            raise MoEngageStorageError(
                f"The checkpoint cannot be written to {self._place} ({type(error).__name__}: {error})"
            ) from error

    def finish(self, report: Report) -> None:
        """
        Keep the report alone, in place of the checkpoint: a later try has nothing to send.

        Airflow records a success only after the task has ended. Where a process is killed in between, events would be
        there twice.
        """
        if self._place is None:
            return
        try:
            self._place.save({**self._binding_fields(), "finished": dict(report)})
        except Exception as error:
            log.warning("The end cannot be written to %s: %s", self._place, type(error).__name__)

    def finished(self) -> Report | None:
        """Give the report of an earlier try that has sent everything; None: there is none, or it cannot be read."""
        try:
            saved = self._place.load() if self._place is not None else None
            if saved is not None and all(
                saved[name] == value for name, value in self._binding_fields().items()
            ):
                report: Report | None = saved.get("finished")
                return cast(Report, {**report, **NOTHING_SENT}) if report else None
        except Exception:
            # Whoever loads the checkpoint will meet it again, and say so.
            log.debug("The end of an earlier try cannot be read", exc_info=True)
        return None

    def delete(self) -> None:
        """Keep nothing: there is nothing to go on with."""
        if self._place is None:
            return
        try:
            self._place.delete()
        except Exception as error:
            # It belongs to this run alone: a task that is cleared begins anew all the same.
            log.warning("The checkpoint in %s cannot be deleted: %s", self._place, type(error).__name__)

    def _binding_fields(self) -> dict[str, Any]:
        binding = self._binding
        return {
            "fingerprint": binding.fingerprint,
            "max_tries": binding.max_tries,
            "version": binding.version,
        }

    def _usable(self, saved: Any) -> Checkpoint | None:
        """Give a checkpoint that this run can go on from; else say why it begins anew."""
        binding = self._binding
        checkpoint = None
        try:
            if saved["max_tries"] != binding.max_tries:
                log.info("The task was cleared: it begins anew, whatever was sent before")
                return None
            if saved["version"] == binding.version:
                checkpoint = Checkpoint.from_json(saved["checkpoint"])
            why = self._obstacle(saved["version"], saved["fingerprint"], checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError):
            checkpoint, why = None, "the checkpoint cannot be understood"
        if why is None or (checkpoint is not None and not checkpoint.began):
            return checkpoint if why is None else None
        self.unsafe = not self._resend
        log.warning("An earlier try has sent rows and cannot be gone on from, because %s", why)
        return None

    def _obstacle(self, version: object, fingerprint: object, checkpoint: Checkpoint | None) -> str | None:
        """Say why a checkpoint cannot be gone on from; None: it can."""
        if checkpoint is None:
            return f"the checkpoint is of version {version}, and this package writes {self._binding.version}"
        if fingerprint != self._binding.fingerprint:
            return "the operator's arguments have changed since"
        if not self.resumable or self._source is None:
            return "its rows cannot be read again as they were"
        return None if checkpoint.source == self._source else "its rows have changed since"
