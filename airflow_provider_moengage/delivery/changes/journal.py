"""The journal: the fingerprints of what a run has sent, in the order in which it was settled."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY, HALF, UNKNOWN
from airflow_provider_moengage.delivery.changes.snapshot import BUCKETS

#: Entries held in memory, in buckets, before they are moved into local files.
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
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._lines: list[list[bytes]] = [[] for _ in range(BUCKETS)]
        self._held = 0
        #: What :meth:`take` has not returned yet.
        self._untaken, self._untaken_ids = bytearray(), list[bytes]()
        self.rows = 0

    def add(self, entries: bytes, ids: Sequence[bytes] = (), *, taken: bool = False) -> None:
        """
        Add entries.

        :param ids: the line of each, if ids are kept.
        :param taken: whether :meth:`take` leaves them out.
        :raises OSError: the local disk is full.
        """
        with self._lock:
            buckets = self._buckets
            for entry in _split(entries):
                buckets[entry[0]] += entry
            for key, line in zip(entries[::ENTRY], ids, strict=self.keeps_ids):
                self._lines[key].append(line)
            if self._shared and not taken:
                self._untaken += entries
                self._untaken_ids += ids
            rows = len(entries) // ENTRY
            self.rows += rows
            self._held += rows
            if self._held >= _HELD:
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
        entries = _split(self._read(number, "entries") + self._buckets[number])
        latest = {entry[:HALF]: entry for entry in entries}
        if len(latest) < len(entries):
            latest.update((entry[:HALF], entry) for entry in entries if entry.endswith(UNKNOWN))
        if not self.keeps_ids:
            return latest, {}
        lines = self._read(number, "ids").splitlines(keepends=True) + self._lines[number]
        return latest, dict(zip((entry[:HALF] for entry in entries), lines, strict=True))

    def _move(self) -> None:
        """Move what is held to the files of its buckets."""
        for number in range(BUCKETS):
            self._append(number, "entries", [self._buckets[number]])
            self._append(number, "ids", self._lines[number])
            self._buckets[number], self._lines[number] = bytearray(), []
        self._held = 0

    def _append(self, number: int, kind: str, parts: Sequence[bytes | bytearray]) -> None:
        if any(parts):
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


def _split(entries: bytes) -> list[bytes]:
    return [entries[at : at + ENTRY] for at in range(0, len(entries), ENTRY)]
