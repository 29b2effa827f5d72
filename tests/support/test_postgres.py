"""The PostgreSQL server that other tests read from: it is real, and Airflow's own hook reaches it."""

from __future__ import annotations

import os

import psycopg2
import pytest

from tests.support.postgres import PostgresServer, find_programs, new_database


def test_server_answers(postgres_server: PostgresServer) -> None:
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("select version(), current_setting('fsync')")
        version, fsync = cursor.fetchone()
    assert version.startswith("PostgreSQL ")
    assert fsync == "off"


def test_airflow_reaches_it_by_connection(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres_server.connection_json)
    assert PostgresHook(postgres_conn_id="warehouse").get_first("select 1") == (1,)


def test_no_file_of_tests_finds_the_tables_of_another(postgres_cluster: PostgresServer) -> None:
    for _ in range(2):
        with (
            psycopg2.connect(new_database(postgres_cluster).uri) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("create table customers (customer_id text)")


def test_initdb_alone_is_not_taken_for_a_server(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "initdb").write_text("#!/bin/sh\n")
    (tmp_path / "initdb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_programs() != tmp_path
