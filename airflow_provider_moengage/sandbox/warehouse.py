"""The shop's warehouse, one SQLite file, and Airflow's connection to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from airflow_provider_moengage.sandbox import shop

#: SQLite's ``application_id`` in the header of a warehouse file: "MoES".
APPLICATION_ID = 0x4D6F4553
#: The version of the tables, as SQLite's ``user_version``; a file of another edition is rejected.
EDITION = 1


class WarehouseError(ValueError):
    """A warehouse can be neither created nor reused at a path; the message says why."""


def provide(path: str | os.PathLike[str]) -> bool:
    """
    Create the shop's warehouse at a path, or keep an existing one with all changes made to it.

    No other database or file is ever overwritten.

    :param path: of the SQLite file; its folder must exist.
    :return: whether it was created now.
    :raises WarehouseError: something else is at the path, or it cannot be written.
    """
    path = Path(path)
    if os.path.lexists(path):
        _check_ours(path)
        return False
    if not path.parent.is_dir():
        raise WarehouseError(
            f"The warehouse {path} cannot be created: the folder {path.parent} does not exist"
        )
    try:
        _make(path)
    except (OSError, sqlite3.Error) as error:
        raise WarehouseError(f"The warehouse {path} cannot be created: {error}") from error
    return True


def connection(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return Airflow's connection to the SQLite file at a path, in the fields of its JSON form."""
    # Airflow's hook puts the path into a URI unescaped, where these three characters are special.
    written = "".join(quote(one) if one in "%?#" else one for one in os.path.abspath(path))
    return {"conn_type": "sqlite", "host": written}


def _make(path: Path) -> None:
    # Create it elsewhere first, so that the file at the path is complete, and in the same folder, so that it can be renamed.
    with tempfile.TemporaryDirectory(prefix=".moengage-sandbox-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        with contextlib.closing(sqlite3.connect(unfinished)) as database, database:
            shop.fill(database)
            database.execute(f"pragma application_id = {APPLICATION_ID}")
            database.execute(f"pragma user_version = {EDITION}")
        # Fail if another process has created the file in the meantime.
        path.open("x").close()
        unfinished.replace(path)


def _check_ours(path: Path) -> None:
    """
    Check that a file is a warehouse of the sandbox.

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
            f"{path} exists and is not a warehouse of the sandbox ({error}); name another path, or remove the file"
        ) from error
    if application != APPLICATION_ID:
        raise WarehouseError(
            f"{path} is a database that the sandbox did not create, and is left unchanged; name another path"
        )
    if edition != EDITION:
        raise WarehouseError(
            f"{path} was created by another version of the sandbox (edition {edition}, not {EDITION}); "
            "name another path, or remove the file"
        )


def _opened(path: Path) -> sqlite3.Connection:
    """Open a database read-only, so that a missing or empty file is not turned into one."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
