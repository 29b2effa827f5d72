"""The journal: the fingerprints of what a run has sent, in the order in which it was settled."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY, HALF, UNKNOWN
from airflow_provider_moengage.delivery.changes.snapshot import BUCKETS

#: Entries held in memory before they are moved into local files, some 10 MB as they are moved.
_HELD = 128 * 1024


class Journal:
    """
    Collects entries from any thread, in memory and then in local files, one for each bucket of the snapshot.

    :param folder: a local folder of its own.
    :param keeps_ids: whether what identifies a record is kept with its entry.
    :param shared: whether :meth:`take` is called, so that what it returns has to be held.
    """

    def __init__(self, folder: str, *, keeps_ids: bool, shared: bool) -> None:
        self._folder = folder
        self._shared = shared
        self.keeps_ids = keeps_ids
        self._lock = threading.Lock()
        self._entries = bytearray()
        self._ids: list[bytes] = []
        #: What :meth:`take` has not returned yet.
        self._untaken, self._untaken_ids = bytearray(), list[bytes]()
        self._in_files = False
        self.rows = 0

    def add(self, entries: bytes, ids: Sequence[bytes] = (), *, taken: bool = False) -> None:
        """
        Add entries.

        :param ids: the line of each, if ids are kept.
        :param taken: whether :meth:`take` leaves them out.
        :raises OSError: the local disk is full.
        """
        with self._lock:
            self._entries += entries
            self._ids += ids
            if self._shared and not taken:
                self._untaken += entries
                self._untaken_ids += ids
            self.rows += len(entries) // ENTRY
            if len(self._entries) >= _HELD * ENTRY:
                self._move()

    def take(self) -> tuple[bytes, list[bytes]]:
        """Return the entries, and their ids, that were added since the last call."""
        with self._lock:
            entries, ids = bytes(self._untaken), self._untaken_ids
            self._untaken, self._untaken_ids = bytearray(), []
            return entries, ids

    def bucket(self, number: int) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        """
        Return the latest entry of each key that begins with a byte, and the ids by key, once nothing is added any more.

        An entry is unknown if any entry of its key is: a request without a response may still arrive.
        """
        if self._entries and (self._in_files or number == 0):
            self._move()
        entries = _split(self._read(number, "entries"))
        latest = {entry[:HALF]: entry for entry in entries}
        if len(latest) < len(entries):
            latest.update((entry[:HALF], entry) for entry in entries if entry.endswith(UNKNOWN))
        if not self.keeps_ids:
            return latest, {}
        lines = self._read(number, "ids").splitlines(keepends=True)
        return latest, dict(zip((entry[:HALF] for entry in entries), lines, strict=True))

    def _move(self) -> None:
        """Move what is held to the files of its buckets."""
        held = _split(self._entries)
        entries: list[list[bytes]] = [[] for _ in range(BUCKETS)]
        for entry in held:
            entries[entry[0]].append(entry)
        ids: list[list[bytes]] = [[] for _ in range(BUCKETS)]
        for entry, line in zip(held, self._ids, strict=self.keeps_ids):
            ids[entry[0]].append(line)
        for number in range(BUCKETS):
            self._append(number, "entries", entries[number])
            self._append(number, "ids", ids[number])
        self._entries, self._ids, self._in_files = bytearray(), [], True

    def _append(self, number: int, kind: str, parts: list[bytes]) -> None:
        if parts:
            with open(self._path(number, kind), "ab") as stream:
                stream.write(b"".join(parts))

    def _read(self, number: int, kind: str) -> bytes:
        path = self._path(number, kind)
        if not os.path.exists(path):
            return b""
        with open(path, "rb") as stream:
            return stream.read()

    def _path(self, number: int, kind: str) -> str:
        return os.path.join(self._folder, f"{number:02x}.{kind}")


def _split(entries: bytes | bytearray) -> list[bytes]:
    whole = bytes(entries)
    return [whole[at : at + ENTRY] for at in range(0, len(whole), ENTRY)]
