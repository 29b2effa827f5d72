"""Files that are complete or absent, in folders that ``ObjectStoragePath`` knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

#: How a local file's name ends, behind a dot in front, that is not whole yet.
UNFINISHED = ".unfinished"


def open_folder(url: str) -> Any:
    """
    Give a folder's path; a local one is made where it is missing.

    :param url: as ``ObjectStoragePath`` takes it; the connection may stand in it (``s3://conn_id@bucket/key``).
    :raises OSError: it cannot be made.
    """
    from airflow_provider_moengage._compat import object_storage_path

    path = object_storage_path(url)
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def whole_file(path: Any) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that is complete or absent, whatever ends this process; on a local disk only its owner may
    read it.

    :raises OSError: it cannot be written.
    """
    if not is_local(path):
        # An object appears when it is closed, whole.
        with path.open("wb") as stream:
            yield stream
        return
    unfinished = f"{path.parent.path}/.{path.name}{UNFINISHED}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        os.replace(unfinished, path.path)
    except BaseException:
        # On a full disk, what was written of it would be in the way of everything else.
        with suppress(OSError):
            os.unlink(unfinished)
        raise


def write_whole(path: Any, content: bytes) -> None:
    """
    Write a file as :func:`whole_file` does.

    :raises OSError: it cannot be written.
    """
    with whole_file(path) as stream:
        stream.write(content)


def read_whole(path: Any) -> bytes | None:
    """
    Read a file; None where there is none.

    :raises OSError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            content: bytes = stream.read()
            return content
    except FileNotFoundError:
        return None


def whole_name(name: str) -> str:
    """Give the name that a file was to have which a killed process left unfinished; any other name as it is."""
    return name[1:].removesuffix(UNFINISHED) if name.startswith(".") and name.endswith(UNFINISHED) else name


def delete_files(url: str, is_own: Callable[[str], bool], first: str = "") -> None:
    """
    Delete files of a task's own folder, and the folders of the task, the run and the DAG that are empty then.

    :param is_own: tells by a file's name whether it is one of them; what a killed process left of it is one too.
    :param first: the name of the file that goes first.
    :raises OSError: one cannot be deleted.
    """
    folder = open_folder(url)
    own = [path.name for path in folder.iterdir() if is_own(whole_name(path.name))]
    for name in sorted(own, key=first.__ne__):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    if is_local(folder):
        with suppress(OSError):
            for empty in (folder, folder.parent, folder.parent.parent):
                empty.rmdir()


def is_local(path: Any) -> bool:
    """Whether a path is one of this machine's own disks."""
    return path.protocol in ("", "file", "local")


def task_folder(url: str, ti: Any) -> str:
    """
    Give a task instance's own folder below another: ``dag/run/task``, and the map index where it is mapped.

    :param ti: the task instance.
    """
    steps = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        steps.append(str(ti.map_index))
    return "/".join([url.rstrip("/"), *(step.replace("/", "_") for step in steps)])
