"""Writes rejected rows as NDJSON files, each complete or absent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.storage import (
    delete_own,
    make_folder,
    own_token,
    read_whole,
    write_whole,
)
from airflow_provider_moengage.delivery.storage_errors import naming_folder

log = logging.getLogger(__name__)

#: Rows buffered before they are written as one file.
PART_ROWS = 1_000
#: Bytes of them: a malformed line of a source file may be long.
PART_BYTES = 16 * 1024 * 1024


def line_of(rejected: Mapping[str, Any]) -> bytes:
    """Return a rejected row as an NDJSON line."""
    # Lone surrogates cannot be encoded in UTF-8; backslashreplace writes them as JSON escapes.
    return json.dumps(rejected, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


class RejectedParts:
    """
    Writes rejected rows into one folder.

    A part that is not full is rewritten as a whole when more rows are added.

    :param folder: a URL for ``ObjectStoragePath``, with or without a connection (``s3://conn_id@bucket/key``).
    :param replace: remove the parts of an earlier attempt of the same task, whose rows will be rejected again.
    """

    def __init__(self, folder: str, *, replace: bool) -> None:
        self.folder = folder.rstrip("/")
        #: Name of a part → the number of its lines.
        self.written: dict[str, int] = {}
        self._replace = replace
        self._lines: list[bytes] = []
        self._bytes = 0
        self._own = f"part-{own_token(folder)}-"
        # Unique, so that two runs that share a folder cannot overwrite each other's files.
        self._prefix = f"{self._own}{uuid4().hex[:8]}-" if replace else f"part-{uuid4().hex[:8]}-"
        self._number = 0
        self._path: Any = None

    def open(self, kept: Mapping[str, int] | None = None) -> None:
        """
        Prepare the folder before anything is sent.

        :param kept: name of a part of an earlier attempt → the number of lines to keep; rows of later lines will be
            rejected again.
        :raises MoEngageParameterError: the file system is not installed, or the connection does not exist.
        :raises MoEngageStorageError: the folder cannot be created, or a file in it cannot be read or written.
        """
        self.written = dict(kept or {})
        self._path = storage_path(self.folder, "rejected_path")
        with naming_folder("rejected_path", self.folder, "cannot be created"):
            make_folder(self._path)
        with naming_folder("rejected_path", self.folder, "cannot be read and written"):
            if self._replace:
                delete_own(self._path, lambda name: name.startswith(self._own), kept=self.written)
            for name, lines in self.written.items():
                self._cut(name, lines)

    def add(self, lines: Iterable[bytes]) -> None:
        """
        Add rejected rows; a part is written when it is full.

        :raises MoEngageStorageError: the folder cannot be written; the rows are kept, and written by the next call.
        """
        # All of them before a part is written, which may fail.
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line)
        while self._is_full():
            self._write_part()

    def flush(self) -> None:
        """
        Write the buffered rows.

        :raises MoEngageStorageError: the folder cannot be written; the rows are kept, and written by the next call.
        """
        while self._is_full():
            self._write_part()
        if self._lines:
            self._write_part()

    def _is_full(self) -> bool:
        return len(self._lines) >= PART_ROWS or self._bytes >= PART_BYTES

    def _write_part(self) -> None:
        """Write the part that the first buffered rows make; one that is full is not written again."""
        count = size = 0
        while count < len(self._lines) and count < PART_ROWS and size < PART_BYTES:
            size += len(self._lines[count])
            count += 1
        name = f"{self._prefix}{self._number:05d}.ndjson"
        if self.written.get(name) != count:
            with naming_folder("rejected_path", self.folder, "cannot be written"):
                write_whole(self._path / name, b"".join(self._lines[:count]))
            self.written[name] = count
        if self._is_full():
            self._number += 1
            self._bytes -= size
            del self._lines[:count]

    def _cut(self, name: str, lines: int) -> None:
        """Remove the lines of a part that the checkpoint does not count."""
        content = read_whole(self._path / name)
        found = content.splitlines(keepends=True) if content is not None else []
        if len(found) < lines:
            missing = lines - len(found)
            log.warning(
                "%d rejected rows are missing in %s/%s: somebody removed them", missing, self.folder, name
            )
        elif len(found) > lines:
            write_whole(self._path / name, b"".join(found[:lines]))
