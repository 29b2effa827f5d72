"""Rows of files, wherever ``ObjectStoragePath`` reaches."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from threading import Event
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.column_names import ColumnNames
from airflow_provider_moengage.delivery.formats import columns_of, format_of, rows_of
from airflow_provider_moengage.delivery.sources import CheckColumns

#: What file systems tell of a file that changes with what is in it, the best first.
KNOWN_BY = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated")


class FileSource:
    """
    Rows of a file, of all files below a folder, or of those that a glob matches.

    :param url: as ``ObjectStoragePath`` takes it; the connection may stand in it
        (``s3://conn_id@bucket/key``).
    :param names: how the columns are called.
    """

    def __init__(self, url: str, names: ColumnNames | None = None) -> None:
        self._url = url
        self._names = names or ColumnNames()

    def __len__(self) -> int:
        raise TypeError("files do not tell their number of rows before their end")

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Give what the rows are known by: the files' names, and their sizes and times or what their store knows them by.

        :raises MoEngageParameterError: there is no such file, or one whose format is unknown.
        """
        total = hashlib.sha256()
        for file in self._files():
            info = file.fs.info(file.path)
            known_by = next((info[name] for name in KNOWN_BY if info.get(name) is not None), None)
            total.update(f"{file} {info.get('size')} {known_by}\n".encode("utf-8", "backslashreplace"))
        return f"files:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Read the files one after another, by name.

        :raises MoEngageParameterError: there is no such file, or one whose format is unknown.
        """
        with closing(self._rows(check_columns)) as rows:
            yield from islice(rows, start, None)

    def _rows(self, check_columns: CheckColumns) -> Generator[object, None, None]:
        files = self._files()
        # All headers before the first row: a fault in the last file must not show after the first was sent.
        for file in files:
            with file.open("rb") as stream:
                columns = columns_of(file.name, stream)
            if columns is not None:
                check_columns(columns)
        for file in files:
            with file.open("rb") as stream:
                yield from rows_of(file.name, stream)

    def _files(self) -> list[Any]:
        from airflow_provider_moengage._compat import object_storage_path

        folder, pattern = self._split()
        path = object_storage_path(folder)
        if pattern:
            found = [file for file in path.glob(pattern) if file.is_file()]
        elif path.is_dir():
            found = list(_files_below(path))
        elif path.is_file():
            found = [path]
        else:
            raise MoEngageParameterError(f"path {self._url!r} does not exist")
        for file in found:
            format_of(file.name)
        return sorted(found, key=str)

    def _split(self) -> tuple[str, str]:
        """Cut a URL before the first segment that holds a wildcard."""
        segments = self._url.split("/")
        wild = next((place for place, segment in enumerate(segments) if set(segment) & set("*?[")), None)
        if wild is None:
            return self._url, ""
        return "/".join(segments[:wild]) or "/", "/".join(segments[wild:])


def _files_below(folder: Any) -> Iterator[Any]:
    for path in folder.iterdir():
        # Markers such as _SUCCESS and .crc, and whatever a writer has not finished.
        if path.name.startswith(("_", ".")):
            continue
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path
