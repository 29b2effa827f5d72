"""Finds the rows of a run that have changed since they were last accepted, and keeps what the run has sent."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from itertools import compress
from typing import Any

import msgspec

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.batch import Batch, Item
from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly
from airflow_provider_moengage.delivery.changes.fingerprints import (
    ENTRY,
    HALF,
    UNKNOWN,
    Identity,
    content_of,
    key_of,
)
from airflow_provider_moengage.delivery.changes.generation import write_generation
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.snapshot import Snapshot
from airflow_provider_moengage.delivery.changes.snapshot_store import (
    HEARD_EVERY,
    Listing,
    Manifest,
    SnapshotStore,
    Stored,
    file_name,
    new_attempt,
)
from airflow_provider_moengage.delivery.quantities import counted

log = logging.getLogger(__name__)

#: What is known of an entry of the snapshot: its record was read and has not changed, or it was read and is sent.
_UNSEEN, _UNCHANGED, _SENT = 0, 1, 2
#: The share of changed rows from which on a warning is due.
_NEARLY_ALL = 0.9


class ChangedRows:
    """
    The snapshot of earlier runs, and what this run has sent.

    Until it is written again, the snapshot holds nothing of what a run sends. So an attempt announces itself before its
    first request, and while it is announced, or if it was killed, no other run relies on the snapshot.

    :param options: where the snapshot is, and what is sent besides changed rows.
    :param operation: the name of the operation.
    :param identity: returns what identifies a record.
    """

    def __init__(self, options: ChangedOnly, operation: str, identity: Identity) -> None:
        self.options = options
        self._operation = operation
        self._identity = identity
        self._store = SnapshotStore(options.folder)
        self._attempt = new_attempt()
        self._announced = False
        self._heard = 0.0
        self._lock = threading.Lock()
        self._files = tempfile.TemporaryDirectory(prefix="moengage-")
        self._journal = Journal(self._files.name, keeps_ids=options.removal is not None, shared=False)
        self._listing = Listing()
        self._manifest: Manifest | None = None
        self._snapshot: Snapshot | None = None
        self._known = bytearray()
        #: Earlier attempts of this run whose journals no generation has, and the number of their parts.
        self._earlier: dict[str, int] = {}
        self._own: set[str] = {self._attempt}
        self._parts = 0
        self._state_is_kept = True
        #: Whether an entry of the snapshot is what MoEngage has.
        self._trusted = False
        #: Whether the snapshot was written by another run since this one began.
        self._superseded = False
        self._resumed = False
        #: Whether an earlier attempt may have sent rows that this one has not read again yet.
        self._unsettled = False
        self.added = 0
        self.changed = 0
        self.unchanged = 0

    @property
    def rereads(self) -> bool:
        """Whether an attempt that resumes has to read the settled rows again, to know which records the source has."""
        return self._resumed and self.options.removal is not None and self._snapshot is not None

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
        :param resumed: whether an earlier attempt of this run has settled rows.
        :param shared: whether a later attempt of this run may resume.
        :raises MoEngageParameterError: the file system is not installed, or its connection does not exist.
        :raises MoEngageStorageError: the folder cannot be read; nothing was sent.
        """
        with self._storage_errors("cannot be read; nothing was sent"):
            self._journal = Journal(
                self._files.name, keeps_ids=self.options.removal is not None, shared=shared
            )
            self._listing = listing = self._store.open()
            known_for = _known_for(workspace, self._operation, self.options.target)
            self._manifest, why = self._current(listing, known_for)
            self._known_for = known_for
            attempts = dict((state or {}).get("attempts", {}))
            self._own |= attempts.keys()
            if self._manifest is not None:
                why = self._load(self._manifest)
                if self._manifest.attempt in attempts:
                    # An attempt of this run has written it; it has the journals up to that one.
                    while self._manifest.attempt in attempts:
                        attempts.pop(next(iter(attempts)))
                elif resumed and state is not None:
                    self._superseded = state["base"] != listing.generation
            self._earlier, self._resumed = attempts, resumed
            self._unsettled = state is not None and not state.get("settled", False)
            foreign = self._foreign()
            if foreign:
                why = "another run of this task is sending rows, or was killed while it did"
            if (resumed and state is None) or not self._read_earlier():
                # What earlier attempts have sent is not known, and the snapshot may say otherwise.
                self._close_snapshot()
                why = "the journal of an earlier try is gone"
            if self._superseded:
                why = "another run has written the snapshot since this one began"
        self._trusted = why is None
        if why is not None:
            log.warning("Every row is sent, changed or not, because %s (%s)", why, self._store.folder)
        elif self._snapshot is None:
            log.info("There is no snapshot in %s yet, so every row is sent", self._store.folder)
        elif self.options.full_resync:
            log.info("full_resync: every row is sent, changed or not")
        else:
            log.info(
                "Only rows that differ from the snapshot of %s are sent", counted(len(self._snapshot), "row")
            )

    def is_unchanged(self, item: Item) -> bool:
        """Whether a row need not be sent; called with each row, in their order."""
        content, user, _ = item
        if self._snapshot is None:
            self.added += 1
            return False
        key = key_of(self._identity(content, user))
        place = self._snapshot.find(key)
        if place < 0:
            self.added += 1
            return False
        known = self._known
        # Once another record of this key is sent, the snapshot says nothing about what comes after it.
        if (
            self._trusted
            and known[place] != _SENT
            and not self.options.full_resync
            and self._snapshot.content_at(place) == content_of(content)
            and not self._is_due(key)
        ):
            if known[place] == _UNSEEN:
                self._mark(place, key, self._identity(content, user))
            self.unchanged += 1
            return True
        known[place] = _SENT
        self.changed += 1
        return False

    def see(self, item: Item) -> None:
        """Note that the source still has the record of a row that an earlier attempt settled."""
        content, user, _ = item
        if self._snapshot is not None:
            key = key_of(identity := self._identity(content, user))
            place = self._snapshot.find(key)
            if place >= 0 and self._known[place] == _UNSEEN:
                self._mark(place, key, identity)

    def announce(self) -> None:
        """
        Announce this attempt, before its first request.

        :raises MoEngageStorageError: the folder cannot be written; nothing must be sent.
        """
        if not self._announced:
            with self._storage_errors("cannot be written; nothing was sent"):
                self._store.announce(self._attempt, self.options.task)
            self._announced, self._heard = True, time.monotonic()

    def record(self, batch: Batch, *, confirmed: bool) -> None:
        """
        Record a batch that was sent, before it is settled; may be called from any thread.

        :param confirmed: whether MoEngage has accepted it, and every request with it got a response.
        :raises OSError: the local disk is full.
        """
        identities = [
            self._identity(content, user) for content, user in zip(batch.contents, batch.users, strict=True)
        ]
        contents = map(content_of, batch.contents) if confirmed else [UNKNOWN] * len(identities)
        pairs = zip(map(key_of, identities), contents, strict=True)
        entries = b"".join([half for pair in pairs for half in pair])
        self._journal.add(entries, _lines(identities) if self._journal.keeps_ids else ())
        if time.monotonic() - self._heard > HEARD_EVERY:
            self._heard = time.monotonic()
            try:
                self._store.announce(self._attempt, self.options.task)
            except OSError as error:
                log.warning("%s cannot be written: %s", self._store.folder, type(error).__name__)

    def state(self, *, settled: bool = False) -> dict[str, Any] | None:
        """
        Write the journal down, and return what the next checkpoint needs of it.

        :param settled: whether the attempt ends, and no row was sent but those that the checkpoint knows of.
        :return: None: it cannot be written; an attempt that resumes then sends every row.
        """
        entries, ids = self._journal.take()
        if entries and self._state_is_kept:
            count = len(entries) // ENTRY
            try:
                self._store.write_part(
                    self._attempt, self._parts, b"".join([count.to_bytes(4, "big"), entries, *ids])
                )
                self._parts += 1
            except OSError as error:
                self._state_is_kept = False
                log.warning(
                    "The journal cannot be written to %s (%s); a retry would send every row",
                    self._store.folder,
                    type(error).__name__,
                )
        if not self._state_is_kept:
            return None
        return {
            "base": self._listing.generation,
            "attempts": {**self._earlier, self._attempt: self._parts},
            "settled": settled and not self._unsettled,
        }

    @property
    def before(self) -> int:
        """The number of records that the snapshot has."""
        return len(self._known)

    @property
    def left(self) -> int:
        """The number of records in the snapshot that the source does not have any more, once it was read to its end."""
        return self._known.count(_UNSEEN)

    @property
    def can_remove(self) -> bool:
        """Whether the snapshot says which records have left the source."""
        return (
            self._trusted
            and self._snapshot is not None
            and self._manifest is not None
            and self._manifest.ids is not None
            and not self.options.full_resync
        )

    def left_ids(self) -> Iterator[str]:
        """Return what identifies the records that have left the source."""
        with open(os.path.join(self._files.name, "last.ids"), "rb") as lines:
            for line in compress(lines, (known == _UNSEEN for known in self._known)):
                if (identity := msgspec.json.decode(line)) is not None:
                    yield identity

    def write(self, *, completed: bool, removed: bool | None = None) -> None:
        """
        Write the snapshot, once no request is in flight.

        :param completed: whether the source was read to its end and no row was left unsent.
        :param removed: whether the records that have left the source were removed; False: some may have been; None: none.
        """
        try:
            self._write(completed=completed, removed=removed)
        except OSError as error:
            log.warning(
                "The snapshot cannot be written to %s (%s: %s)%s",
                self._store.folder,
                type(error).__name__,
                error.strerror or error,
                "; the next run sends every row" if self._announced else "",
            )

    def close(self) -> None:
        """Delete the local files."""
        if self._snapshot is not None:
            self._snapshot.close()
        self._files.cleanup()

    def _write(self, *, completed: bool, removed: bool | None) -> None:
        if completed and self._trusted:
            self._warn_of_nearly_all()
        now = self._store.open()
        superseded = self._superseded or now.generation != self._listing.generation
        ended = self._own | {one for one in self._foreign() if self._store.has_ended(one, self.options.task)}
        last = self._manifest
        if superseded:
            last, _ = self._current(now, self._known_for)
            if last is None or self._load(last) is not None:
                log.warning("The snapshot in %s stays as another run has left it", self._store.folder)
                return self._store.tidy(None, ended)
        elif not self._differs(completed, removed):
            return self._store.tidy(None, ended) if self._announced else None
        decide = self._subtracted if superseded else self._overlaid(completed, removed)
        rows = write_generation(
            self._files.name,
            self._journal,
            self._snapshot,
            self._ids_file(last),
            decide,
            adds=not superseded,
        )
        generation = now.generation + 1
        files = {
            kind: os.path.join(self._files.name, kind)
            for kind in (("entries", "ids") if self._journal.keeps_ids else ("entries",))
        }
        stored = {
            kind: Stored(file_name(kind, generation, self._attempt), _sha256(path))
            for kind, path in files.items()
        }
        manifest = Manifest(
            generation=generation,
            attempt=self._attempt,
            known_for=self._known_for,
            rows=rows,
            completed=(last.completed if last is not None else 0) + (completed and not superseded),
            entries=stored["entries"],
            ids=stored.get("ids"),
        )
        contents = {stored[kind].name: path for kind, path in files.items()}
        self._store.write(manifest, contents)
        self._store.tidy(manifest, ended)
        log.info("The snapshot of %s is in %s", counted(rows, "row"), self._store.folder)

    def _differs(self, completed: bool, removed: bool | None) -> bool:
        """Whether the next generation differs from the last one."""
        if self._journal.rows or removed is not None:
            return True
        if not completed:
            return False
        left = self.left and self.options.removal is None
        return self._manifest is None or self.options.resync_every is not None or bool(left)

    def _overlaid(self, completed: bool, removed: bool | None) -> Any:
        """Return what decides on the entries of the last generation if no other run has written one since."""
        known = self._known
        keeps_ids = self.options.removal is not None
        drops_unseen = completed and (removed is True or not (keeps_ids or self._resumed))
        # Another attempt may have sent other records than the snapshot has.
        unsure = bool(self._foreign())
        unsure_of_unseen = unsure or removed is False or (self._unsettled and not completed)

        def decide(place: int, entry: bytes, sent: bytes | None) -> bytes | None:
            what = known[place]
            if sent is not None or what == _SENT or (what == _UNSEEN and drops_unseen):
                return None
            if unsure_of_unseen if what == _UNSEEN else unsure:
                return entry[:HALF] + UNKNOWN
            return entry

        return decide

    @staticmethod
    def _subtracted(place: int, entry: bytes, sent: bytes | None) -> bytes | None:
        """Decide on an entry that another run has written: it holds unless this run has sent something else."""
        return entry if sent is None or sent == entry else None

    def _current(self, listing: Listing, known_for: str) -> tuple[Manifest | None, str | None]:
        """Return the latest manifest, and why it cannot be used."""
        if not listing.manifests:
            return None, None
        if len(listing.manifests) > 1:
            return None, "two runs have written the snapshot at once"
        try:
            manifest = self._store.manifest(listing.manifests[0])
        except ValueError as error:
            return None, f"the snapshot cannot be used: {error}"
        if manifest.known_for != known_for:
            return None, "the snapshot is of another workspace or operation"
        return manifest, None

    def _load(self, manifest: Manifest) -> str | None:
        """Open the snapshot of a manifest; return why it cannot be used."""
        self._close_snapshot()
        path = os.path.join(self._files.name, "last")
        try:
            self._store.copy(manifest.entries, path)
            if manifest.ids is not None and self.options.removal is not None:
                self._store.copy(manifest.ids, f"{path}.ids")
            self._snapshot = Snapshot(path, manifest.rows)
        except ValueError as error:
            return f"the snapshot cannot be used: {error}"
        self._known = bytearray(manifest.rows)
        return None

    def _ids_file(self, manifest: Manifest | None) -> str | None:
        has_ids = manifest is not None and manifest.ids is not None and self._journal.keeps_ids
        return os.path.join(self._files.name, "last.ids") if has_ids and self._snapshot is not None else None

    def _close_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
        self._snapshot, self._known = None, bytearray()

    def _foreign(self) -> frozenset[str]:
        """Return the attempts of other runs that were announced when this one began."""
        written = {self._manifest.attempt} if self._manifest is not None else set()
        return self._listing.attempts - self._own - written

    def _read_earlier(self) -> bool:
        """Read the journals of earlier attempts; return whether they are complete."""
        try:
            for attempt, count in self._earlier.items():
                for part in self._store.parts(attempt, count):
                    end = 4 + int.from_bytes(part[:4], "big") * ENTRY
                    entries = part[4:end]
                    self._journal.add(entries, part[end:].splitlines(keepends=True), taken=True)
                    self._mark_sent(entries)
        except ValueError:
            return False
        return True

    def _mark_sent(self, entries: bytes) -> None:
        if self._snapshot is not None:
            for at in range(0, len(entries), ENTRY):
                place = self._snapshot.find(entries[at : at + HALF])
                if place >= 0:
                    self._known[place] = _SENT

    def _mark(self, place: int, key: bytes, identity: str) -> None:
        self._known[place] = _UNCHANGED
        has_ids = self._manifest is not None and self._manifest.ids is not None
        if self._snapshot is not None and self._journal.keeps_ids and not has_ids:
            # The snapshot was made without ids, which are wanted now.
            self._journal.add(key + self._snapshot.content_at(place), _lines([identity]))

    def _is_due(self, key: bytes) -> bool:
        every = self.options.resync_every
        if every is None or self._manifest is None:
            return False
        return int.from_bytes(key[4:], "big") % every == self._manifest.completed % every

    def _warn_of_nearly_all(self) -> None:
        if self._snapshot is None or self.options.full_resync or self.options.resync_every == 1:
            return
        if self.changed > _NEARLY_ALL * (self.changed + self.unchanged):
            log.warning(
                "Of %s that the snapshot has, %s changed: does the query return something that changes by itself, such as "
                "now() or an array without an order?",
                counted(self.changed + self.unchanged, "row"),
                f"{self.changed:,}",
            )

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MoEngageStorageError(
                f"snapshot_path {self._store.folder!r} {what} ({type(error).__name__}: {error.strerror or error})"
            ) from error


def _known_for(workspace: Workspace, operation: str, target: str) -> str:
    """Return what tells workspaces, operations and their targets apart, without naming them."""
    parts = [workspace.base_url, workspace.app_id, workspace.project_code or "", operation, target]
    return sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _lines(identities: list[str]) -> list[bytes]:
    return [msgspec.json.encode(identity) + b"\n" for identity in identities]


def _sha256(path: str) -> str:
    total = sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1024 * 1024):
            total.update(chunk)
    return total.hexdigest()
