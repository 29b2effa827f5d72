"""Rows from files, on any storage that ``ObjectStoragePath`` supports."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from threading import Event
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageFileUnreadable,
    MoEngageParameterError,
    MoEngageStopped,
)
from airflow_provider_moengage.delivery.file_systems import LOCAL_SCHEMES, storage_path
from airflow_provider_moengage.delivery.read.beginnings import TooShort, beginnings
from airflow_provider_moengage.delivery.read.file_formats import columns_of, format_of, rows_of
from airflow_provider_moengage.delivery.read.file_options import MAX_LINE_BYTES, FileOptions
from airflow_provider_moengage.delivery.read.found_files import FoundFile, files_at
from airflow_provider_moengage.delivery.read.interruptible import InterruptibleCalls, interruptible
from airflow_provider_moengage.delivery.read.sources import CheckColumns
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.delivery.storage_errors import described, remedy

Result = TypeVar("Result")

#: Bytes that one request reads of a file in an object store: few requests, and little memory.
BLOCK = 8 * 1024 * 1024
#: The same while only the columns are read.
HEADER_BLOCK = 64 * 1024


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
        #: What :meth:`prepare` found and :meth:`rows` has not read yet: both have to mean the same files.
        self._found: list[FoundFile] | None = None
        self._calls: InterruptibleCalls | None = None
        self._cancelled = False

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
        :raises MoEngageStopped: :meth:`cancel` was called.
        """
        total = hashlib.sha256()
        with self._calling() as call:
            self._found = call(self._files)
            for file in self._found:
                with _naming_errors(file):
                    total.update(f"{file} {file.version}\n".encode("utf-8", "backslashreplace"))
        return f"files:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Read the files one after another, in the order of their names.

        :raises MoEngageParameterError: there is no such file, or one of an unsupported kind or with wrong columns.
        :raises MoEngageFileUnreadable: a file cannot be read.
        :raises MoEngageStopped: :meth:`cancel` was called.
        """
        with closing(self._rows(check_columns)) as rows:
            yield from islice(rows, start, None)

    def cancel(self) -> None:
        """Stop waiting for an object store; may be called from any thread."""
        self._cancelled = True
        if self._calls is not None:
            self._calls.cancel()

    def _rows(self, check_columns: CheckColumns) -> Generator[object, None, None]:
        with self._calling() as call:
            files, self._found = self._found or call(self._files), None
            # All headers before the first row: a wrong header in the last file must be found before anything is sent.
            kept: dict[FoundFile, bytes] = {}
            for file, opened in self._beginnings(files, kept):
                with _naming_errors(file):
                    columns = self._columns(file, opened)
                    if columns is not None:
                        check_columns(columns)
            try:
                for file in files:
                    with _naming_errors(file), self._opened(file, BLOCK, kept.pop(file, None)) as stream:
                        yield from rows_of(file.name, stream, self._options)
            finally:
                self._names.warn()

    def _beginnings(
        self, files: Sequence[FoundFile], kept: dict[FoundFile, bytes]
    ) -> Iterator[tuple[FoundFile, Callable[[], BinaryIO]]]:
        """
        Return each file and what opens its beginning.

        :param kept: filled with the contents of small files of an object store.
        """
        if self._calls is None:
            return ((file, partial(file.path.open, "rb")) for file in files)
        return beginnings(files, self._calls, kept)

    def _columns(self, file: FoundFile, opened: Callable[[], BinaryIO]) -> Sequence[str] | None:
        with suppress(TooShort), opened() as stream:
            return columns_of(file.name, stream, self._options)
        with self._opened(file, HEADER_BLOCK) as stream:
            return columns_of(file.name, stream, self._options)

    @contextmanager
    def _opened(self, file: FoundFile, block: int, content: bytes | None = None) -> Iterator[BinaryIO]:
        """
        Open a file.

        :param block: bytes to read of an object with one request.
        :param content: what is in it, if that is known.
        """
        calls = self._calls
        if content is not None:
            yield io.BytesIO(content)
        elif calls is None:
            with file.path.open("rb") as stream:
                yield stream
        else:
            with closing(calls(lambda: file.path.open("rb", block_size=block))) as stream:
                yield interruptible(stream, calls)

    @contextmanager
    def _calling(self) -> Iterator[Callable[[Callable[[], Result]], Result]]:
        """Return what makes the calls that may hang: a thread of its own where the files are not local."""
        if urlsplit(self._url).scheme in LOCAL_SCHEMES:
            yield lambda call: call()
            return
        self._calls = calls = InterruptibleCalls(
            "moengage-files", f"A request to the storage of {self._url} did not end; it is abandoned"
        )
        try:
            if self._cancelled:
                raise MoEngageStopped("the task was told to end before its files were read")
            yield calls
        finally:
            self._calls = None
            calls.close()

    def _files(self) -> list[FoundFile]:
        folder, pattern = self._split()
        path = storage_path(folder, "path")
        try:
            found = files_at(path, pattern)
        except MoEngageError:
            raise
        except Exception as error:
            raise MoEngageFileUnreadable(
                f"path {self._url!r} cannot be listed ({described(error)}){remedy(error, 'list and read its files')}"
            ) from error
        if found is None:
            raise MoEngageParameterError(self._not_found())
        with _naming_errors(self._url):
            for file in found:
                format_of(file.name)
        return found

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
        raise MoEngageFileUnreadable(
            f"the file {file} cannot be read ({described(error)})"
            + (
                remedy(error, "read it")
                or "; repair it or move it away, and the next try reads what is there then"
            )
        ) from error
