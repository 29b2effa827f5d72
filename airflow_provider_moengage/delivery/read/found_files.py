"""Finds files: on a local disk, and in object stores with as few requests as the listing itself needs."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError
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


@dataclass(frozen=True)
class FoundFile:
    """
    A file.

    :param folder: the path below which it was found.
    :param below: its own path from there; empty: the folder's path is the file's.
    :param info: what its file system says of it; empty: it was not asked.
    """

    folder: Any
    below: str = ""
    info: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return "/".join(filter(None, (str(self.folder).rstrip("/"), self.below)))

    @property
    def name(self) -> str:
        """Return its name, without its folder."""
        return str(self.below.rpartition("/")[2] if self.below else self.folder.name)

    @cached_property
    def path(self) -> Any:
        """
        Return its path; only now, because to make thousands of them takes seconds.

        :raises OSError: its name has a meaning in a path, such as ``.``.
        """
        path = self.folder / self.below if self.below else self.folder
        if self.info and path.path != self.info["name"]:
            raise OSError("its name cannot be part of a URL")
        return path

    @property
    def version(self) -> str:
        """
        Return what changes with its content: its size, and its time or version.

        :raises OSError: its file system cannot say it.
        """
        info = self.info or self.path.fs.info(self.path.path)
        found = next((info[name] for name in VERSION_FIELDS if info.get(name) is not None), None)
        return f"{info.get('size')} {found}"


def files_at(path: Any, pattern: str) -> list[FoundFile] | None:
    """
    Find a file, all files below a folder, or the files that match a pattern, in the order of their names.

    :param path: the file or folder, or the folder below which the pattern is matched.
    :param pattern: a glob; empty: there is none.
    :return: None: there is no such file or folder.
    :raises MoEngageParameterError: something on a local disk is neither file nor folder.
    :raises OSError: a folder cannot be listed.
    """
    found = _local_files(path, pattern) if is_local(path) else _stored_files(path, pattern)
    return None if found is None else sorted(found, key=str)


def _is_hidden(name: str) -> bool:
    """Whether a name is of a marker file such as _SUCCESS and .crc, or of a file that is still being written."""
    return name.startswith(("_", "."))


def _local_files(path: Any, pattern: str) -> list[FoundFile] | None:
    _check_kind(path, top=True)
    if pattern:
        return [FoundFile(file) for file in path.glob(pattern) if _is_file(file)]
    if path.is_dir():
        return [FoundFile(file) for file in _files_below(path)]
    return [FoundFile(path)] if path.is_file() else None


def _files_below(folder: Any) -> Iterator[Any]:
    for path in folder.iterdir():
        if _is_hidden(path.name):
            continue
        _check_kind(path)
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path


def _is_file(path: Any) -> bool:
    _check_kind(path)
    return bool(path.is_file())


def _stored_files(path: Any, pattern: str) -> list[FoundFile] | None:
    fs = path.fs
    top = str(fs._strip_protocol(path.path)).rstrip("/")
    # A listing of an earlier run in this process is not what is there now.
    fs.invalidate_cache()
    if pattern:
        below = _matching(fs, top, pattern.split("/"))
    else:
        listed = _listed_below(fs, top)
        if not listed and not _exists(fs, top):
            return None
        below = (info for info in listed if not any(map(_is_hidden, _below(top, info["name"]).split("/"))))
    return [FoundFile(path, _below(top, info["name"]), info) for info in below if _is_stored_file(info)]


def _below(top: str, name: str) -> str:
    return name[len(top) + 1 :] if top else name


def _is_stored_file(info: Mapping[str, Any]) -> bool:
    # A name that ends in a slash stands for an empty folder.
    return info["type"] == "file" and not info["name"].endswith("/")


def _exists(fs: Any, top: str) -> bool:
    try:
        fs.info(top)
    except FileNotFoundError:
        return False
    return True


def _listed_below(fs: Any, top: str) -> Iterable[Mapping[str, Any]]:
    """Return what is below a folder, without the folders in it, or the file of that name; nothing: there is neither."""
    from fsspec.asyn import AsyncFileSystem  # type: ignore[import-untyped]

    own = getattr(type(fs), "_find", None)
    if own is not None and own is not AsyncFileSystem._find:
        # Object stores list all keys that begin alike, a thousand and more in one request.
        found = fs.find(top, detail=True)
        # For a single file, Azure's returns its name only.
        return list(found.values()) if isinstance(found, dict) else [fs.info(name) for name in found]
    return list(_walk(fs, top))


def _walk(fs: Any, folder: str) -> Iterator[Mapping[str, Any]]:
    # Not fs.find() and fs.walk(): in general they leave out what cannot be listed.
    for info in _entries(fs, folder):
        if info["type"] != "directory":
            yield info
        elif not _is_hidden(info["name"].rstrip("/").rpartition("/")[2]):
            yield from _walk(fs, info["name"])


def _entries(fs: Any, folder: str) -> list[Mapping[str, Any]]:
    """Return what is in a folder; nothing if there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return [info for info in fs.ls(folder, detail=True) if info["name"].rstrip("/") != folder.rstrip("/")]
    return []


def _matching(fs: Any, top: str, segments: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Return what matches a pattern, of which folders that cannot match are not listed."""
    from fsspec.utils import glob_translate  # type: ignore[import-untyped]

    if "**" in segments:
        matches = re.compile(glob_translate("/".join(segments))).match
        yield from (info for info in _listed_below(fs, top) if matches(_below(top, info["name"])))
        return
    matches, rest = re.compile(glob_translate(segments[0])).match, segments[1:]
    for info in _entries(fs, top):
        if not matches(info["name"].rstrip("/").rpartition("/")[2]):
            continue
        if not rest:
            yield info
        elif info["type"] == "directory":
            yield from _matching(fs, info["name"].rstrip("/"), rest)


def _check_kind(path: Any, *, top: bool = False) -> None:
    """
    Check that a local path is a file, a folder, or a link to a file.

    :param top: whether the user named the path itself; it may then be a link to a folder.
    :raises MoEngageParameterError: it is something else: reading a pipe may block for ever, and a link to a folder may
        form a cycle.
    """
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
