"""Where snapshots are kept: one object a generation, found by the manifest that was written last."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any
from uuid import uuid4

from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.storage import (
    delete_file,
    make_folder,
    names_in,
    open_file,
    read_whole,
    whole_file,
    whole_name,
    write_whole,
)

#: Increased when the files change, or records that are equal are written as other bytes: a snapshot of another format
#: is not used, and every row is sent once.
FORMAT = 1
#: Seconds after which an attempt that has not been heard of has ended, and between two times that it is.
GONE_AFTER, HEARD_EVERY = 900.0, 60.0
_CHUNK = 1024 * 1024
#: Bytes of a checksum, with which a part of a journal begins.
_DIGEST = sha256().digest_size
_NAME = re.compile(
    r"(?P<kind>manifest|entries|ids)-(?P<generation>\d{10})-(?P<attempt>[0-9a-f]{32})\.(?:json|bin|ndjson)"
)
_OPEN = re.compile(r"attempt-(?P<attempt>[0-9a-f]{32})\.json")
_PART = re.compile(r"part-(?P<attempt>[0-9a-f]{32})-\d{6}\.bin")


@dataclass(frozen=True)
class Stored:
    """
    A file of a snapshot.

    :param name: in the folder of the snapshot.
    :param sha256: of its bytes.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """
    What a generation of a snapshot consists of.

    :param generation: rises by one with each.
    :param attempt: the attempt that wrote it.
    :param known_for: what the snapshot belongs to: the workspace, the operation and what it is sent to.
    :param rows: the number of entries.
    :param completed: how many runs have read their source to its end and sent every row.
    :param entries: the snapshot's file.
    :param ids: what identifies each entry, in the same order; None: that is not kept.
    """

    generation: int
    attempt: str
    known_for: str
    rows: int
    completed: int
    entries: Stored
    ids: Stored | None = None
    format: int = FORMAT

    @property
    def name(self) -> str:
        """The name of its own file."""
        return f"manifest-{self.generation:010d}-{self.attempt}.json"

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """
        Read it.

        :raises ValueError: it is damaged, or has another format.
        """
        try:
            fields = json.loads(content)
            written_as = fields["format"]
            ids = fields.pop("ids")
            entries = Stored(**fields.pop("entries"))
            manifest = cls(**fields, entries=entries, ids=Stored(**ids) if ids else None)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError("its manifest is damaged") from error
        if written_as != FORMAT:
            raise ValueError(f"it has format {written_as!r}, and this package reads {FORMAT}")
        return manifest


@dataclass(frozen=True)
class Listing:
    """
    What is in the folder of a snapshot.

    :param generation: the latest; 0: there is none.
    :param manifests: the names of the latest generation's manifests: more than one, if two runs wrote one at once.
    :param attempts: attempts that have sent something and have not ended, as far as is known.
    """

    generation: int = 0
    manifests: tuple[str, ...] = ()
    attempts: frozenset[str] = field(default_factory=frozenset)


