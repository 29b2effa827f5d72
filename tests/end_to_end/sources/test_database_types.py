"""Every type of every database becomes what docs/databases.md says."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.read.sql import SqlSource
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.support.clickhouse import ClickHouseServer
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer
from tests.support.type_tables import (
    REJECTED,
    ZONE,
    Example,
    differences,
    examples,
    inserts,
    table,
    types,
    with_driver,
    written,
)

SOURCE = {"sql": "select * from examples", "sql_conn_id": "warehouse"}
#: Types of the page's table that a database has to be taught first.
POSTGRES_TYPES = (
    "drop table if exists examples",
    "drop type if exists plan, address",
    "drop domain if exists points",
    "create type plan as enum ('free', 'gold')",
    "create domain points as integer check (value >= 0)",
    "create type address as (city text, code integer)",
)
#: PostgreSQL's types that no table of a user's has.
INTERNAL = re.compile(r"reg\w+|pg_(?!lsn)\w+|gtsvector|.*snapshot|[ctx]id|.*vector|aclitem|refcursor|_.*")

#: ClickHouse's types that chdb-core-lite does not convert to.
NOT_IN_LITE = frozenset({"Int128", "Int256", "UInt128", "UInt256", "BFloat16", "Decimal(76, 2)"})


def filled(connection: Any, *statements: str) -> None:
    with closing(connection), closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


@pytest.fixture
def postgres(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres_server.connection_json)
    return postgres_server


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_postgres(
    track: Tracker, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str
):
    psycopg2 = pytest.importorskip("psycopg2")
    hook = pytest.importorskip("airflow.providers.postgres.hooks.postgres")
    if driver == "psycopg":
        pytest.importorskip("psycopg")
        if not getattr(hook, "USE_PSYCOPG3", False):
            pytest.skip("the hook of this Airflow does not use psycopg 3")
    monkeypatch.setattr(hook, "USE_PSYCOPG3", driver == "psycopg", raising=False)
    told = examples("PostgreSQL") if driver == "psycopg" else with_driver("PostgreSQL", "psycopg2")
    filled(psycopg2.connect(postgres.uri), *POSTGRES_TYPES, table(told), *inserts(told))
    assert differences(track, tmp_path, told, **SOURCE) == []


def test_all_types_of_postgres_are_told(postgres: PostgresServer):
    psycopg2 = pytest.importorskip("psycopg2")
    with closing(psycopg2.connect(postgres.uri)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(
            "select format_type(oid, null) from pg_type where typtype in ('b', 'r', 'm') and typelem = 0 "
            "and typnamespace = 'pg_catalog'::regnamespace"
        )
        known = {name for (name,) in cursor.fetchall() if not INTERNAL.fullmatch(name)}
    aliases = {"varchar": "character varying", "char": "character", "varbit": "bit varying"} | {
        kind: f"{kind.removesuffix('tz')} {'with' if kind.endswith('tz') else 'without'} time zone"
        for kind in ("time", "timetz", "timestamp", "timestamptz")
    }
    assert known - {aliases.get(name, name) for name in types("PostgreSQL")} == set()


@pytest.mark.parametrize("client", ["mysqlclient", "mysql-connector-python"])
def test_mariadb(
    track: Tracker,
    mariadb_server: MariaDBServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    client: str,
):
    pytest.importorskip("airflow.providers.mysql.hooks.mysql")
    if client == "mysqlclient":
        pytest.importorskip("MySQLdb", reason="mysqlclient is not there")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", mariadb_server.connection_json(client=client))
    told = examples("MySQL and MariaDB")
    if client != "mysqlclient":
        told = with_driver("MySQL and MariaDB", client)
    filled(
        mariadb_server.connect(),
        # Or it would take no impossible dates.
        "set session sql_mode = ''",
        "drop table if exists examples",
        table(told, null=" null"),
        *inserts(told),
    )
    assert differences(track, tmp_path, told, **SOURCE) == []


def test_sqlite(track: Tracker, sqlite_warehouse: Callable[..., None], tmp_path: Path):
    told = examples("SQLite")
    filled(sqlite3.connect(tmp_path / "warehouse.db"), table(told), *inserts(told))
    assert differences(track, tmp_path / "rejected", told, **SOURCE) == []


@pytest.fixture
def duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("duckdb")
    pytest.importorskip("airflow.providers.duckdb")
    connection = {"conn_type": "duckdb", "host": str(tmp_path / "warehouse.duckdb")}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    return module


def test_duckdb(track: Tracker, duckdb: Any, tmp_path: Path):
    told = examples("DuckDB")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        for statement in (table(told), *inserts(told)):
            connection.execute(statement)
    assert differences(track, tmp_path / "rejected", told, **SOURCE) == []


def test_all_types_of_duckdb_are_told(duckdb: Any):
    with duckdb.connect() as connection:
        found = connection.execute("select distinct lower(logical_type) from duckdb_types()").fetchall()
    aliases = {"timestamp with time zone": "timestamptz", "list": "integer[]", "array": "integer[3]"}
    known = {aliases.get(name, name) for (name,) in found} - {"null", "type"}
    assert known - types("DuckDB") == set()


def has(example: Example) -> bool:
    """Whether the engine that is installed has a type: chdb-core has them all, chdb-core-lite is smaller."""
    return example.type not in NOT_IN_LITE or bool(list(distributions(name="chdb-core")))


def cast(example: Example) -> str:
    return f"cast({example.literal} as {example.type})"


def test_clickhouse(track: Tracker, clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", clickhouse_server.connection_json)
    told = [example for example in examples("ClickHouse") if has(example)]
    good = [example for example in told if example.becomes != REJECTED]
    # Most of its types have no NULL, so they stand in one row.
    columns = ", ".join(f"{cast(example)} as value_{number}" for number, example in enumerate(good))
    sql = f"select 'ann' as customer_id, {columns}"
    assert outcome(track(sql=sql, sql_conn_id="warehouse", timezone=ZONE)) == (1, 0, 0)
    stored = track.attributes()["ann"]
    assert [written(stored, f"value_{n}") for n in range(len(good))] == [one.becomes for one in good]
    bad = [example for example in told if example.becomes == REJECTED]
    columns = ", ".join(f"{cast(example)} as value_{number}" for number, example in enumerate(bad))
    report = track(
        sql=f"select 'ben' as customer_id, {columns}", on_bad_attribute="drop", sql_conn_id="warehouse"
    )
    assert track.attributes()["ben"] == {}
    assert set(report["dropped"]) == {f"value_{n}" for n in range(len(bad))}


def test_all_types_of_clickhouse_are_told(
    clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", clickhouse_server.connection_json)
    families = SqlSource(
        "warehouse", "select lower(name) as name from system.data_type_families where alias_to = ''"
    )
    known = {row["name"] for row in families.rows(lambda columns: None)}
    # Of these the page has one of a kind, or says that they cannot be read; the last needs a newer engine.
    alike = re.compile(
        r"interval\w+|decimal\d*|enum|datetime32|nullable|nothing|multipoint|geometry|aggregatefunction|qbit"
    )
    assert {name for name in known if not alike.fullmatch(name)} - types("ClickHouse") == set()
