"""The shop's warehouse: one SQLite file, made where there is none, and Airflow's connection to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from airflow_provider_moengage.sandbox import shop

#: Stands in the header of the files that are made here, as SQLite's ``application_id``: "MoES".
APPLICATION_ID = 0x4D6F4553
#: Of the tables, as SQLite's ``user_version``; a file of another edition is not taken for one of this.
EDITION = 1


class WarehouseError(ValueError):
    """The warehouse can neither be made at a path nor be kept there; the message says why."""


def provide(path: str | os.PathLike[str]) -> bool:
    """
    Make the shop's warehouse at a path, or keep the one that was made there before, with all that was changed in it.

    Nothing else is overwritten: not another database, not another file.

    :param path: of the SQLite file; its folder has to exist.
    :return: whether it was made now.
    :raises WarehouseError: something else is at the path, or it cannot be written.
    """
    path = Path(path)
    if os.path.lexists(path):
        _check_ours(path)
        return False
    if not path.parent.is_dir():
        raise WarehouseError(f"The warehouse {path} cannot be made: the folder {path.parent} does not exist")
    try:
        _make(path)
    except (OSError, sqlite3.Error) as error:
        raise WarehouseError(f"The warehouse {path} cannot be made: {error}") from error
    return True


def connection(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return Airflow's connection to the SQLite file at a path, in the fields of its JSON form."""
    # Airflow's hook puts the path into a URI as it is, in which these three have a meaning of their own.
    written = "".join(quote(one) if one in "%?#" else one for one in os.path.abspath(path))
    return {"conn_type": "sqlite", "host": written}


def _make(path: Path) -> None:
    # Made elsewhere first, so that what is at the path is whole, and in the same folder, so that it can be renamed.
    with tempfile.TemporaryDirectory(prefix=".moengage-sandbox-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        with contextlib.closing(sqlite3.connect(unfinished)) as database, database:
            shop.fill(database)
            database.execute(f"pragma application_id = {APPLICATION_ID}")
            database.execute(f"pragma user_version = {EDITION}")
        # Whoever was faster keeps the path.
        path.open("x").close()
        unfinished.replace(path)


def _check_ours(path: Path) -> None:
    """
    Check that a file is a warehouse that was made here.

    :raises WarehouseError: it is not.
    """
    if not path.is_file():
        raise WarehouseError(f"{path} is not a file; name another path for the warehouse")
    try:
        with contextlib.closing(_opened(path)) as database:
            (application,) = database.execute("pragma application_id").fetchone()
            (edition,) = database.execute("pragma user_version").fetchone()
    except sqlite3.Error as error:
        raise WarehouseError(
            f"{path} exists and is no warehouse of the sandbox ({error}); name another path, or remove the file"
        ) from error
    if application != APPLICATION_ID:
        raise WarehouseError(
            f"{path} is a database of something else than the sandbox, and is left as it is; name another path"
        )
    if edition != EDITION:
        raise WarehouseError(
            f"{path} was made by another version of the sandbox (edition {edition}, this one makes {EDITION}); "
            "name another path, or remove the file"
        )


def _opened(path: Path) -> sqlite3.Connection:
    """Open a database for reading only: a file that is not there, or that is empty, is not made one."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
