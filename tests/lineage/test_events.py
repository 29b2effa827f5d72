"""The events that Airflow's OpenLineage provider writes of a task, in whole runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.lineage.conftest import Event
from tests.support.leaks import PERSON
from tests.support.postgres import PostgresServer

Run = Callable[..., tuple[dict[str, Any], list[Event]]]

SHOP = f"""
drop schema if exists shop cascade; drop table if exists customers; create schema shop;
create table customers (customer_id text, name text, plan_name text, region text);
create table shop."Orders" (customer_id text, at timestamptz);
insert into customers values ('c-1', '{PERSON}', 'gold', 'north'), ('c-2', 'Ben', 'free', 'north'), (null, '{PERSON}', 'free', 'north'),
    ('c-9', 'Dee', 'free', 'south');
insert into shop."Orders" values ('c-1', '2026-01-31T18:05:00Z'), ('c-1', '2026-02-01T08:00:00Z');
"""
PUSH = '''
    MoEngageTrackUsersOperator(
        task_id="push",
        sql="""
            with o as (select customer_id, max(at) as at from shop."Orders" group by 1)
            select c.customer_id, c.plan_name, upper(c.name) as shout, o.at as last_order_at, 'no secret' as remark
            from customers c left join o using (customer_id)
            where c.region = %(region)s and c.name not like 'Zoe%%'
            order by 1
        """,
        sql_conn_id="warehouse",
        parameters={"region": "north"},
        attributes={"plan": "plan_name", "name": "shout", "last_order": "last_order_at"},
        max_rejected=MAX_REJECTED,
    )
'''


@pytest.fixture
def warehouse(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute(SHOP)
    connection.close()
    yield postgres_server
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("drop schema shop cascade; drop table customers")
    connection.close()


def columns_of(output: Event) -> dict[str, list[str]]:
    """Return attribute → columns, as table and column."""
    fields = output["facets"]["columnLineage"]["fields"]
    return {
        name: [f"{one['name']}.{one['field']}" for one in field["inputFields"]]
        for name, field in fields.items()
    }


def test_a_query_leads_to_attributes(
    run_with_lineage: Run, warehouse: PostgresServer, moengage_sandbox: Sandbox
):
    outcome, events = run_with_lineage(
        PUSH.replace("MAX_REJECTED", "1"), AIRFLOW_CONN_WAREHOUSE=warehouse.connection_json
    )
    assert outcome["state"] == "success"
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    for event in events:
        database = f"postgres://127.0.0.1:{warehouse.port}"
        assert [(one["namespace"], one["name"]) for one in event["inputs"]] == [
            (database, f"{warehouse.dbname}.public.customers"),
            (database, f"{warehouse.dbname}.shop.Orders"),
        ]
        (output,) = event["outputs"]
        workspace = json.loads(moengage_sandbox.connection_json)
        assert output["namespace"] == f"moengage://127.0.0.1:{workspace['port']}"
        assert output["name"] == f"{workspace['login']}/users"
        assert columns_of(output) == {
            "customer_id": [f"{warehouse.dbname}.public.customers.customer_id"],
            "plan": [f"{warehouse.dbname}.public.customers.plan_name"],
            "name": [f"{warehouse.dbname}.public.customers.name"],
            "last_order": [f"{warehouse.dbname}.shop.Orders.at"],
        }
        # Its literals may be somebody's.
        assert "sql" not in event["job"]["facets"]
        # Airflow's own facet has them, which the page on lineage says.
        assert event["run"]["facets"]["airflow"]["task"]["parameters"] == {"region": "north"}
        assert "no secret" not in json.dumps(event)
        assert PERSON not in json.dumps(event)
    start, complete = (event["outputs"][0] for event in events)
    assert "outputStatistics" not in start["outputFacets"]
    assert complete["outputFacets"]["outputStatistics"]["rowCount"] == 2
    (assertion,) = complete["facets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["assertion"], assertion["success"]) == ("max_rejected", True)
    assert (assertion["expected"], assertion["actual"]) == ("1", "1")


def test_a_failed_task_has_its_counts_and_no_values(run_with_lineage: Run, warehouse: PostgresServer):
    outcome, events = run_with_lineage(
        PUSH.replace("MAX_REJECTED", "0"), AIRFLOW_CONN_WAREHOUSE=warehouse.connection_json
    )
    assert outcome["state"] == "failed"
    assert [event["eventType"] for event in events] == ["START", "FAIL"]
    (output,) = events[1]["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    (assertion,) = output["facets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["success"], assertion["actual"]) == (False, "1")
    assert columns_of(output)["plan"] == [f"{warehouse.dbname}.public.customers.plan_name"]
    assert "1 of 3 rows was rejected" in events[1]["run"]["facets"]["errorMessage"]["message"]
    assert PERSON not in json.dumps(events)


def test_the_deployment_may_add_the_text_of_a_query(run_with_lineage: Run, warehouse: PostgresServer):
    _, events = run_with_lineage(
        PUSH.replace("MAX_REJECTED", "1"),
        AIRFLOW_CONN_WAREHOUSE=warehouse.connection_json,
        AIRFLOW__MOENGAGE__LINEAGE_SQL="True",
    )
    assert "'no secret' as remark" in events[1]["job"]["facets"]["sql"]["query"]
    assert "c.region = %(region)s" in events[1]["job"]["facets"]["sql"]["query"]


def test_the_database_is_asked_nothing_for_it(run_with_lineage: Run, warehouse: PostgresServer):
    connection = psycopg2.connect(warehouse.uri)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("alter system set log_statement = 'all'")
        cursor.execute("alter system set log_connections = 'on'")
        cursor.execute("select pg_reload_conf()")

    def logged(**variables: str) -> list[str]:
        before = len(warehouse.log.read_text())
        run_with_lineage(
            PUSH.replace("MAX_REJECTED", "1"),
            AIRFLOW_CONN_WAREHOUSE=warehouse.connection_json,
            **variables,
        )
        text = warehouse.log.read_text()[before:]
        lines = re.findall(r"LOG:  (statement: .*|connection authorized: .*)", text)
        # A cursor's name is another one each time.
        return [re.sub(r'"c_[0-9a-f]+_\d+"', "CURSOR", line) for line in lines]

    try:
        with_events = logged()
        without = logged(AIRFLOW__OPENLINEAGE__DISABLED="True")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("alter system reset all")
            cursor.execute("select pg_reload_conf()")
        connection.close()
    assert sum(line.startswith("connection") for line in with_events) == 1
    assert with_events == without


DEFERRED = """
    MoEngageTrackUsersOperator(
        task_id="push",
        sql="select customer_id, plan from customers",
        sql_conn_id="warehouse",
        staging_path="STAGED",
        deferrable=True,
        defer_threshold=0.5,
    )
"""


def test_the_counts_are_those_of_all_parts_of_a_deferred_task(
    run_with_lineage: Run, moengage_sandbox: Sandbox, sqlite_warehouse: Callable[..., None], tmp_path: Path
):
    sqlite_warehouse("create table customers (customer_id text, plan text)")
    sqlite_warehouse("insert into customers values (?, 'gold')", [[f"user-{n}"] for n in range(50)])
    moengage_sandbox.settings(users_per_minute=20, window_seconds=3.0)
    outcome, events = run_with_lineage(
        DEFERRED.replace("STAGED", (tmp_path / "staged").as_uri()),
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert outcome["tasks"]["push"]["report"]["deferrals"] >= 1
    last = events[-1]
    assert last["eventType"] == "COMPLETE"
    assert [(one["namespace"], one["name"]) for one in last["inputs"]] == [
        (f"sqlite://{tmp_path}/warehouse.db", "customers")
    ]
    (output,) = last["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 50
    assert columns_of(output) == {"customer_id": ["customers.customer_id"], "plan": ["customers.plan"]}
