"""What errors of files and folders say, and what to do about them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_moengage.api.errors import MoEngageStorageError


def described(error: BaseException) -> str:
    """Return what happened to a file, for the text of another error."""
    text = (isinstance(error, OSError) and error.strerror) or error
    return f"{type(error).__name__}: {text}"


def remedy(error: BaseException, purpose: str) -> str:
    """
    Return what to do about an error of a file, as the end of a sentence; empty: nothing in particular.

    :param purpose: what the credentials have to allow, such as ``write there``.
    """
    if isinstance(error, PermissionError):
        return f"; let the credentials {purpose}, or renew them if they have expired"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "; make room there"
    return ""


@contextmanager
def naming_folder(parameter: str, folder: str, what: str) -> Iterator[None]:
    """
    Raise an error of a folder as one that names it.

    :param parameter: the parameter that names the folder.
    :param what: what is not possible, such as ``cannot be written``.
    :raises MoEngageStorageError: the block raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise MoEngageStorageError(
            f"{parameter} {folder!r} {what} ({described(error)})"
            + (remedy(error, "read, write, list and delete there") or "; a retry may succeed")
        ) from error
