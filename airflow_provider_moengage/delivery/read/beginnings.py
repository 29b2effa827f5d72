"""The beginnings of the files of an object store, many of them at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, cast

from airflow_provider_moengage.delivery.read.file_formats import format_of
from airflow_provider_moengage.delivery.read.found_files import FoundFile
from airflow_provider_moengage.delivery.read.interruptible import InterruptibleCalls

#: Files whose beginnings are read at once: one after another, ten thousand of them would take minutes.
FILES_AT_ONCE = 64
#: Bytes of a beginning: a header, or a small file as a whole.
BEGINNING = 64 * 1024
#: Bytes of small files that are kept, so that they need not be read again.
KEPT = 32 * 1024 * 1024


class TooShort(Exception):
    """More was read than the beginning of a file."""


class _Beginning(io.RawIOBase):
    """A file of which only the beginning is there."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._content.readinto(buffer)
        if not count:
            raise TooShort
        return count


def beginnings(
    files: Sequence[FoundFile], calls: InterruptibleCalls, kept: dict[FoundFile, bytes]
) -> Iterator[tuple[FoundFile, Callable[[], BinaryIO]]]:
    """
    Read the beginnings of some files.

    :param files: listed ones.
    :param calls: what makes the requests.
    :param kept: filled with the contents of small files.
    :return: each file, and what opens its beginning; that or reading it raises :class:`TooShort` if it is not enough.
    """
    left = KEPT
    for first in range(0, len(files), FILES_AT_ONCE):
        some = files[first : first + FILES_AT_ONCE]
        for file, content in zip(some, calls(partial(_read, some)), strict=True):
            size = file.info["size"]
            if isinstance(content, bytes) and len(content) == size <= left:
                kept[file] = content
                left -= size
            yield file, partial(_opened, content, size)


def _read(files: Sequence[FoundFile]) -> list[bytes | Exception]:
    """Return the beginning of each file, or why it cannot be read."""
    asked = {file.info["name"]: min(file.info["size"], BEGINNING) for file in files if _begins_usefully(file)}
    contents: Any = ()
    if asked:
        contents = files[0].path.fs.cat_ranges(list(asked), 0, list(asked.values()), on_error="return")
    found = dict(zip(asked, contents, strict=True))
    return [found.get(file.info["name"], b"") for file in files]


def _begins_usefully(file: FoundFile) -> bool:
    # Of an empty file no byte can be asked for, and Parquet has its columns at the end.
    return 0 < file.info["size"] <= BEGINNING or (file.info["size"] > 0 and format_of(file.name) != "parquet")


def _opened(content: bytes | Exception, size: int) -> BinaryIO:
    if isinstance(content, Exception):
        raise content
    if len(content) >= size:
        return io.BytesIO(content)
    if not content:
        raise TooShort
    return cast(BinaryIO, io.BufferedReader(_Beginning(content)))
