"""Refused rows as files: NDJSON parts, each complete or absent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.storage import (
    delete_own,
    make_folder,
    own_token,
    read_whole,
    write_whole,
)

log = logging.getLogger(__name__)

#: Rows held in memory before they become a part.
PART_ROWS = 1_000
#: Bytes of them: a line of a file that is no row may be long.
PART_BYTES = 16 * 1024 * 1024


def line_of(refused: Mapping[str, Any]) -> bytes:
    """Give a refused row as a line of a part."""
    # backslashreplace writes what UTF-8 cannot carry as the JSON escape that it is.
    return json.dumps(refused, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


class RejectedParts:
    """
    Writes refused rows below one folder.

    A part that is not full is written again, as a whole, when more rows come: so what was flushed is in a file, and
    there are not more files than it takes.

    :param folder: as ``ObjectStoragePath`` takes it; the connection may stand in it
        (``s3://conn_id@bucket/key``).
    :param replace: remove the parts an earlier try of the same task left there: they will be refused again.
    """

    def __init__(self, folder: str, *, replace: bool) -> None:
        self.folder = folder.rstrip("/")
        #: Name of a part → the lines in it.
        self.written: dict[str, int] = {}
        self._replace = replace
        self._lines: list[bytes] = []
        self._bytes = 0
        self._own = f"part-{own_token(folder)}-"
        # Unique, so that two runs that share a folder cannot overwrite each other.
        self._prefix = f"{self._own}{uuid4().hex[:8]}-" if replace else f"part-{uuid4().hex[:8]}-"
        self._number = 0
        self._path: Any = None

    def open(self, kept: Mapping[str, int] | None = None) -> None:
        """
        Make the folder ready before anything is sent.

        :param kept: parts of an earlier try that stay, with the lines that stay of each: what is beyond them belongs to
            rows that will be refused again.
        :raises MoEngageParameterError: its file system is not installed, or its connection does not exist.
        :raises MoEngageStorageError: it cannot be made.
        :raises OSError: it cannot be read or written.
        """
        self._path = storage_path(self.folder, "rejected_path")
        try:
            make_folder(self._path)
        except OSError as error:
            raise MoEngageStorageError(
                f"rejected_path {self.folder!r} cannot be made ({type(error).__name__}: {error.strerror or error}); nothing was "
                "sent"
            ) from error
        self.written = dict(kept or {})
        if self._replace:
            delete_own(self._path, lambda name: name.startswith(self._own), kept=self.written)
        for name, lines in self.written.items():
            self._cut(name, lines)

    def add(self, lines: Iterable[bytes]) -> None:
        """
        Take refused rows; a part is written when there are enough.

        :raises OSError: the folder cannot be written.
        """
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line)
            if self._is_full():
                self.flush()

    def flush(self) -> None:
        """
        Write what is held.

        :raises OSError: the folder cannot be written.
        """
        if not self._lines:
            return
        name = f"{self._prefix}{self._number:05d}.ndjson"
        if self.written.get(name) != len(self._lines):
            write_whole(self._path / name, b"".join(self._lines))
            self.written[name] = len(self._lines)
        if self._is_full():
            self._number += 1
            self._lines, self._bytes = [], 0

    def _is_full(self) -> bool:
        return len(self._lines) >= PART_ROWS or self._bytes >= PART_BYTES

    def _cut(self, name: str, lines: int) -> None:
        """Remove the lines of a part that its checkpoint does not know of."""
        content = read_whole(self._path / name)
        there = content.splitlines(keepends=True) if content is not None else []
        if len(there) < lines:
            missing = lines - len(there)
            log.warning(
                "%d rejected rows are missing in %s/%s: somebody removed them", missing, self.folder, name
            )
        elif len(there) > lines:
            write_whole(self._path / name, b"".join(there[:lines]))
