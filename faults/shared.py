"""The folder that all runs of a campaign share, on a local disk or S3, and foreign files in it that must not change."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Protocol

from faults.scenarios import Scenario
from tests.support.s3_server import BUCKET, CONN_ID, S3Server, running_s3

#: In a task's folder: its staged rows and its checkpoint, as documented.
STAGED = "_staged"
CHECKPOINT = f"{STAGED}/checkpoint.json"
#: Seconds after which S3 has stored what a killed process had already sent.
SETTLES = 0.1
#: The share of the possible foreign files that exist.
STRANGERS_SHARE = 0.6
#: Foreign files in the shared folder, from the start; a name that ends with a slash is an empty folder.
AT_THE_TOP = ("notes.txt", "part-00000.ndjson", "empty/")
#: Foreign files in the folder of a DAG.
OF_A_DAG = ("keep.csv", "empty/")
#: Foreign files in the folder of a run.
OF_A_RUN = ("other.bin", "checkpoint.json")
#: Foreign files in a task's folder, with names similar to a task's own, some in a subfolder.
OF_A_TASK = (
    "README.md",
    "part-of-a-plan.ndjson",
    "part-0a1b2c3d-00000.ndjson",
    "chunk-list.ndjson.gz",
    "manifest.json",
    ".notes.unfinished",
    f"{STAGED}/notes.txt",
    f"{STAGED}/chunk-00000.ndjson.gz",
    f"{STAGED}/manifest.json.bak",
    f"{STAGED}/.checkpoint.json.unfinished",
    "older/manifest.json",
    "older/part-00000.ndjson",
    "empty/",
)
#: Foreign files in the folder of a snapshot, with names similar to those of its own.
OF_A_SNAPSHOT = (
    "notes.txt",
    "snapshot.bin",
    "attempt.json",
    "manifest-1.json",
    "entries-1.bin.bak",
    "part-0.bin",
)


class Root(Protocol):
    """A shared folder. Names in it are relative to it; the name of an empty folder ends with a slash."""

    @property
    def url(self) -> str:
        """The folder's URL, as a parameter of an operator."""
        ...

    def digests(self, under: str = "") -> dict[str, str]:
        """Return the digests of the files below a folder: name → digest."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write a file, or create an empty folder."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file."""
        ...

    def settle(self, under: str) -> None:
        """Wait until the pending writes of a killed process below a folder are complete."""
        ...

    def unfinished_uploads(self, under: str) -> list[str]:
        """Return the names of files below a folder whose upload was neither completed nor aborted."""
        ...


