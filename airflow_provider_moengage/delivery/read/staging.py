"""Copies the rows of a query or a function, so that every attempt of a task reads the same rows."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from threading import Event
from typing import Any, Protocol
from uuid import uuid4

from airflow_provider_moengage.api.errors import (
    MoEngageStagedRowsDamaged,
    MoEngageStopped,
    MoEngageStorageError,
)
from airflow_provider_moengage.delivery.account import progress
from airflow_provider_moengage.delivery.quantities import counted, span
from airflow_provider_moengage.delivery.read.sources import CheckColumns
from airflow_provider_moengage.delivery.read.staged_values import line_of_row, row_of_line
from airflow_provider_moengage.delivery.resume.checkpoint_store import Binding
from airflow_provider_moengage.delivery.storage import (
    delete_file,
    delete_own,
    folder_path,
    make_folder,
    own_token,
    read_whole,
    write_whole,
)
from airflow_provider_moengage.delivery.storage_errors import described, remedy

log = logging.getLogger(__name__)

#: Rows in a chunk: as many are held in memory at a time.
CHUNK_ROWS = 10_000
#: The fastest level: it reduces typical rows to a fifth, and the slowest level gains little more.
COMPRESSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Chunk:
    """
    A file of staged rows.

    :param name: the file's name.
    :param rows: the number of its rows.
    :param sha256: of the file's bytes.
    """

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """
    The contents of a copy. It is written last, so the chunks that it names are complete.

    :param known_by: unique id of the copy.
    :param binding: what the copy belongs to.
    :param columns: those that all rows share; empty if each row has its own, and is kept as a whole.
    """

    known_by: str
    binding: list[Any]
    columns: list[str]
    chunks: list[Chunk]

    @property
    def rows(self) -> int:
        """Return the number of rows in all chunks."""
        return sum(chunk.rows for chunk in self.chunks)


class Stageable(Protocol):
    """A source that may return other rows the next time it is read, so that a retry needs a copy of them."""

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        ...

    def chunks(
        self, check_columns: CheckColumns
    ) -> AbstractContextManager[tuple[list[str], Iterator[Iterable[Sequence[Any]]]]]:
        """Read the source; return the columns that all rows share, and the values of the rows, in chunks of them."""
        ...

    def restored(
        self, columns: Sequence[str], values: Iterable[Sequence[Any]]
    ) -> Generator[object, None, None]:
        """Return the rows, from the columns and the values that :meth:`chunks` returned."""
        ...

    def cancel(self) -> None:
        """Interrupt what the source waits for; may be called from any thread."""
        ...


class StagedRows:
    """
    The rows of a source from a copy, which the first attempt of a task makes and the last one deletes.

    :param source: the query or the function.
    :param folder: the task instance's own folder, as ``ObjectStoragePath`` accepts it; accessible to all workers.
    :param binding: what the copy belongs to; a copy with another binding is deleted.
    """

    #: A copy has to exist even if no checkpoint needs its fingerprint.
    must_be_prepared = True

    def __init__(self, source: Stageable, folder: str, binding: Binding) -> None:
        self.folder = folder.rstrip("/")
        self._path: Any = None
        self._token = own_token(folder)
        self._source = source
        self._binding = [binding.version, binding.fingerprint, binding.max_tries]
        self._manifest: Manifest | None = None

    def __len__(self) -> int:
        if self._manifest is None:
            raise TypeError("the number of rows is not known before they are staged")
        return self._manifest.rows

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        return f"{self._source.description}, staged,"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Copy the rows, or find the copy of an earlier attempt.

        :raises MoEngageStorageError: the copy cannot be written.
        :raises MoEngageStopped: ``halt`` was set.
        """
        with self._storage_errors():
            self._manifest = self._existing_copy()
        if self._manifest is None:
            self._manifest = self._stage(check_columns, halt)
        return f"staged:{self._manifest.known_by}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Return the rows, as the source does.

        :raises MoEngageStagedRowsDamaged: a chunk is missing or damaged.
        :raises MoEngageStorageError: a chunk cannot be read.
        """
        manifest = self._manifest
        if manifest is None:
            raise TypeError("prepare() has to be called before rows()")
        if manifest.columns:
            check_columns(manifest.columns)
        yield from self._source.restored(manifest.columns, self._values(manifest, start))

    def cancel(self) -> None:
        """Interrupt the source while it is copied; may be called from any thread."""
        self._source.cancel()

    def delete(self) -> None:
        """
        Delete the copy.

        :raises OSError: it cannot be deleted.
        """
        # The manifest first: without it, leftover chunks are ignored.
        delete_file(self._folder() / MANIFEST)
        delete_own(self._folder(), self._is_own)

    def _folder(self) -> Any:
        if self._path is None:
            self._path = folder_path(self.folder)
        return self._path

    def _is_own(self, name: str) -> bool:
        return name == MANIFEST or (name.startswith("chunk-") and name.endswith(f".{self._token}.ndjson.gz"))

    def _existing_copy(self) -> Manifest | None:
        """Return the manifest of an earlier attempt's copy; None: there is none, or it has another binding."""
        try:
            fields = json.loads(read_whole(self._folder() / MANIFEST) or b"")
            chunks = [Chunk(**chunk) for chunk in fields.pop("chunks")]
            manifest = Manifest(**fields, chunks=chunks)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        if manifest.binding != self._binding:
            return None
        log.info("The copy of %s in %s is used again", counted(manifest.rows, "row"), self.folder)
        return manifest

    def _stage(self, check_columns: CheckColumns, halt: Event) -> Manifest:
        with self._storage_errors():
            self.delete()
            folder = self._folder()
            make_folder(folder)
        started = time.monotonic()
        chunks: list[Chunk] = []
        with self._progress_logged(chunks), self._source.chunks(check_columns) as (columns, fetched):
            rows = chain.from_iterable(fetched)
            for number, lines in enumerate(_chunked(rows, halt)):
                content = gzip.compress(b"".join(lines), COMPRESSION, mtime=0)
                name = f"chunk-{number:05d}.{self._token}.ndjson.gz"
                chunk = Chunk(name, len(lines), hashlib.sha256(content).hexdigest())
                with self._storage_errors():
                    write_whole(folder / chunk.name, content)
                chunks.append(chunk)
        manifest = Manifest(uuid4().hex, self._binding, columns, chunks)
        with self._storage_errors():
            write_whole(folder / MANIFEST, json.dumps(asdict(manifest)).encode())
        seconds = time.monotonic() - started
        log.info("Staged %s in %s, which took %s", counted(manifest.rows, "row"), self.folder, span(seconds))
        return manifest

    @contextmanager
    def _progress_logged(self, chunks: Sequence[Chunk]) -> Iterator[None]:
        """Log how many rows the chunks have so far, from a thread of its own, since a query may be slow."""
        ended = Event()

        def report() -> None:
            while not ended.wait(progress.INTERVAL):
                log.info("%s staged so far", counted(sum(chunk.rows for chunk in chunks), "row"))

        threading.Thread(target=report, name="moengage-staging", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Raise an error of the folder as a storage error, and delete a partial copy, as it may have filled the disk."""
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                self.delete()
            raise MoEngageStorageError(
                f"The rows cannot be staged in {self.folder}, which staging_path names ({described(error)}); nothing was sent"
                + (remedy(error, "read, write, list and delete there") or "; a retry stages them again")
            ) from error

    def _values(self, manifest: Manifest, start: int) -> Iterator[list[Any]]:
        for chunk in manifest.chunks:
            if start < chunk.rows:
                yield from map(row_of_line, islice(self._lines(chunk), start, None))
            start = max(0, start - chunk.rows)

    def _lines(self, chunk: Chunk) -> list[bytes]:
        try:
            content = read_whole(self._folder() / chunk.name)
        except OSError as error:
            raise MoEngageStorageError(
                f"The staged rows in {self.folder}, which staging_path names, cannot be read ({described(error)})"
                + (remedy(error, "read there") or "; a retry may succeed")
            ) from error
        if content is None or hashlib.sha256(content).hexdigest() != chunk.sha256:
            raise MoEngageStagedRowsDamaged(
                f"The staged rows in {self.folder}/{chunk.name} are {'missing' if content is None else 'damaged'}; "
                "the rows before them were sent. Clear the task to read and send all rows again"
            )
        return gzip.decompress(content).splitlines()


def _chunked(rows: Iterable[Sequence[object]], halt: Event) -> Iterator[list[bytes]]:
    lines = []
    for row in rows:
        lines.append(line_of_row(row))
        if len(lines) >= CHUNK_ROWS:
            yield lines
            lines = []
        if halt.is_set():
            raise MoEngageStopped("the task was told to end while its rows were staged; nothing was sent")
    if lines:
        yield lines
