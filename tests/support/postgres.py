"""
A real PostgreSQL server for tests.

``from tests.support.postgres import postgres_cluster, postgres_server`` in a conftest makes the fixtures available. The server
is started once a session, on a free loopback port, from the programs that the machine has; every file of tests has a database
of its own, so that none finds the tables of another.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

PROGRAMS = ("initdb", "pg_ctl", "postgres")
# Nothing here has to survive a power cut, and the tests load many rows.
FAST_AND_FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class PostgresServer:
    host: str
    port: int
    user: str
    dbname: str
    #: What the server logs.
    log: Path

    @property
    def uri(self) -> str:
        """What psycopg2 and SQLAlchemy connect with."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.dbname}"

    @property
    def connection_json(self) -> str:
        """The value of an ``AIRFLOW_CONN_…`` variable."""
        return json.dumps(
            {
                "conn_type": "postgres",
                "host": self.host,
                "port": self.port,
                "login": self.user,
                "schema": self.dbname,
            }
        )


def find_programs() -> Path | None:
    """
    Return a folder with all programs of one PostgreSQL, or None.

    ``initdb`` alone proves nothing, other products ship one: the whole set must be there, and the server run.
    """
    found_in_path = shutil.which("initdb")
    candidates = [Path(found_in_path).resolve().parent] if found_in_path else []
    # Debian keeps the server's programs out of PATH, in a folder per major version.
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    candidates += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in candidates if _is_complete(folder)), None)


def _is_complete(folder: Path) -> bool:
    if not all(os.access(folder / program, os.X_OK) for program in PROGRAMS):
        return False
    version = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    return version.returncode == 0 and "PostgreSQL" in version.stdout


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses to run as root. None where we are somebody else already."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


NO_PROGRAMS = (
    "no PostgreSQL server here: initdb, pg_ctl and postgres are neither in PATH nor below /usr/lib/postgresql "
    "(on Debian: apt-get install postgresql)"
)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip(NO_PROGRAMS)
    with running_postgres(programs) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server(postgres_cluster: PostgresServer) -> PostgresServer:
    return new_database(postgres_cluster)


def new_database(server: PostgresServer) -> PostgresServer:
    """Create an empty database on a server, and return the server with that one."""
    import psycopg2

    name = f"tests_{uuid.uuid4().hex}"
    connection = psycopg2.connect(server.uri)
    try:
        # A database cannot be created inside a transaction.
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {name}")
    finally:
        connection.close()
    return replace(server, dbname=name)


@contextmanager
def running_postgres(programs: Path) -> Iterator[PostgresServer]:
    """Start a server from the programs of :func:`find_programs`, and end it."""
    account = _unprivileged_account()
    # Not pytest's own folder: that is closed to other users, and a socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    data, log = folder / "data", folder / "log"

    def run(*command: str | Path) -> None:
        # The server keeps what it inherits open: it gets no pipe of ours, or reading that would never end.
        with open(folder / "output", "w+") as output:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **({"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}),
            )
            if done.returncode != 0:
                output.seek(0)
                said = output.read() + (log.read_text() if log.exists() else "")
                raise RuntimeError(f"{Path(command[0]).name} failed with {done.returncode}:\n{said}")

    try:
        run(
            programs / "initdb",
            f"--pgdata={data}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        server = PostgresServer(
            host="127.0.0.1", port=_free_port(), user="postgres", dbname="postgres", log=log
        )
        options = f"-p {server.port} -k {folder} -c listen_addresses={server.host} "
        options += " ".join(f"-c {setting}" for setting in FAST_AND_FORGETFUL)
        pg_ctl = programs / "pg_ctl"
        run(pg_ctl, "start", f"--pgdata={data}", f"--log={log}", f"--options={options}", "--wait")
        try:
            yield server
        finally:
            # Clients that a failed test left behind must not keep the server up.
            run(pg_ctl, "stop", f"--pgdata={data}", "--mode=immediate", "--wait")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
