"""Writes files atomically, locally and in object stores, and deletes only a task's own files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import IO, Any
from uuid import uuid4

#: The name of an unfinished local file: its final name and a unique id.
UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.unfinished")
#: Maximum bytes uploaded to an object store in one request; larger content is uploaded in parts.
MAX_ONE_REQUEST = 5 * 1024 * 1024
#: Bytes of such a part: S3 takes 10,000 parts of 5 MiB and more, GCS whole multiples of 256 KiB.
UPLOAD_PART = 16 * 1024 * 1024
#: Attempts to create a folder that another task may delete at the same moment, because it is empty.
MKDIR_ATTEMPTS = 100
STAGED = "_staged"
_UNSAFE = re.compile(r"[%/\\*?\[\]#\x00-\x1f\x7f]|^\.{1,2}$")


def folder_path(url: str) -> Any:
    """
    Return a folder's path; the folder need not exist.

    :param url: as ``ObjectStoragePath`` accepts it; may contain the connection (``s3://conn_id@bucket/key``).
    """
    from airflow_provider_moengage._compat import object_storage_path

    return object_storage_path(url)


def make_folder(path: Any) -> None:
    """
    Create a local folder if it does not exist; object stores have no folders.

    :raises OSError: it cannot be created.
    """
    if not is_local(path):
        return
    for _ in range(MKDIR_ATTEMPTS):
        # Another task that ends may delete empty parent folders at the same time.
        with suppress(FileNotFoundError):
            return os.makedirs(path.path, exist_ok=True)
    os.makedirs(path.path, exist_ok=True)


@contextmanager
def whole_file(path: Any) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that is complete or absent, even if the process is killed or the block raises.

    On a local disk only its owner may read it, and a link of that name is replaced, not followed.

    :raises OSError: it cannot be written.
    """
    with (_whole_local_file if is_local(path) else _whole_object)(path) as stream:
        yield stream


def write_whole(path: Any, content: bytes) -> None:
    """
    Write a file as :func:`whole_file` does.

    :raises OSError: it cannot be written.
    """
    if is_local(path) or len(content) > MAX_ONE_REQUEST:
        with whole_file(path) as stream:
            stream.write(content)
    else:
        with _as_os_error():
            path.fs.pipe_file(path.path, content)


def read_whole(path: Any) -> bytes | None:
    """
    Return the content of a file; None if it does not exist.

    :raises OSError: it cannot be read.
    """
    try:
        with _as_os_error():
            # Not path.open(), which may rely on a cached listing that is out of date.
            content: bytes = path.fs.cat_file(path.path)
            return content
    except FileNotFoundError:
        return None


@contextmanager
def open_file(path: Any) -> Iterator[IO[bytes]]:
    """
    Open a file for reading, from its beginning to its end.

    :raises OSError: it does not exist, or cannot be read.
    """
    with _as_os_error(), path.fs.open(path.path, "rb") as stream:
        yield stream


def delete_file(path: Any) -> None:
    """
    Delete a file; no error if it does not exist.

    :raises OSError: it cannot be deleted.
    """
    with suppress(FileNotFoundError), _as_os_error():
        if is_local(path):
            os.unlink(path.path)
        else:
            path.fs.rm_file(path.path)


def names_in(folder: Any) -> list[str]:
    """
    Return the names of a folder's entries; none if it does not exist.

    :raises OSError: it cannot be listed.
    """
    with _as_os_error():
        try:
            if is_local(folder):
                return os.listdir(folder.path)
            folder.fs.invalidate_cache(folder.path)
            listed = folder.fs.ls(folder.path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            # In an object store: a prefix without objects.
            return []
    paths = [PurePosixPath(str(entry)) for entry in listed]
    return [path.name for path in paths if path.parent.name == PurePosixPath(folder.path).name]


def delete_own(folder: Any, is_own: Callable[[str], bool], kept: Container[str] = ()) -> None:
    """
    Delete a task's own files from a folder, including unfinished ones of a killed process.

    :param is_own: whether only this task writes files of a name.
    :param kept: names of complete files to keep.
    :raises OSError: a file cannot be deleted.
    """
    for name in names_in(folder):
        if name not in kept and is_own(whole_name(name)):
            delete_file(folder / name)


def whole_name(name: str) -> str:
    """Return the final name of an unfinished file; any other name unchanged."""
    unfinished = UNFINISHED.fullmatch(name)
    return unfinished["name"] if unfinished else name


def is_local(path: Any) -> bool:
    """Whether a path is on a local disk."""
    return path.protocol in ("", "file", "local")


def own_token(folder: str) -> str:
    """Return a token for the names of a task's files that tells them from all other files."""
    return hashlib.sha256(folder.rstrip("/").encode("utf-8", "backslashreplace")).hexdigest()[:12]


def task_folder(url: str, ti: Any) -> str:
    """
    Return a task instance's own folder below another one: ``dag/run/task``, and the map index of a mapped task.

    It is unique to the task instance: characters with a meaning in a path or a glob are percent-encoded.

    :param ti: the task instance.
    """
    return "/".join([url.rstrip("/"), *_path_parts(ti)])


def snapshot_folder(url: str, ti: Any) -> str:
    """Return the folder of a task's snapshot, the same in every run: ``dag/task``, and the map index of a mapped task."""
    dag, _, *task = _path_parts(ti)
    return "/".join([url.rstrip("/"), dag, *task])


def staging_folder(url: str, ti: Any) -> str:
    """
    Return the folder of a task instance's staged rows and checkpoint.

    It is separate from the rejected rows, which may have the same root, and skipped when a folder is read as a source.
    """
    return f"{task_folder(url, ti)}/{STAGED}"


def delete_empty_staging_folders(url: str, ti: Any) -> None:
    """
    Delete :func:`staging_folder` and its parent folders, as far as they are empty.

    :param url: their common root, which is kept.
    """
    folder = folder_path(staging_folder(url, ti))
    if is_local(folder):
        with suppress(OSError):
            for _ in (STAGED, *_path_parts(ti)):
                os.rmdir(folder.path)
                folder = folder.parent


def _path_parts(ti: Any) -> list[str]:
    parts = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        parts.append(str(ti.map_index))
    return [_UNSAFE.sub(_percent_encoded, part) for part in parts]


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


@contextmanager
def _whole_local_file(path: Any) -> Iterator[IO[bytes]]:
    folder = path.parent.path
    unfinished = f"{folder}/.{path.name}.{uuid4().hex}.unfinished"
    descriptor = _open_unnamed(folder)
    unnamed = descriptor is not None
    if descriptor is None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(unfinished, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if unnamed:
                # src_dir_fd makes Python call linkat(2), which follows this link to the open file.
                os.link(f"/proc/self/fd/{descriptor}", unfinished, src_dir_fd=descriptor)
        os.replace(unfinished, path.path)
    except BaseException:
        # The partial file would otherwise fill a full disk.
        with suppress(OSError):
            os.unlink(unfinished)
        raise


def _open_unnamed(folder: str) -> int | None:
    """Open a file that disappears if the process is killed; None where that is not supported."""
    # Only on Linux, and not on every file system.
    with suppress(AttributeError, OSError):
        if os.access("/proc/self/fd", os.X_OK):
            return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    return None


@contextmanager
def _whole_object(path: Any) -> Iterator[IO[bytes]]:
    # Nothing is uploaded before the content is complete: closing a partly written object would publish it.
    with tempfile.TemporaryFile() as content:
        yield content
        content.seek(0)
        with _as_os_error():
            _upload(content, path)


def _upload(content: IO[bytes], path: Any) -> None:
    if os.fstat(content.fileno()).st_size <= MAX_ONE_REQUEST:
        # Without an upload in parts, of which a lost connection would leave some.
        path.fs.pipe_file(path.path, content.read())
        return
    uploaded = path.fs.open(path.path, "wb", block_size=UPLOAD_PART, autocommit=False)
    try:
        shutil.copyfileobj(content, uploaded)
        uploaded.close()
        uploaded.commit()
    except BaseException:
        # Uploaded parts must not stay in the store, and closing the object would publish them.
        with suppress(Exception):
            uploaded.discard()
            uploaded.closed = True
        raise


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise any error of a file system's client, such as an unreachable endpoint, as an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
