"""Rows from files, on any storage that ``ObjectStoragePath`` supports."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageFileUnreadable,
    MoEngageParameterError,
)
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.read.file_formats import columns_of, format_of, rows_of
from airflow_provider_moengage.delivery.read.file_options import MAX_LINE_BYTES, FileOptions
from airflow_provider_moengage.delivery.read.sources import CheckColumns
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.delivery.storage import is_local

#: Fields of a file's info that change with its content, the most reliable first.
VERSION_FIELDS = (
    "ETag",
    "etag",
    "md5Hash",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "updated",
)
#: What a local folder may contain besides files and folders.
SPECIAL_FILES = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileSource:
    """
    Rows of a file, of all files below a folder, or of the files that a glob matches.

    :param url: as ``ObjectStoragePath`` accepts it; may contain the connection (``s3://conn_id@bucket/key``).
    :param encoding: of texts; None: UTF-8. A byte order mark takes precedence.
    :param delimiter: the character between the cells of a CSV; None: a tab in ``.tsv``, a comma elsewhere.
    :param null_values: the cells of a CSV that are NULL, besides empty ones.
    :param max_line_bytes: maximum bytes of a line, of a CSV record and of an element of a JSON array.
    :param names: how column names are normalized.
    :raises MoEngageParameterError: an option is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
        names: ColumnNames | None = None,
    ) -> None:
        self._url = url
        self._names = names or ColumnNames()
        self._options = FileOptions(encoding, delimiter, null_values, max_line_bytes, self._names)

    def __len__(self) -> int:
        raise TypeError("the number of rows is not known before the last file was read")

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        return f"path {self._url}"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Return the fingerprint of the files: of their names, their sizes, and their times or versions.

        :raises MoEngageParameterError: there is no such file, or one of an unsupported kind.
        :raises MoEngageFileUnreadable: a file's info cannot be read.
        """
        total = hashlib.sha256()
        for file in self._files():
            with _naming_errors(file):
                info = file.fs.info(file.path)
            version = next((info[name] for name in VERSION_FIELDS if info.get(name) is not None), None)
            total.update(f"{file} {info.get('size')} {version}\n".encode("utf-8", "backslashreplace"))
        return f"files:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Read the files one after another, in the order of their names.

        :raises MoEngageParameterError: there is no such file, or one of an unsupported kind or with wrong columns.
        :raises MoEngageFileUnreadable: a file cannot be read.
        """
        with closing(self._rows(check_columns)) as rows:
            yield from islice(rows, start, None)

    def _rows(self, check_columns: CheckColumns) -> Generator[object, None, None]:
        files = self._files()
        # All headers before the first row: a wrong header in the last file must be found before anything is sent.
        for file in files:
            with _naming_errors(file), file.open("rb") as stream:
                columns = columns_of(file.name, stream, self._options)
                if columns is not None:
                    check_columns(columns)
        try:
            for file in files:
                with _naming_errors(file), file.open("rb") as stream:
                    yield from rows_of(file.name, stream, self._options)
        finally:
            self._names.warn()

    def _files(self) -> list[Any]:
        folder, pattern = self._split()
        path = storage_path(folder, "path")
        with _naming_errors(self._url):
            _check_kind(path, top=True)
            if pattern:
                found = [file for file in path.glob(pattern) if _is_file(file)]
            elif path.is_dir():
                found = list(_files_below(path))
            else:
                found = [path] if path.is_file() else []
        if not found and not pattern and not path.is_dir():
            raise MoEngageParameterError(self._not_found())
        with _naming_errors(self._url):
            for file in found:
                format_of(file.name)
        return sorted(found, key=str)

    def _not_found(self) -> str:
        missing = f"path {self._url!r} does not exist"
        if urlsplit(self._url).scheme or os.path.isabs(self._url):
            return f"{missing}, as this worker sees it"
        return (
            f"{missing}: it is relative to the worker's working directory, so it was looked for at "
            f"{os.path.abspath(self._url)!r}; use an absolute path or a URL"
        )

    def _split(self) -> tuple[str, str]:
        """Split the URL before the first segment that holds a wildcard."""
        segments = self._url.split("/")
        wild = next((place for place, segment in enumerate(segments) if set(segment) & set("*?[")), None)
        if wild is None:
            return self._url, ""
        return "/".join(segments[:wild]) or "/", "/".join(segments[wild:])


@contextmanager
def _naming_errors(file: object) -> Iterator[None]:
    """Add the file's name to any error about it."""
    try:
        yield
    except MoEngageParameterError as error:
        raise MoEngageParameterError(f"{file}: {error}") from None
    except MoEngageError:
        raise
    except Exception as error:
        # The errors of file systems, gzip and Parquet have no base class in common.
        text = (isinstance(error, OSError) and error.strerror) or error
        raise MoEngageFileUnreadable(
            f"the file {file} cannot be read ({type(error).__name__}: {text}); repair it or move it away, and the next try "
            "reads what is there then"
        ) from error


def _files_below(folder: Any) -> Iterator[Any]:
    for path in folder.iterdir():
        # Marker files such as _SUCCESS and .crc, and files that are still being written.
        if path.name.startswith(("_", ".")):
            continue
        _check_kind(path)
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path


def _is_file(path: Any) -> bool:
    _check_kind(path)
    return bool(path.is_file())


def _check_kind(path: Any, *, top: bool = False) -> None:
    """
    Check that a local path is a file, a folder, or a link to a file.

    :param top: whether the user named the path itself; it may then be a link to a folder.
    :raises MoEngageParameterError: it is something else: reading a pipe may block for ever, and a link to a folder may
        form a cycle.
    """
    if not is_local(path):
        return
    is_link = os.path.islink(path.path)
    try:
        mode = os.stat(path.path).st_mode
    except OSError as error:
        if is_link:
            raise _unsupported(path, f"a broken link ({error.strerror})") from None
        # A missing path is reported by the caller.
        return
    special = next((kind for is_kind, kind in SPECIAL_FILES if is_kind(mode)), None)
    if special:
        raise _unsupported(path, special)
    if is_link and not top and stat.S_ISDIR(mode):
        raise _unsupported(path, "a link to a folder")


def _unsupported(path: Any, kind: str) -> MoEngageParameterError:
    return MoEngageParameterError(
        f"{path} is {kind}; path= reads files, so move it away or name the files you mean"
    )
