"""
A real MariaDB server for tests.

``from tests.support.mariadb import mariadb_process, mariadb_server`` in a conftest makes the fixtures available. The server is
started once a session, on a free loopback port and in a folder of its own, from the programs that the machine has; every file
of tests has a database of its own, so that none finds the tables of another.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.1"
START_SECONDS = 60.0
# Debian keeps the server's programs where a user's PATH need not lead.
FOLDERS = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
)
# Nothing here has to survive a power cut, and the tests load many rows.
FAST_AND_FORGETFUL = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=32M",
    "--skip-log-bin",
)
MISSING = (
    "no MariaDB server here: mariadbd and mariadb-install-db are neither in PATH nor in /usr/sbin and /usr/bin "
    "(on Debian: apt-get install mariadb-server)"
)


@dataclass(frozen=True)
class MariaDBServer:
    port: int
    host: str = HOST
    user: str = "tester"
    password: str = "tester"
    database: str = "shop"

    def connect(self) -> Any:
        """Connect with the client that has a wheel, and so is there wherever the tests are."""
        import mysql.connector

        return mysql.connector.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, database=self.database
        )

    def connection_json(self, **extra: Any) -> str:
        """Return the value of an ``AIRFLOW_CONN_…`` variable."""
        return json.dumps(
            {
                "conn_type": "mysql",
                "host": self.host,
                "port": self.port,
                "login": self.user,
                "password": self.password,
                "schema": self.database,
                "extra": {"charset": "utf8mb4", **extra},
            }
        )


@dataclass(frozen=True)
class Programs:
    server: str
    install: str


def find_programs() -> Programs | None:
    """Return the programs of a MariaDB server, or None."""
    server = shutil.which("mariadbd", path=FOLDERS)
    install = shutil.which("mariadb-install-db", path=FOLDERS)
    return Programs(server, install) if server and install else None


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Return whom to run as: MariaDB refuses to run as root. None where we are somebody else already."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("mysql")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def mariadb_process() -> Iterator[MariaDBServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip(MISSING)
    with running_mariadb(programs) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb_server(mariadb_process: MariaDBServer) -> MariaDBServer:
    return new_database(mariadb_process)


def new_database(server: MariaDBServer) -> MariaDBServer:
    """Create an empty database on a server, and return the server with that one."""
    name = f"tests_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.cursor().execute(f"create database {name} character set utf8mb4")
    return replace(server, database=name)


@contextmanager
def running_mariadb(programs: Programs) -> Iterator[MariaDBServer]:
    """Start a server from the programs of :func:`find_programs`, and end it."""
    account = _unprivileged_account()
    as_account: dict[str, Any] = (
        {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    )
    # Not pytest's own folder: that is closed to other users, and a socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    data, log = folder / "data", folder / "log"
    server = MariaDBServer(port=_free_port())
    start = folder / "start.sql"
    # One statement a line, or only the first is run.
    start.write_text(
        f"create database {server.database} character set utf8mb4;\n"
        f"create user '{server.user}'@'%' identified by '{server.password}';\n"
        f"grant all on *.* to '{server.user}'@'%';\n"
    )
    if account:
        for path in (folder, start):
            os.chown(path, account.pw_uid, account.pw_gid)
    try:
        with log.open("wb") as output:

            def begin(*command: str) -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    # No configuration file of the machine's own.
                    [command[0], "--no-defaults", f"--datadir={data}", *command[1:]],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **as_account,
                )

            installing = begin(programs.install, "--auth-root-authentication-method=normal", "--skip-test-db")
            if installing.wait() != 0:
                raise RuntimeError(f"mariadb-install-db failed:\n{log.read_text(errors='replace')}")
            process = begin(
                programs.server,
                f"--port={server.port}",
                f"--bind-address={HOST}",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                f"--init-file={start}",
                "--skip-name-resolve",
                *FAST_AND_FORGETFUL,
            )
            try:
                _wait_until_it_answers(server, process, log)
                yield server
            finally:
                # Not gently: clients that a failed test left behind must not keep the server up.
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(server: MariaDBServer, process: subprocess.Popen[bytes], log: Path) -> None:
    # The init file has been run when the server says that it is ready.
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        if "ready for connections" in said:
            return
        if process.poll() is not None:
            raise RuntimeError(f"mariadbd ended with {process.returncode}:\n{said}")
        time.sleep(0.05)
    raise RuntimeError(
        f"mariadbd was not ready after {START_SECONDS:.0f} s:\n{log.read_text(errors='replace')}"
    )
