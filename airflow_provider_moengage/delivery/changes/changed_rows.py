"""Finds the rows of a run that have changed since they were last accepted, and keeps what the run has sent."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.batch import Batch, Item
from airflow_provider_moengage.delivery.changes.attempts import Attempts
from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly
from airflow_provider_moengage.delivery.changes.fingerprints import (
    ENTRY,
    HALF,
    UNKNOWN,
    Identity,
    content_of,
    key_of,
)
from airflow_provider_moengage.delivery.changes.generation_writer import GenerationWriter
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.known_records import (
    SENT,
    UNCHANGED,
    UNSEEN,
    KnownRecords,
    owner_of,
)
from airflow_provider_moengage.delivery.changes.snapshot_store import Listing, SnapshotStore
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.storage_errors import described, naming_folder, remedy

log = logging.getLogger(__name__)

#: The share of changed rows from which on a warning is due.
_NEARLY_ALL = 0.9


class ChangedRows:
    """
    Leaves out the rows of a run that have not changed, and writes the snapshot that the next run compares with.

    Until it is written again, the snapshot does not have what a run sends. So an attempt announces itself before its
    first request; while it is announced, or if it was killed, no other run relies on the snapshot.

    :param options: where the snapshot is, and what is sent besides changed rows.
    :param operation: the name of the operation.
    :param identity: returns what identifies a record.
    """

    def __init__(self, options: ChangedOnly, operation: str, identity: Identity) -> None:
        self.options = options
        self._operation = operation
        self._identity = identity
        self._keeps_ids = options.removal is not None
        self._store = SnapshotStore(options.folder)
        self._files = tempfile.TemporaryDirectory(prefix="moengage-")
        self._journal = Journal(self._files.name, keeps_ids=self._keeps_ids, shared=False)
        self._known = KnownRecords(self._store, self._files.name, "", keeps_ids=self._keeps_ids)
        self._attempts = Attempts(self._store, options.task)
        self._listing = Listing()
        self._opened = False
        #: Whether requests may be in flight, and whether the journal has all that are not.
        self._is_sending, self._is_recorded = False, True
        #: Whether the known records are what MoEngage has.
        self._trusted = False
        self._resumed = False
        self.added = 0
        self.changed = 0
        self.unchanged = 0

    @property
    def rereads(self) -> bool:
        """Whether an attempt that resumes has to read the settled rows again, to know which records the source has."""
        return self._resumed and self._keeps_ids and len(self._known) > 0

    @property
    def before(self) -> int:
        """The number of records that the snapshot has."""
        return len(self._known)

    @property
    def left(self) -> int:
        """The number of records in the snapshot that the source does not have, once it was read to its end."""
        return self._known.left

    @property
    def is_trusted(self) -> bool:
        """Whether the snapshot is what MoEngage has, as far as this task has sent it."""
        return self._trusted

    @property
    def has_ids(self) -> bool:
        """Whether the snapshot has what identifies its records."""
        return self._known.ids_file is not None

    def open(
        self,
        workspace: Workspace,
        state: Mapping[str, Any] | None = None,
        *,
        resumed: bool = False,
        shared: bool = False,
    ) -> None:
        """
        Load the snapshot, before a row is read.

        :param state: what the checkpoint of an earlier attempt has of it.
        :param resumed: whether there was a checkpoint.
        :param shared: whether a later attempt of this run may resume.
        :raises MoEngageParameterError: the file system is not installed, or its connection does not exist.
        :raises MoEngageStorageError: the folder cannot be read; nothing was sent.
        """
        owner = owner_of(workspace, self._operation, self.options.target)
        self._journal = self._new_journal(shared)
        self._known = KnownRecords(self._store, self._files.name, owner, keeps_ids=self._keeps_ids)
        self._resumed = resumed
        with naming_folder("snapshot_path", self._store.folder, "cannot be read; nothing was sent"):
            self._listing = self._store.open()
            why = self._known.load(self._listing)
            why = self._resume(state, shared) or why
        self._trusted, self._opened = why is None, True
        self._log_what_is_sent(why)

    def is_unchanged(self, item: Item) -> bool:
        """Whether a row need not be sent; called with each row, in their order."""
        content, user, _ = item
        snapshot, all_found = self._known.snapshot, self._known.found
        if snapshot is None:
            self.added += 1
            return False
        key = key_of(identity := self._identity(content, user))
        # Most rows have not changed: the entry as a whole is found in one search.
        leaves_out = self._trusted and not self.options.full_resync
        if leaves_out and (place := snapshot.find(key + content_of(content))) >= 0:
            found = all_found[place]
            # Once another record of this key is sent, the snapshot says nothing about what comes after it.
            if found != SENT and (self.options.resync_every is None or not self._is_due(key)):
                if found == UNSEEN:
                    all_found[place] = UNCHANGED
                    if self._keeps_ids:
                        self._keep_id(place, key, identity)
                self.unchanged += 1
                return True
        else:
            place = snapshot.find(key)
        if place < 0:
            self.added += 1
        else:
            all_found[place] = SENT
            self.changed += 1
        return False

    def see(self, item: Item) -> None:
        """Note that the source still has the record of a row that an earlier attempt settled."""
        content, user, _ = item
        key = key_of(identity := self._identity(content, user))
        place = self._known.place(key)
        if place >= 0 and self._known.found[place] == UNSEEN:
            self._known.found[place] = UNCHANGED
            if self._keeps_ids:
                self._keep_id(place, key, identity)

    def announce(self) -> None:
        """
        Announce this attempt, before its first request.

        :raises MoEngageStorageError: the folder cannot be written; nothing must be sent.
        """
        if not self._attempts.announced:
            with naming_folder("snapshot_path", self._store.folder, "cannot be written; nothing was sent"):
                self._attempts.announce()
            self._is_sending = True

    def announce_removal(self) -> None:
        """
        Announce that records are removed, before the first one is.

        :raises MoEngageStorageError: the folder cannot be written; nothing must be removed.
        """
        with naming_folder("snapshot_path", self._store.folder, "cannot be written; nothing was removed"):
            self._attempts.announce_removal()

    def record(self, batch: Batch, *, confirmed: bool) -> None:
        """
        Record a batch that was sent, before it is settled; may be called from any thread.

        :param confirmed: whether MoEngage has accepted it, and every request with it got a response.
        :raises OSError: the local disk is full.
        """
        try:
            self._record(batch, confirmed)
        except BaseException:
            self._is_recorded = False
            raise

    def record_rest(self, batches: Iterable[Batch]) -> None:
        """
        Record the batches that are in flight although no worker sends any more: nobody knows their outcome.

        :raises OSError: the local disk is full.
        """
        for batch in batches:
            self.record(batch, confirmed=False)
        self._is_sending = False

    def _record(self, batch: Batch, confirmed: bool) -> None:
        identities = list(map(self._identity, batch.contents, batch.users))
        contents = map(content_of, batch.contents) if confirmed else [UNKNOWN] * len(identities)
        pairs = zip(map(key_of, identities), contents, strict=True)
        entries = b"".join([half for pair in pairs for half in pair])
        self._journal.add(entries, _lines(identities) if self._keeps_ids else ())
        self._attempts.announce_again()

    def state(self, *, settled: bool = False) -> dict[str, Any] | None:
        """
        Write the journal down, and return what the next checkpoint needs of it.

        :param settled: whether the attempt ends, and no row was sent but those that the checkpoint knows of.
        :return: None: it cannot be written; an attempt that resumes then sends every row.
        """
        state = self._attempts.state(self._journal, settled=settled)
        return state if self._is_recorded else None

    def left_ids(self) -> Iterator[str]:
        """Return what identifies the records that have left the source."""
        return self._known.left_ids()

    def write(self, *, completed: bool, removed: bool | None = None) -> None:
        """
        Write the snapshot, once no request is in flight. An error is logged, and means that the next run sends every row.

        :param completed: whether the source was read to its end and no row was left unsent.
        :param removed: whether the records that have left the source were removed; False: some may have been; None: none.
        """
        if not self._opened:
            return
        if self._is_sending or not self._is_recorded:
            log.warning("Not all that was sent could be recorded; the next run sends every row")
            return
        if completed and self._trusted:
            self._warn_of_nearly_all()
        try:
            self._writer().write(completed=completed, removed=removed)
        except OSError as error:
            log.warning(
                "The snapshot cannot be written to %s (%s)%s%s",
                self._store.folder,
                described(error),
                remedy(error, "read, write, list and delete there"),
                "; the next run sends every row" if self._attempts.announced else "",
            )

    def close(self) -> None:
        """Delete the local files."""
        self._known.drop()
        self._files.cleanup()

    def _writer(self) -> GenerationWriter:
        return GenerationWriter(
            self._store,
            self._files.name,
            self._known,
            self._attempts,
            self._journal,
            self._listing,
            keeps_ids=self._keeps_ids,
            resumed=self._resumed,
            resync_every=self.options.resync_every,
        )

    def _new_journal(self, shared: bool) -> Journal:
        folder = tempfile.mkdtemp(dir=self._files.name)
        return Journal(folder, keeps_ids=self._keeps_ids, shared=shared)

    def _resume(self, state: Mapping[str, Any] | None, shared: bool) -> str | None:
        """
        Take over what earlier attempts of this run have sent.

        :return: why the known records cannot be relied on; None: they can.
        """
        attempts = self._attempts
        attempts.resume(self._listing, self._known.manifest, state)
        if (self._resumed and state is None) or not self._read_journals():
            # What earlier attempts have sent is not known, and the snapshot may say otherwise.
            attempts.journals_are_known = False
            self._known.drop()
            self._journal = self._new_journal(shared)
            return "the journal of an earlier try is gone"
        attempts.continue_last()
        if attempts.superseded:
            return "another run has written the snapshot since this one began"
        if attempts.others:
            return "another run of this task is sending rows, or was killed while it did"
        return None

    def _read_journals(self) -> bool:
        """Read the journals of earlier attempts; return whether they are complete."""
        try:
            for entries, ids in self._attempts.journals():
                keys = [entries[at : at + HALF] for at in range(0, len(entries), ENTRY)]
                if self._attempts.others_since:
                    # They may have sent other records.
                    entries = b"".join([key + UNKNOWN for key in keys])
                self._journal.add(entries, ids, taken=True)
                for place in map(self._known.place, keys):
                    if place >= 0:
                        self._known.found[place] = SENT
        except ValueError:
            return False
        return True

    def _keep_id(self, place: int, key: bytes, identity: str) -> None:
        """Keep what identifies a record if the snapshot was made without that, which is wanted now."""
        if self._known.ids_file is None:
            self._journal.add(key + self._known.content(place), _lines([identity]))

    def _is_due(self, key: bytes) -> bool:
        """Whether a record is sent in this run although it has not changed."""
        every, manifest = self.options.resync_every, self._known.manifest
        if every is None or manifest is None:
            return False
        return int.from_bytes(key[4:], "big") % every == manifest.completed % every

    def _log_what_is_sent(self, why: str | None) -> None:
        folder = self._store.folder
        if why is not None:
            log.warning("Every row is sent, changed or not, because %s (%s)", why, folder)
        elif self._known.manifest is None:
            log.info("There is no snapshot in %s yet, so every row is sent", folder)
        elif self.options.full_resync:
            log.info("full_resync: every row is sent, changed or not")
        else:
            log.info("Only rows that differ from the snapshot of %s are sent", counted(self.before, "row"))

    def _warn_of_nearly_all(self) -> None:
        rows = self.changed + self.unchanged
        if self.options.full_resync or self.options.resync_every == 1 or self.changed <= _NEARLY_ALL * rows:
            return
        log.warning(
            "Of %s that the snapshot has, %s changed: does the query return something that changes by itself, such as "
            "now() or an array without an order?",
            counted(rows, "row"),
            f"{self.changed:,}",
        )


def _lines(identities: list[str]) -> list[bytes]:
    return [msgspec.json.encode(identity) + b"\n" for identity in identities]
