"""Refused rows as files: NDJSON parts, each complete or absent."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import uuid4

#: Rows held in memory before they become a part.
PART_ROWS = 1_000


class RejectedParts:
    """
    Writes refused rows below one folder.

    :param folder: as ``ObjectStoragePath`` takes it; the connection may stand in it
        (``s3://conn_id@bucket/key``).
    :param replace: remove the parts an earlier try of the same task left there: they will be refused again.
    """

    def __init__(self, folder: str, *, replace: bool) -> None:
        self.folder = folder.rstrip("/")
        self.written = 0
        self._replace = replace
        self._lines: list[bytes] = []
        # Unique, so that two runs that share a folder cannot overwrite each other.
        self._run = uuid4().hex[:8]
        self._path: Any = None

    def add(self, line: dict[str, Any]) -> None:
        """Take one refused row; a part is written when there are enough."""
        # backslashreplace writes what UTF-8 cannot carry as the JSON escape that it is.
        self._lines.append(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        if len(self._lines) >= PART_ROWS:
            self.flush()

    def open(self) -> None:
        """
        Make the folder ready before anything is sent.

        :raises OSError: the folder cannot be written.
        """
        from airflow_provider_moengage._compat import object_storage_path

        self._path = object_storage_path(self.folder)
        if _is_local(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
        if self._replace and self._path.exists():
            for part in list(self._path.iterdir()):
                if part.name.startswith("part-") and part.name.endswith(".ndjson"):
                    part.unlink()

    def flush(self) -> None:
        """Write what is held as one part."""
        if not self._lines:
            return
        name = f"part-{self._run}-{self.written:05d}.ndjson"
        _write(self._path / name, b"".join(self._lines))
        self.written += 1
        self._lines.clear()


def _write(path: Any, content: bytes) -> None:
    if not _is_local(path):
        # An object appears when it is closed, whole.
        with path.open("wb") as stream:
            stream.write(content)
        return
    unfinished = f"{path.parent.path}/.{path.name}.unfinished"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    os.replace(unfinished, path.path)


def _is_local(path: Any) -> bool:
    return path.protocol in ("", "file", "local")
