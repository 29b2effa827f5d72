"""The example DAGs as their readers run them: ``dag.test()``, here against the sandbox."""

from __future__ import annotations

import json
import runpy
import shutil
import sqlite3
import sys

import pytest

from tests.support.dag_runs import ROOT, airflow_environment, run_program
from tests.support.leaks import PERSON, watch

EXAMPLES = ROOT / "example_dags"

SHOP = f"""
create table customers (customer_id text, name text);
create table products (sku text, name text);
create table orders (id text, customer text, ordered_at text, order_total integer);
create table items (id text, order_id text, sku text);

insert into customers values ('c-1', '{PERSON}'), ('c-2', 'Ben');
insert into products values ('JAF-1', 'the krautback'), ('BEV-1', 'vanilla ice');
insert into orders values
    ('o-1', 'c-1', '2019-01-31T18:05:00', 1250),
    ('o-2', 'c-1', '2019-07-31T12:19:00', 2544);
insert into items values ('i-1', 'o-1', 'JAF-1'), ('i-2', 'o-2', 'JAF-1'), ('i-3', 'o-2', 'BEV-1');
"""


@pytest.fixture
def warehouse(tmp_path):
    """A shop of two customers, of whom one ordered twice and the other never."""
    connection = sqlite3.connect(tmp_path / "warehouse.db")
    connection.executescript(SHOP)
    yield connection
    connection.close()


