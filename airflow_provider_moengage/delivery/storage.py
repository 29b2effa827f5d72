"""Files that are complete or absent, in folders that ``ObjectStoragePath`` knows; none but a task's own is deleted."""

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

#: The name of a local file that is not whole yet: the name it is to have, and what tells it from every other.
UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.unfinished")
#: Bytes that are uploaded to an object store in one request; what is larger comes in parts.
MAX_ONE_REQUEST = 5 * 1024 * 1024
#: Attempts to make a folder that another task may delete at the same moment, because it is empty.
MKDIR_ATTEMPTS = 100
STAGED = "_staged"
_UNSAFE = re.compile(r"[%/\\*?\[\]#\x00-\x1f\x7f]|^\.{1,2}$")


def folder_path(url: str) -> Any:
    """
    Return a folder's path; the folder need not be there.

    :param url: as ``ObjectStoragePath`` takes it; the connection may stand in it (``s3://conn_id@bucket/key``).
    """
    from airflow_provider_moengage._compat import object_storage_path

    return object_storage_path(url)


def make_folder(path: Any) -> None:
    """
    Make a local folder where it is missing; object stores have none.

    :raises OSError: it cannot be made.
    """
    if not is_local(path):
        return
    for _ in range(MKDIR_ATTEMPTS):
        # A task that ends deletes the folders above its own once they are empty, perhaps in the middle of this.
        with suppress(FileNotFoundError):
            return os.makedirs(path.path, exist_ok=True)
    os.makedirs(path.path, exist_ok=True)


@contextmanager
def whole_file(path: Any) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that is complete or absent, whatever ends this process or the block.

    On a local disk only its owner may read it, and a link of its name is replaced and not followed.

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
    Return what is in a file; None where there is none.

    :raises OSError: it cannot be read.
    """
    try:
        with _as_os_error():
            # Not path.open(): a file system may answer from a listing that another process has outdated.
            content: bytes = path.fs.cat_file(path.path)
            return content
    except FileNotFoundError:
        return None


def delete_file(path: Any) -> None:
    """
    Delete a file by its name; no error where there is none.

    :raises OSError: it cannot be deleted.
    """
    with suppress(FileNotFoundError), _as_os_error():
        if is_local(path):
            os.unlink(path.path)
        else:
            path.fs.rm_file(path.path)


def names_in(folder: Any) -> list[str]:
    """
    Return the names of what is in a folder; none where it is missing.

    :raises OSError: it cannot be listed.
    """
    with _as_os_error():
        try:
            if is_local(folder):
                return os.listdir(folder.path)
            folder.fs.invalidate_cache(folder.path)
            listed = folder.fs.ls(folder.path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            # A prefix under which no object was written yet.
            return []
    paths = [PurePosixPath(str(entry)) for entry in listed]
    return [path.name for path in paths if path.parent.name == PurePosixPath(folder.path).name]


def delete_own(folder: Any, is_own: Callable[[str], bool], kept: Container[str] = ()) -> None:
    """
    Delete the files of a folder that a task wrote there, and what a killed process left unfinished of them.

    :param is_own: whether a name is one that only this task writes.
    :param kept: names of whole files that stay.
    :raises OSError: one cannot be deleted.
    """
    for name in names_in(folder):
        if name not in kept and is_own(whole_name(name)):
            delete_file(folder / name)


def whole_name(name: str) -> str:
    """Return the name that an unfinished file was to have; any other name as it is."""
    unfinished = UNFINISHED.fullmatch(name)
    return unfinished["name"] if unfinished else name


def is_local(path: Any) -> bool:
    """Whether a path is on one of this machine's own disks."""
    return path.protocol in ("", "file", "local")


def own_token(folder: str) -> str:
    """Return what a task puts into the names of its files, so that they can be told from everybody else's."""
    return hashlib.sha256(folder.rstrip("/").encode("utf-8", "backslashreplace")).hexdigest()[:12]


def task_folder(url: str, ti: Any) -> str:
    """
    Return a task instance's own folder below another: ``dag/run/task``, and the map index where it is mapped.

    No two task instances share one: what has a meaning in a path or a glob is percent-encoded.

    :param ti: the task instance.
    """
    return "/".join([url.rstrip("/"), *_steps(ti)])


def staging_folder(url: str, ti: Any) -> str:
    """
    Return where a task instance keeps its staged rows and its checkpoint: apart from the rejected rows, which may have
    the same root, and passed over where a folder is read as a source.
    """
    return f"{task_folder(url, ti)}/{STAGED}"


def delete_empty_staging_folders(url: str, ti: Any) -> None:
    """
    Delete :func:`staging_folder` and the folders above it, as far as they are empty.

    :param url: the folder below which they are; it stays.
    """
    folder = folder_path(staging_folder(url, ti))
    if is_local(folder):
        with suppress(OSError):
            for _ in (STAGED, *_steps(ti)):
                os.rmdir(folder.path)
                folder = folder.parent


def _steps(ti: Any) -> list[str]:
    steps = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        steps.append(str(ti.map_index))
    return [_UNSAFE.sub(_percent_encoded, step) for step in steps]


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


@contextmanager
def _whole_local_file(path: Any) -> Iterator[IO[bytes]]:
    folder = path.parent.path
    unfinished = f"{folder}/.{path.name}.{uuid4().hex}.unfinished"
    descriptor = _open_nameless(folder)
    nameless = descriptor is not None
    if descriptor is None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(unfinished, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if nameless:
                # With a descriptor of a folder, link(2) follows this link to the file that is open.
                os.link(f"/proc/self/fd/{descriptor}", unfinished, src_dir_fd=descriptor)
        os.replace(unfinished, path.path)
    except BaseException:
        # On a full disk, what was written of it would be in the way of everything else.
        with suppress(OSError):
            os.unlink(unfinished)
        raise


def _open_nameless(folder: str) -> int | None:
    """Open a file of which nothing is left when its process is killed; None where that cannot be had."""
    # Not every file system has them, and none but Linux.
    with suppress(AttributeError, OSError):
        if os.access("/proc/self/fd", os.X_OK):
            return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    return None


@contextmanager
def _whole_object(path: Any) -> Iterator[IO[bytes]]:
    # The store sees nothing before the content is whole: closing an object that is half written would publish it.
    with tempfile.TemporaryFile() as content:
        yield content
        content.seek(0)
        with _as_os_error():
            _upload(content, path)


def _upload(content: IO[bytes], path: Any) -> None:
    uploaded = path.fs.open(path.path, "wb", autocommit=False)
    try:
        shutil.copyfileobj(content, uploaded)
        uploaded.close()
        uploaded.commit()
    except BaseException:
        # Parts that were uploaded must not stay in the store, and closing what is left would publish it.
        with suppress(Exception):
            uploaded.discard()
            uploaded.closed = True
        raise


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise what a file system's own client raises, such as an endpoint that does not answer, as an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
