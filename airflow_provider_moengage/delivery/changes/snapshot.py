"""The snapshot: sorted fingerprints in one local file, searched without loading them."""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY, HALF

#: Entries are written in so many parts, by the first byte of their keys.
BUCKETS = 256
_BUCKET_BITS = 8
#: Entries that one search looks at, on average.
_SEARCHED = 16
#: Bytes of entries up to which the file is mapped into memory: that is faster than a call for each search, but its pages
#: count as memory of this process.
_MAPPED_UP_TO = 32 * 1024 * 1024


class Snapshot:
    """
    An open snapshot: entries in the order of their keys, then an index of where keys that share their first bits begin.

    :param path: the local file.
    :param rows: the number of its entries.
    :raises ValueError: the file does not hold so many entries and their index.
    """

    def __init__(self, path: str, rows: int) -> None:
        self._rows = rows
        with ExitStack() as files:
            stream = files.enter_context(open(path, "rb"))
            self._bits, self._offsets = _read_index(stream, rows)
            self._file = stream.fileno()
            self._map = (
                files.enter_context(mmap.mmap(self._file, 0, access=mmap.ACCESS_READ))
                if rows * ENTRY <= _MAPPED_UP_TO
                else None
            )
            self._files = files.pop_all()
        self._shift = 32 - self._bits

    def __len__(self) -> int:
        return self._rows

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def find(self, key: bytes) -> int:
        """
        Return the place of an entry; -1 if there is none.

        :param key: its key, or all of it.
        """
        prefix = int.from_bytes(key[:4], "big") >> self._shift
        first = self._offsets[prefix]
        entries = self._entries(first, self._offsets[prefix + 1])
        at = entries.find(key)
        while at >= 0 and at % ENTRY:
            at = entries.find(key, at + 1)
        return first + at // ENTRY if at >= 0 else -1

    def content_at(self, place: int) -> bytes:
        """Return the content of the entry at a place."""
        return self._entries(place, place + 1)[HALF:]

    def bucket(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Return the entries whose keys begin with a byte, each with its place."""
        bits = self._bits - _BUCKET_BITS
        first = self._offsets[number << bits]
        entries = self._entries(first, self._offsets[(number + 1) << bits])
        return enumerate((entries[at : at + ENTRY] for at in range(0, len(entries), ENTRY)), first)

    def _entries(self, first: int, end: int) -> bytes:
        if self._map is not None:
            return self._map[first * ENTRY : end * ENTRY]
        return os.pread(self._file, (end - first) * ENTRY, first * ENTRY)


class SnapshotWriter:
    """
    Writes a snapshot, one bucket after another.

    :param stream: a file.
    :param rows: about how many entries there will be.
    """

    def __init__(self, stream: IO[bytes], rows: int) -> None:
        self._stream = stream
        self._bits = min(max(_BUCKET_BITS, (rows // _SEARCHED).bit_length()), 32)
        self._offsets = array("Q")
        self.rows = 0

    def write(self, bucket: int, entries: Sequence[bytes]) -> None:
        """
        Write the entries of the next bucket.

        :param entries: sorted by their keys, each key once.
        """
        bits, shift = self._bits - _BUCKET_BITS, 32 - self._bits
        self._offsets.extend(
            self.rows + bisect_left(entries, (prefix << shift).to_bytes(4, "big"))
            for prefix in range(bucket << bits, (bucket + 1) << bits)
        )
        self._stream.write(b"".join(entries))
        self.rows += len(entries)

    def finish(self) -> None:
        """Write the index, after the last bucket."""
        index = self._offsets
        index.extend((self.rows, self._bits))
        if sys.byteorder == "big":
            index.byteswap()
        self._stream.write(index)


def _read_index(stream: IO[bytes], rows: int) -> tuple[int, array[int]]:
    """Return the number of bits that the index distinguishes, and the places where each value of them begins."""
    size = os.fstat(stream.fileno()).st_size
    index = array("Q")
    words, rest = divmod(size - rows * ENTRY, index.itemsize)
    if words < BUCKETS or rest:
        raise ValueError("the file is too short")
    stream.seek(rows * ENTRY)
    index.fromfile(stream, words)
    if sys.byteorder == "big":
        index.byteswap()
    bits = index.pop()
    if not _BUCKET_BITS <= bits <= 32 or len(index) != (1 << bits) + 1 or index[-1] != rows:
        raise ValueError("the index does not belong to the entries")
    return bits, index
