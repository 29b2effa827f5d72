from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.clickhouse import clickhouse_server
from tests.support.dag_runs import airflow_forks, migrated_database, run_airflow, run_dag
from tests.support.mariadb import mariadb_process, mariadb_server
from tests.support.postgres import postgres_cluster, postgres_server
from tests.support.redis_server import own_redis_server, redis_server
from tests.support.s3_proxy import s3_proxy, weather
from tests.support.s3_server import lake, s3_server
from tests.support.watching import leaks, pytest_runtest_makereport, watched_suite

__all__ = [
    "airflow_forks",
    "clickhouse_server",
    "lake",
    "leaks",
    "mariadb_process",
    "mariadb_server",
    "migrated_database",
    "own_redis_server",
    "postgres_cluster",
    "postgres_server",
    "pytest_runtest_makereport",
    "redis_server",
    "run_airflow",
    "run_dag",
    "s3_proxy",
    "s3_server",
    "watched_suite",
    "weather",
]


# The same examples in every run, and no deadline, so that a change and neither chance nor a busy machine turns a test red;
# HYPOTHESIS_PROFILE=default explores.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "volume: sends or reads many rows, which takes seconds")
    config.addinivalue_line(
        "markers", "shows(kind, where, reason): shows on purpose what tests.support.leaks looks for"
    )


@pytest.fixture
def fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between repetitions are a matter of milliseconds."""
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.01)


@pytest.fixture
def sqlite_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run statements in the SQLite database of the connection ``warehouse``; with rows, once for each."""
    database = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{database}"}}')

    def run(statement: str, rows: Iterable[Iterable[Any]] | None = None) -> None:
        connection = sqlite3.connect(database)
        with connection:
            if rows is None:
                connection.executescript(statement)
            else:
                connection.executemany(statement, rows)
        connection.close()

    return run
