"""The records that earlier runs have sent, and what this run has found of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from itertools import compress

import msgspec

from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.changes.fingerprints import HALF, UNKNOWN
from airflow_provider_moengage.delivery.changes.generation import Decide
from airflow_provider_moengage.delivery.changes.snapshot import Snapshot
from airflow_provider_moengage.delivery.changes.snapshot_store import Listing, Manifest, SnapshotStore

#: What this run has found of a record: nothing yet, the same record in the source, or another one, which is sent.
UNSEEN, UNCHANGED, SENT = 0, 1, 2


class KnownRecords:
    """
    The latest generation of a snapshot, copied to a local folder.

    :param store: the snapshot's folder.
    :param folder: the local one.
    :param known_for: what the snapshot has to belong to; see :func:`owner_of`.
    :param keeps_ids: whether what identifies each record is needed too.
    """

    def __init__(self, store: SnapshotStore, folder: str, known_for: str, *, keeps_ids: bool) -> None:
        self._store = store
        self._path = os.path.join(folder, "last")
        self.known_for = known_for
        self._keeps_ids = keeps_ids
        #: The open snapshot; None: there are no records.
        self.snapshot: Snapshot | None = None
        self.manifest: Manifest | None = None
        #: What this run has found of each record, by its place.
        self.found = bytearray()

    def __len__(self) -> int:
        return len(self.found)

    def load(self, listing: Listing) -> str | None:
        """
        Load the latest generation.

        :return: why it cannot be used, as the end of a sentence; None: it can, or there is none.
        :raises OSError: it cannot be read.
        """
        self.drop()
        self.manifest = None
        if not listing.manifests:
            return None
        if len(listing.manifests) > 1:
            return "two runs have written the snapshot at once"
        try:
            manifest = self._store.manifest(listing.manifests[0])
            if manifest.known_for != self.known_for:
                return "the snapshot is of another workspace or operation"
            self._store.copy(manifest.entries, self._path)
            if manifest.ids is not None and self._keeps_ids:
                self._store.copy(manifest.ids, f"{self._path}.ids")
            self.snapshot = Snapshot(self._path, manifest.rows)
        except ValueError as error:
            return f"the snapshot cannot be used: {error}"
        self.manifest = manifest
        self.found = bytearray(manifest.rows)
        return None

    def drop(self) -> None:
        """Forget the records; the manifest stays."""
        if self.snapshot is not None:
            self.snapshot.close()
        self.snapshot, self.found = None, bytearray()

    @property
    def ids_file(self) -> str | None:
        """The local file with a line for what identifies each record; None: that was not kept."""
        has_ids = self.snapshot is not None and self.manifest is not None and self.manifest.ids is not None
        return f"{self._path}.ids" if has_ids and self._keeps_ids else None

    def place(self, key: bytes) -> int:
        """Return the place of the record with a key; -1 if there is none."""
        return self.snapshot.find(key) if self.snapshot is not None else -1

    def content(self, place: int) -> bytes:
        """Return the fingerprint of what a record was sent as."""
        return self.snapshot.content_at(place) if self.snapshot is not None else UNKNOWN

    @property
    def left(self) -> int:
        """The number of records that were not found."""
        return self.found.count(UNSEEN)

    def left_ids(self) -> Iterator[str]:
        """Return what identifies the records that were not found."""
        if self.ids_file is None:
            return
        with open(self.ids_file, "rb") as lines:
            for line in compress(lines, (found == UNSEEN for found in self.found)):
                if (identity := msgspec.json.decode(line)) is not None:
                    yield identity

    def updated(self, *, drops_unseen: bool, unsure_of_unseen: bool, unsure: bool) -> Decide:
        """
        Return what decides on each record for the next generation, where no other run has written one.

        :param drops_unseen: whether records that were not found are dropped.
        :param unsure_of_unseen: whether MoEngage may have another content of them than the snapshot.
        :param unsure: whether it may have another content of any record.
        """
        all_found = self.found

        def decide(place: int, entry: bytes, sent: bytes | None) -> bytes | None:
            found = all_found[place]
            if sent is not None or found == SENT or (found == UNSEEN and drops_unseen):
                return None
            if unsure_of_unseen if found == UNSEEN else unsure:
                return entry[:HALF] + UNKNOWN
            return entry

        return decide


def without_other_contents(place: int, entry: bytes, sent: bytes | None) -> bytes | None:
    """Decide on a record of a generation that another run has written: this run must not have sent another content."""
    return entry if sent is None or sent == entry else None


def owner_of(workspace: Workspace, operation: str, target: str) -> str:
    """Return what tells workspaces, operations and their targets apart, and names none of them."""
    parts = [workspace.base_url, workspace.app_id, workspace.project_code or "", operation, target]
    return sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