class SnapshotStore:
    """
    The folder of a snapshot.

    :param folder: a URL for ``ObjectStoragePath``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder.rstrip("/")
        self._path: Any = None

    def open(self) -> Listing:
        """
        List the folder.

        :raises MoEngageParameterError: the file system is not installed, or the connection does not exist.
        :raises OSError: it cannot be listed.
        """
        if self._path is None:
            self._path = storage_path(self.folder, "snapshot_path")
        manifests: dict[int, list[str]] = {}
        attempts = set()
        for name in names_in(self._path):
            if (found := _NAME.fullmatch(name)) and found["kind"] == "manifest":
                manifests.setdefault(int(found["generation"]), []).append(name)
            elif found := _OPEN.fullmatch(name):
                attempts.add(found["attempt"])
        latest = max(manifests, default=0)
        return Listing(latest, tuple(sorted(manifests.get(latest, ()))), frozenset(attempts))

    def manifest(self, name: str) -> Manifest:
        """
        Read a manifest.

        :raises OSError: it cannot be read.
        :raises ValueError: it is missing or damaged, or has another format.
        """
        content = read_whole(self._path / name)
        if content is None:
            raise ValueError("its manifest is gone")
        return Manifest.from_json(content)

    def copy(self, stored: Stored, path: str) -> None:
        """
        Copy a file of a snapshot to a local one.

        :raises OSError: it cannot be read, or the local disk is full.
        :raises ValueError: it is missing or damaged.
        """
        total = sha256()
        try:
            with open_file(self._path / stored.name) as stream, open(path, "wb") as copied:
                while chunk := stream.read(_CHUNK):
                    total.update(chunk)
                    copied.write(chunk)
        except FileNotFoundError:
            raise ValueError(f"its file {stored.name} is gone") from None
        if total.hexdigest() != stored.sha256:
            raise ValueError(f"its file {stored.name} is damaged")

    def announce(self, attempt: str, task: str) -> None:
        """
        Write down, or again, that an attempt sends rows: until it has ended, nobody else knows what it has changed.

        :param task: the task instance of the attempt, without its number.
        :raises OSError: it cannot be written; nothing must be sent.
        """
        make_folder(self._path)
        content = json.dumps({"task": task, "heard": time.time()}).encode()
        write_whole(self._path / f"attempt-{attempt}.json", content)

    def has_ended(self, attempt: str, task: str) -> bool:
        """
        Whether an announced attempt has ended, though it did not say so: it was killed.

        :param task: the task instance that asks: of one, no two attempts run at once.
        """
        content = read_whole(self._path / f"attempt-{attempt}.json")
        try:
            fields = json.loads(content or b"")
            same_task = bool(task) and fields["task"] == task
            return same_task or time.time() - float(fields["heard"]) > GONE_AFTER
        except (ValueError, TypeError, KeyError):
            return True

    def write_part(self, attempt: str, number: int, content: bytes) -> None:
        """
        Write a part of an attempt's journal.

        :raises OSError: it cannot be written.
        """
        write_whole(self._path / _part(attempt, number), sha256(content).digest() + content)

    def parts(self, attempt: str, count: int) -> Iterable[bytes]:
        """
        Return the parts of an attempt's journal.

        :raises OSError: one cannot be read.
        :raises ValueError: one is missing or damaged.
        """
        for number in range(count):
            found = read_whole(self._path / _part(attempt, number))
            if found is None:
                raise ValueError("a part of the journal is gone")
            content = found[_DIGEST:]
            if sha256(content).digest() != found[:_DIGEST]:
                raise ValueError("a part of the journal is damaged")
            yield content

    def write(
        self,
        files: Mapping[str, str],
        *,
        generation: int,
        attempt: str,
        known_for: str,
        rows: int,
        completed: int,
    ) -> Manifest:
        """
        Write a generation: its files, and its manifest after them.

        :param files: ``entries``, and ``ids`` if they are kept → the local file to write it from.
        :return: the manifest, which has the other parameters.
        :raises OSError: it cannot be written.
        """
        make_folder(self._path)
        stored = {kind: self._upload(kind, path, generation, attempt) for kind, path in files.items()}
        entries, ids = stored["entries"], stored.get("ids")
        manifest = Manifest(generation, attempt, known_for, rows, completed, entries, ids)
        write_whole(self._path / manifest.name, json.dumps(asdict(manifest)).encode())
        return manifest

    def _upload(self, kind: str, path: str, generation: int, attempt: str) -> Stored:
        name = f"{kind}-{generation:010d}-{attempt}.{'bin' if kind == 'entries' else 'ndjson'}"
        total = sha256()
        with open(path, "rb") as content, whole_file(self._path / name) as stream:
            while chunk := content.read(_CHUNK):
                total.update(chunk)
                stream.write(chunk)
        return Stored(name, total.hexdigest())

    def tidy(self, manifest: Manifest | None, attempts: Iterable[str]) -> None:
        """
        Delete earlier generations, and what attempts that have ended left.

        :param manifest: the generation to keep; None: all of them.
        :raises OSError: a file cannot be deleted.
        """
        ended = frozenset(attempts)
        kept = {one.name for one in (manifest.entries, manifest.ids) if one} if manifest else set()

        def is_obsolete(name: str) -> bool:
            whole = whole_name(name)
            if found := _NAME.fullmatch(whole):
                if manifest is None or name in kept:
                    return False
                # Of its own generation too: an attempt whose manifest could not be written may have left its files.
                has_ended = found["attempt"] in ended and found["attempt"] != manifest.attempt
                return int(found["generation"]) < manifest.generation + has_ended
            found = _OPEN.fullmatch(whole) or _PART.fullmatch(whole)
            return found is not None and found["attempt"] in ended

        # Manifests first: a generation without its files would be a damaged one.
        for name in sorted(filter(is_obsolete, names_in(self._path)), reverse=True):
            delete_file(self._path / name)


def new_attempt() -> str:
    """Return a name for an attempt that no other one has."""
    return uuid4().hex


def _part(attempt: str, number: int) -> str:
    return f"part-{attempt}-{number:06d}.bin"
