"""The snapshot: sorted fingerprints in one local file, searched without loading them."""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import IO

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY, HALF

#: Entries are written in so many parts, by the first byte of their keys.
BUCKETS = 256
_BUCKET_BITS = 8
#: Entries that one search looks at, on average.
_SEARCHED = 16
#: Bytes of a file from which on the pages that were read are released again, every so many searches: they would count as
#: memory of this process.
_RELEASED_FROM, _SEARCHES = 32 * 1024 * 1024, 256


class Snapshot:
    """
    An open snapshot: entries in the order of their keys, then an index of where keys that share their first bits begin.

    :param path: the local file.
    :param rows: the number of its entries.
    :raises ValueError: the file does not hold so many entries and their index.
    """

    def __init__(self, path: str, rows: int) -> None:
        self._rows = rows
        with open(path, "rb") as stream:
            self._bits, self._offsets = _read_index(stream, rows)
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._shift = 32 - self._bits
        self._releases = len(self._map) >= _RELEASED_FROM and hasattr(mmap, "MADV_DONTNEED")
        self._searches = 0

    def __len__(self) -> int:
        return self._rows

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def find(self, key: bytes) -> int:
        """Return the place of the entry with a key; -1 if there is none."""
        prefix = int.from_bytes(key[:4], "big") >> self._shift
        end = self._offsets[prefix + 1] * ENTRY
        at = self._map.find(key, self._offsets[prefix] * ENTRY, end)
        while at >= 0 and at % ENTRY:
            at = self._map.find(key, at + 1, end)
        if self._releases:
            self._searches += 1
            if self._searches >= _SEARCHES:
                self._release()
        return at // ENTRY if at >= 0 else -1

    def content_at(self, place: int) -> bytes:
        """Return the content of the entry at a place."""
        at = place * ENTRY + HALF
        return self._map[at : at + HALF]

    def bucket(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Return the entries whose keys begin with a byte, each with its place."""
        bits = self._bits - _BUCKET_BITS
        first, end = self._offsets[number << bits], self._offsets[(number + 1) << bits]
        entries = self._map[first * ENTRY : end * ENTRY]
        if self._releases:
            self._release()
        return enumerate((entries[at : at + ENTRY] for at in range(0, len(entries), ENTRY)), first)

    def _release(self) -> None:
        self._searches = 0
        self._map.madvise(mmap.MADV_DONTNEED)


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
        self._offsets.append(self.rows)
        index = array("Q", [*self._offsets, self._bits])
        if sys.byteorder == "big":
            index.byteswap()
        self._stream.write(index.tobytes())


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