@pytest.fixture
def push_from_sql(run_dag, moengage_sandbox, warehouse, tmp_path):
    def push():
        return run_dag(
            EXAMPLES / "moengage_users_from_sql.py",
            conf={"rejected_path": (tmp_path / "rejected").as_uri()},
            AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
            AIRFLOW_CONN_WAREHOUSE=json.dumps(
                {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
            ),
        )

    return push


def attributes(sandbox):
    return {customer_id: user["attributes"] for customer_id, user in sandbox.users().items()}


def test_users_from_task(run_dag, moengage_sandbox):
    outcome = run_dag(
        EXAMPLES / "moengage_users_from_task.py",
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    assert outcome["state"] == "success"
    report = outcome["tasks"]["push_users"]["report"]
    assert (report["read"], report["accepted"], report["rejected"], report["unsent"]) == (3, 3, 0, 0)
    assert attributes(moengage_sandbox)["c-1003"] == {
        "plan": "gold",
        "points": 365,
        "renewed": "2026-02-01T00:00:00Z",
    }


def test_taskflow(run_dag, moengage_sandbox, tmp_path):
    outcome = run_dag(
        EXAMPLES / "moengage_taskflow.py",
        conf={"staging_path": (tmp_path / "staged").as_uri()},
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    assert outcome["state"] == "success"
    assert outcome["tasks"]["sum_up"]["returned"] == 200
    assert outcome["tasks"]["push_customers[1]"]["report"]["accepted"] == 100
    sent = attributes(moengage_sandbox)
    assert len(sent) == 200
    assert {name: sent["south-0002"][name] for name in ("plan", "region")} == {
        "plan": "gold",
        "region": "south",
    }
    assert moengage_sandbox.users("south-0002")["south-0002"]["types"]["renewed"] == "datetime"
    # The copy was made, and is gone once the task has succeeded.
    assert (tmp_path / "staged").exists()
    assert not [path for path in (tmp_path / "staged").rglob("*") if path.is_file()]


def test_users_from_sql(push_from_sql, moengage_sandbox):
    outcome = push_from_sql()
    assert outcome["state"] == "success"
    assert outcome["tasks"]["push_customers"]["report"]["accepted"] == 2
    assert attributes(moengage_sandbox) == {
        "c-1": {
            "name": PERSON,
            "orders": 2,
            "lifetime_value": 37.94,
            "last_order": "2019-07-31T16:19:00Z",  # daylight saving time in New York
            "favourite_product": "the krautback",
        },
        "c-2": {"name": "Ben", "orders": 0, "lifetime_value": 0},
    }
    assert moengage_sandbox.users("c-1")["c-1"]["types"]["last_order"] == "datetime"


def test_users_from_sql_with_too_many_refused(push_from_sql, moengage_sandbox, warehouse, tmp_path):
    with warehouse:
        warehouse.execute("insert into customers values ('unknown', 'walk-in')")
    outcome = push_from_sql()
    # One of three is more than the example's 1 %: the others are delivered, then the run fails.
    assert outcome["state"] == "failed"
    report = outcome["tasks"]["push_customers"]["report"]
    assert (report["read"], report["accepted"], report["rejected"], report["unsent"]) == (3, 2, 1, 0)
    assert sorted(attributes(moengage_sandbox)) == ["c-1", "c-2"]
    (part,) = (path for path in (tmp_path / "rejected").rglob("*") if path.is_file())
    refused = json.loads(part.read_text())
    assert refused["position"] == 2
    assert refused["row"]["customer_id"] == "unknown"


def test_users_nightly(run_dag, moengage_sandbox, warehouse, tmp_path):
    folders = {name: (tmp_path / name).as_uri() for name in ("staging_path", "rejected_path")}
    outcome = run_dag(
        EXAMPLES / "moengage_users_nightly.py",
        conf=folders,
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert outcome["state"] == "success"
    report = outcome["tasks"]["push_customers"]["report"]
    assert (report["read"], report["accepted"], report["deferrals"]) == (2, 2, 0)
    assert set(attributes(moengage_sandbox)) == {"c-1", "c-2"}
    # The copy was made, and is gone once the task has succeeded.
    assert (tmp_path / "staging_path").exists()
    assert not [path for path in (tmp_path / "staging_path").rglob("*") if path.is_file()]


def test_users_in_shards(run_dag, moengage_sandbox, warehouse, tmp_path):
    # Every last digit, and what ends in none.
    ids = [f"customer-{number:02x}" for number in range(32)] + ["CUSTOMER-0F", "somebody", "a-z"]
    with warehouse:
        warehouse.execute("delete from customers")
        warehouse.executemany("insert into customers values (?, ?)", [[one, PERSON] for one in ids])
    outcome = run_dag(
        EXAMPLES / "moengage_users_in_shards.py",
        conf={"rejected_path": (tmp_path / "rejected").as_uri()},
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert outcome["state"] == "success"
    with sqlite3.connect(tmp_path / "airflow" / "airflow.db") as database:
        # What the grid shows in place of the map index.
        named = dict(
            database.execute(
                "select map_index, rendered_map_index from task_instance where task_id = 'push_customers'"
            )
        )
    assert named == {number: f"shard {number}" for number in range(8)}
    shards = [outcome["tasks"][f"push_customers[{number}]"]["report"] for number in range(8)]
    assert [report["accepted"] for report in shards] == [6, 4, 4, 4, 4, 4, 4, 5]
    sent = [element for call in moengage_sandbox.requests() for element in call["body"]["elements"]]
    assert sorted(element["customer_id"] for element in sent) == sorted(ids)
    assert attributes(moengage_sandbox) == {one: {"name": PERSON} for one in ids}
    assert outcome["tasks"]["sum_up"]["returned"] == {
        "read": len(ids),
        "accepted": len(ids),
        "rejected": 0,
        "unsent": 0,
    }


def test_users_in_shards_with_a_row_without_id(run_dag, moengage_sandbox, warehouse, tmp_path):
    with warehouse:
        warehouse.execute("insert into customers values (null, 'walk-in')")
    outcome = run_dag(
        EXAMPLES / "moengage_users_in_shards.py",
        conf={"rejected_path": (tmp_path / "rejected").as_uri()},
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    # It is no shard's by its id, and yet one has read and refused it; the others have delivered.
    assert outcome["state"] == "failed"
    assert outcome["tasks"]["push_customers[0]"]["report"]["reasons"] == {"customer_id is missing": 1}
    assert outcome["tasks"]["sum_up"]["state"] == "upstream_failed"
    assert sorted(attributes(moengage_sandbox)) == ["c-1", "c-2"]
    (part,) = (path for path in (tmp_path / "rejected").rglob("*") if path.is_file())
    assert part.parent.name == "0"


def test_a_customers_shard_is_the_same_on_postgresql(postgres_server):
    psycopg2 = pytest.importorskip("psycopg2")
    shard = runpy.run_path(str(EXAMPLES / "moengage_users_in_shards.py"))["SHARD"]
    ids = [None, "", "7", "0A", "0f", "c-1", "somebody", "ende-é"]
    query = f"select coalesce(customer_id, 'none'), {shard} from ids order by 1"
    make = "create table ids (customer_id text); insert into ids values "
    sqlite = sqlite3.connect(":memory:")
    sqlite.executescript(f"{make} (null), " + ", ".join(f"('{one}')" for one in ids[1:]))
    with psycopg2.connect(postgres_server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists ids; " + make + "(null)" + ", (%s)" * len(ids[1:]), ids[1:])
        cursor.execute(query)
        shards = dict(cursor.fetchall())
    connection.close()
    assert shards == dict(sqlite.execute(query).fetchall())
    assert shards == {"none": 0, "": 0, "7": 7, "0A": 2, "0f": 7, "c-1": 1, "somebody": 0, "ende-é": 0}
    sqlite.close()


def test_users_from_file(run_dag, moengage_sandbox):
    outcome = run_dag(
        EXAMPLES / "moengage_users_from_file.py",
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    assert outcome["state"] == "success"
    assert outcome["tasks"]["push_customers"]["report"]["accepted"] == 3
    assert attributes(moengage_sandbox)["customer-2002"] == {
        "email": "bruno@example.com",
        "account_status": "paused",
        "points": 0,
        "newsletter": False,
        "member_since": "2024-11-15",
    }


def test_another_file_is_a_matter_of_configuration(run_dag, moengage_sandbox, tmp_path):
    header, first = (EXAMPLES / "data" / "customers.csv").read_text().splitlines()[:2]
    export = tmp_path / "export.csv"
    export.write_text(f"{header}\n{first.replace('customer-2001', 'customer-9001')}\n")
    outcome = run_dag(
        EXAMPLES / "moengage_users_from_file.py",
        conf={"path": export.as_uri()},
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    assert outcome["state"] == "success"
    assert list(attributes(moengage_sandbox)) == ["customer-9001"]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_file_can_be_run_as_a_program(name):
    assert (EXAMPLES / name).read_text().endswith('if __name__ == "__main__":\n    dag.test()\n')


def test_a_file_run_as_a_program_pushes(migrated_database, moengage_sandbox, tmp_path):
    shutil.copy(migrated_database, tmp_path / "airflow.db")
    env = airflow_environment(
        tmp_path,
        AIRFLOW__CORE__DAGS_FOLDER=str(EXAMPLES),
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    run_program(sys.executable, "moengage_users_from_file.py", env=env, cwd=EXAMPLES)
    watch.database(tmp_path / "airflow.db")
    assert len(moengage_sandbox.users()) == 3