class LocalRoot:
    """A folder on a local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def digests(self, under: str = "") -> dict[str, str]:
        found = {}
        for path in (self.folder / under).rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            try:
                if not path.is_dir():
                    found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
                elif not any(path.iterdir()):
                    found[f"{name}/"] = ""
            except FileNotFoundError:
                # A concurrent task has replaced or deleted it.
                continue
        return found

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)

    def delete(self, name: str) -> None:
        (self.folder / name).unlink()

    def settle(self, under: str) -> None:
        # A process that has ended has no pending writes to a local disk.
        return

    def unfinished_uploads(self, under: str) -> list[str]:
        return []


class S3Root:
    """
    A folder in a bucket.

    :param server: the server, with its bucket.
    :param prefix: the folder's name.
    """

    def __init__(self, server: S3Server, prefix: str = "shared") -> None:
        self.prefix = prefix
        self.client = server.client

    @property
    def url(self) -> str:
        return f"s3://{CONN_ID}@{BUCKET}/{self.prefix}"

    def digests(self, under: str = "") -> dict[str, str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.prefix}/{under and under.rstrip('/') + '/'}"
        )
        entries = [entry for page in pages for entry in page.get("Contents", ())]
        return {self._name(entry["Key"]): entry["ETag"] for entry in entries}

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=self._key(name))["Body"].read()
        return content

    def put(self, name: str, content: bytes) -> None:
        # S3's console represents an empty folder by a key that ends with a slash.
        self.client.put_object(
            Bucket=BUCKET, Key=self._key(name), Body=b"" if name.endswith("/") else content
        )

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=self._key(name))

    def settle(self, under: str) -> None:
        seen = None
        while (now := self.digests(under)) != seen:
            seen = now
            time.sleep(SETTLES)

    def unfinished_uploads(self, under: str) -> list[str]:
        listed = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self._key(under)}/")
        return [self._name(upload["Key"]) for upload in listed.get("Uploads", ())]

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _name(self, key: str) -> str:
        return key.removeprefix(f"{self.prefix}/")


class Shared:
    """
    A shared folder, and the files in it that must stay unchanged.

    :param root: the folder.
    :param connection: the connection to its server, as JSON; None: it needs none.
    """

    def __init__(self, root: Root, connection: str | None = None) -> None:
        self.root = root
        self.connection = connection
        #: The names of the foreign files, which belong to no run.
        self.strangers: set[str] = set()
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def put_strangers(self, names: Iterable[str], chance: Random) -> None:
        """Write foreign files, which must stay unchanged."""
        names = list(names)
        for name in names:
            self.root.put(name, chance.randbytes(chance.randrange(1, 2_000)))
        there = self.root.digests()
        with self._lock:
            self.strangers.update(names)
            self._kept.update((name, there[name]) for name in names)

    def own(self, scenario: Scenario) -> dict[str, str]:
        """Return the files of a run: name → digest."""
        folders = (scenario.own_folder, f"{scenario.own_folder}/{STAGED}")
        return {
            name: digest
            for name, digest in self.root.digests(scenario.own_folder).items()
            if name.rstrip("/").rpartition("/")[0] in folders and name not in self.strangers
        }

    def content(self, scenario: Scenario) -> dict[str, bytes]:
        """Return the files of a run: name in its folder → content."""
        return {
            name.removeprefix(f"{scenario.own_folder}/"): b"" if name.endswith("/") else self.root.read(name)
            for name in sorted(self.own(scenario))
        }

    def keep(self, files: Mapping[str, str]) -> None:
        """
        Require files to stay unchanged from now on.

        :param files: name → digest.
        """
        with self._lock:
            self._kept.update(files)

    def release(self, files: Iterable[str]) -> None:
        """Allow files to change again."""
        with self._lock:
            for name in files:
                self._kept.pop(name, None)

    def snapshot(self, scenario: Scenario) -> list[str]:
        """Return the names of the files of a run's snapshot, without the folder."""
        return sorted(
            name.rpartition("/")[2]
            for name in self.root.digests(scenario.snapshot_folder)
            if name not in self.strangers and name.rpartition("/")[0] == scenario.snapshot_folder
        )

    def touched(self) -> list[str]:
        """Return descriptions of the files that changed although they must not; each file once."""
        with self._lock:
            there = self.root.digests()
            wrong = {name for name, digest in self._kept.items() if there.get(name) != digest}
            for name in wrong:
                del self._kept[name]
        return [
            f"{name}, a {'stranger' if name in self.strangers else 'run'}'s, was "
            f"{'changed' if name in there else 'deleted'} by another task"
            for name in sorted(wrong)
        ]


@contextmanager
def shared_folder(place: str, seed: str) -> Iterator[Shared]:
    """
    Create the folder that all runs in a place share, with the foreign files at its top.

    :param place: ``local`` or ``s3``.
    :param seed: the random seed of the files' content.
    """
    chance = Random(f"{seed}/strangers")
    if place == "s3":
        with running_s3() as server:
            shared = Shared(S3Root(server), server.connection_json)
            shared.put_strangers(AT_THE_TOP, chance)
            yield shared
    else:
        with tempfile.TemporaryDirectory(prefix="faults-shared-", ignore_cleanup_errors=True) as folder:
            shared = Shared(LocalRoot(Path(folder).resolve()))
            shared.put_strangers(AT_THE_TOP, chance)
            yield shared


def strangers_of(dag: Iterable[Scenario], chance: Random) -> list[str]:
    """Draw the names of the foreign files among those of the runs of a DAG."""
    names: dict[str, None] = {}
    for scenario in dag:
        names.update(dict.fromkeys(f"{scenario.dag_id}/{name}" for name in OF_A_DAG))
        names.update(dict.fromkeys(f"{scenario.dag_id}/{scenario.run_id}/{name}" for name in OF_A_RUN))
        names.update(dict.fromkeys(f"{scenario.own_folder}/{name}" for name in OF_A_TASK))
        if scenario.data is not None:
            names.update(dict.fromkeys(f"{scenario.snapshot_folder}/{name}" for name in OF_A_SNAPSHOT))
    # Some DAGs have none: then the tasks create and remove the folders concurrently.
    return [name for name in names if chance.random() < STRANGERS_SHARE] if chance.random() < 0.75 else []
