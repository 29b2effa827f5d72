"""The MariaDB server that other tests read from: it is real, and Airflow's own hook reaches it."""

from __future__ import annotations

import pytest

from tests.support.mariadb import MariaDBServer, new_database

connector = pytest.importorskip("mysql.connector")


def test_server_answers(mariadb_server: MariaDBServer) -> None:
    with mariadb_server.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("select version(), database()")
        version, database = cursor.fetchone()
    assert "MariaDB" in version
    assert database == mariadb_server.database


@pytest.mark.parametrize(
    ("client", "module"), [("mysqlclient", "MySQLdb"), ("mysql-connector-python", "mysql.connector")]
)
def test_airflow_reaches_it_by_connection(
    mariadb_server: MariaDBServer, monkeypatch: pytest.MonkeyPatch, client: str, module: str
) -> None:
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    pytest.importorskip(module, reason=f"{client} is not installed")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", mariadb_server.connection_json(client=client))
    assert MySqlHook(mysql_conn_id="warehouse").get_first("select 1") == (1,)


def test_no_file_of_tests_finds_the_tables_of_another(mariadb_process: MariaDBServer) -> None:
    for _ in range(2):
        with new_database(mariadb_process).connect() as connection:
            connection.cursor().execute("create table customers (customer_id varchar(20))")
