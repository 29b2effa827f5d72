"""The rows of a query, copied where every try of a task reads the very same ones."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from threading import Event
from typing import Any
from uuid import uuid4

from airflow_provider_moengage.api.errors import (
    MoEngageStagedRowsDamaged,
    MoEngageStopped,
    MoEngageStorageError,
)
from airflow_provider_moengage.delivery.quantities import counted, span
from airflow_provider_moengage.delivery.read.sources import CheckColumns
from airflow_provider_moengage.delivery.read.sql import SqlSource
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

log = logging.getLogger(__name__)

#: Rows in a chunk: so many are held in memory at a time.
CHUNK_ROWS = 10_000
#: The fastest: rows of a warehouse shrink to a fifth with it, and the slowest gains little.
COMPRESSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Chunk:
    """
    A file of staged rows.

    :param name: the file's.
    :param rows: how many are in it.
    :param sha256: of the file's bytes.
    """

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """
    What was staged; it is written last, so what it names is complete.

    :param known_by: another text with every copy.
    :param binding: what the copy belongs to.
    :param columns: the query's.
    """

    known_by: str
    binding: list[Any]
    columns: list[str]
    chunks: list[Chunk]

    @property
    def rows(self) -> int:
        """Rows in all chunks."""
        return sum(chunk.rows for chunk in self.chunks)


class StagedRows:
    """
    The rows of a query from a copy, which the first try of a task makes and the last one deletes.

    :param source: the query.
    :param folder: the task instance's own folder, as ``ObjectStoragePath`` takes it; all workers reach it.
    :param binding: what the copy belongs to; that of another one is deleted.
    """

    def __init__(self, source: SqlSource, folder: str, binding: Binding) -> None:
        self.folder = folder.rstrip("/")
        self._path: Any = None
        self._token = own_token(folder)
        self._source = source
        self._binding = [binding.version, binding.fingerprint, binding.max_tries]
        self._manifest: Manifest | None = None

    def __len__(self) -> int:
        if self._manifest is None:
            raise TypeError("a query does not tell its number of rows before it is staged")
        return self._manifest.rows

    @property
    def description(self) -> str:
        """What the rows are, for the log."""
        return f"{self._source.description}, staged,"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Copy the rows, or find the copy of an earlier try.

        :raises MoEngageStorageError: the folder does not take them.
        :raises MoEngageStopped: ``halt`` was set.
        """
        with self._storing():
            self._manifest = self._found()
        if self._manifest is None:
            self._manifest = self._stage(check_columns, halt)
        return f"staged:{self._manifest.known_by}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Give the rows as dicts.

        :raises MoEngageStagedRowsDamaged: a chunk is missing, or is not what was written.
        :raises MoEngageStorageError: a chunk cannot be read.
        """
        manifest = self._manifest
        if manifest is None:
            raise TypeError("the rows are given once they are prepared")
        check_columns(manifest.columns)
        for chunk in manifest.chunks:
            if start < chunk.rows:
                for line in islice(self._lines(chunk), start, None):
                    yield dict(zip(manifest.columns, row_of_line(line), strict=True))
            start = max(0, start - chunk.rows)

    def cancel(self) -> None:
        """End the query while it is copied; may be called from any thread."""
        self._source.cancel()

    def delete(self) -> None:
        """
        Delete the copy.

        :raises OSError: it cannot be deleted.
        """
        # Without the manifest the rest is nothing.
        delete_file(self._folder() / MANIFEST)
        delete_own(self._folder(), self._is_own)

    def _folder(self) -> Any:
        if self._path is None:
            self._path = folder_path(self.folder)
        return self._path

    def _is_own(self, name: str) -> bool:
        return name == MANIFEST or (name.startswith("chunk-") and name.endswith(f".{self._token}.ndjson.gz"))

    def _found(self) -> Manifest | None:
        """Give the copy that an earlier try made; None: there is none, or it is another one's."""
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
        with self._storing():
            self.delete()
            folder = self._folder()
            make_folder(folder)
        began = time.monotonic()
        chunks = []
        with self._source.chunks(check_columns) as (columns, fetched):
            rows = chain.from_iterable(fetched)
            for number, lines in enumerate(_of_chunks(rows, halt)):
                content = gzip.compress(b"".join(lines), COMPRESSION, mtime=0)
                name = f"chunk-{number:05d}.{self._token}.ndjson.gz"
                chunk = Chunk(name, len(lines), hashlib.sha256(content).hexdigest())
                with self._storing():
                    write_whole(folder / chunk.name, content)
                chunks.append(chunk)
        manifest = Manifest(uuid4().hex, self._binding, columns, chunks)
        with self._storing():
            write_whole(folder / MANIFEST, json.dumps(asdict(manifest)).encode())
        seconds = time.monotonic() - began
        log.info("Staged %s in %s, which took %s", counted(manifest.rows, "row"), self.folder, span(seconds))
        return manifest

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Say of an error that it is the folder's and not the database's, and leave no half copy on a full disk."""
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                self.delete()
            raise MoEngageStorageError(
                f"The rows cannot be staged in {self.folder} ({type(error).__name__}: {error.strerror or error}); "
                "nothing was sent"
            ) from error

    def _lines(self, chunk: Chunk) -> list[bytes]:
        try:
            content = read_whole(self._folder() / chunk.name)
        except OSError as error:
            raise MoEngageStorageError(
                f"The staged rows in {self.folder} cannot be read ({type(error).__name__}: {error.strerror or error})"
            ) from error
        if content is None or hashlib.sha256(content).hexdigest() != chunk.sha256:
            raise MoEngageStagedRowsDamaged(
                f"The staged rows in {self.folder}/{chunk.name} are {'missing' if content is None else 'damaged'}; "
                "what comes before them was sent. Clear the task to read and send all rows anew"
            )
        return gzip.decompress(content).splitlines()


def _of_chunks(rows: Iterable[Sequence[object]], halt: Event) -> Iterator[list[bytes]]:
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
