"""The recipes of the documentation are run as they stand there, and what arrives is looked at."""

from __future__ import annotations

import json
import shlex
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox, running_sandbox
from faults.quick_start import OUTPUT, terminals
from faults.quick_start_page import DOCS, blocks_of
from tests.support.dag_runs import ROOT, airflow_environment
from tests.test_docs import on_this_airflow

PAGE = DOCS / "recipes.md"
RECIPES = {block.title: block.text for block in blocks_of(PAGE) if block.language == "python"}
CI_TEST = "tests/test_changed_customers.py"
(CI_COMMANDS,) = (
    block.text for block in blocks_of(PAGE) if block.language == "bash" and "pytest" in block.text
)
TESTED = {CI_TEST}
CUSTOMERS = """
create table customers (customer_id text, plan_name text, lifetime_value real, last_order_at text, country text);
insert into customers values
    ('a1', 'gold', 1200.5, '2026-01-31 18:05:00', 'IN'), ('a2', null, 0, null, 'DE'), ('a3', 'silver', 10, null, 'IN');
"""


def of_recipe(title: str) -> pytest.MarkDecorator:
    """Run the DAG of a recipe with the fixture ``run_recipe``."""
    TESTED.add(title)
    return pytest.mark.parametrize("run_recipe", [title], indirect=True)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None)
    connection.executescript(CUSTOMERS)
    yield connection
    connection.close()


@pytest.fixture
def run_recipe(
    request: pytest.FixtureRequest,
    run_dag: Callable[..., dict[str, Any]],
    moengage_sandbox: Sandbox,
    warehouse: sqlite3.Connection,
    tmp_path: Path,
) -> Callable[..., dict[str, Any]]:
    """Run a recipe's DAG, and return its tasks; only the folder for output is another than on the page."""
    file = tmp_path / request.param
    file.parent.mkdir()
    file.write_text(on_this_airflow(RECIPES[request.param]).replace(OUTPUT, str(tmp_path / "moengage")))

    def run(state: str = "success", **options: str) -> dict[str, Any]:
        settings = {
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": moengage_sandbox.connection_json,
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(
                {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
            ),
            "AIRFLOW__MOENGAGE__SNAPSHOT_PATH": (tmp_path / "snapshots").as_uri(),
        }
        outcome = run_dag(file, **{**settings, **options})
        assert outcome["state"] == state
        tasks: dict[str, Any] = outcome["tasks"]
        return tasks

    return run


def program(path: Path, text: str) -> None:
    """Write a program that a test uses in place of one that is not installed."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


@of_recipe("dags/customers_after_dbt.py")
def test_customers_are_sent_after_dbt_has_built_them(
    run_recipe, moengage_sandbox, warehouse, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    called = tmp_path / "called.json"
    program(tmp_path / "dbt", "import sys; sys.exit('a test of the model failed')")
    tasks = run_recipe("failed")
    assert tasks["push_customers"]["state"] == "upstream_failed"
    assert moengage_sandbox.users() == {}

    program(
        tmp_path / "dbt",
        f"import json, sqlite3, sys\njson.dump(sys.argv[1:], open({str(called)!r}, 'w'))\n"
        f"with sqlite3.connect({str(tmp_path / 'warehouse.db')!r}) as warehouse:\n"
        "    warehouse.execute(\"update customers set plan_name = 'platinum' where customer_id = 'a1'\")\n",
    )
    run_recipe()
    assert json.loads(called.read_text())[0] == "build"
    assert moengage_sandbox.users("a1")["a1"]["attributes"] == {
        "plan": "platinum",
        "ltv": 1200.5,
        "last_order": "2026-01-31T18:05:00Z",
    }
    assert sorted(moengage_sandbox.users()) == ["a1", "a2", "a3"]
    assert moengage_sandbox.bent() == []


@of_recipe("dags/changed_customers.py")
def test_only_changed_users_are_sent(run_recipe, moengage_sandbox, warehouse):
    def push(**conf: Any) -> tuple[int, ...]:
        report = run_recipe(conf=conf)["push_customers"]["report"]
        return report["accepted"], report["unchanged"], report["removed"], report["requests"]

    warehouse.executemany("insert into customers (customer_id) values (?)", [(f"b{n}",) for n in range(30)])
    assert push() == (33, 0, 0, 33)
    warehouse.execute("update customers set plan_name = 'gold' where customer_id = 'a2'")
    warehouse.execute("delete from customers where customer_id = 'a3'")
    assert push() == (1, 31, 1, 2)
    assert moengage_sandbox.users("a2")["a2"]["attributes"] == {"plan": "gold", "customer": True}
    assert moengage_sandbox.users("a3")["a3"]["attributes"] == {"plan": "silver", "customer": False}
    assert push(full_resync=True) == (32, 0, 0, 32)
    assert moengage_sandbox.bent() == []


@of_recipe("dags/big_spenders.py")
def test_a_cohort_has_the_members_of_the_query(run_recipe, moengage_sandbox, warehouse):
    def members() -> list[str]:
        run_recipe()
        found: list[str] = moengage_sandbox.cohorts()["big-spenders"]["members"]
        return found

    assert members() == ["a1"]
    warehouse.execute("update customers set lifetime_value = 3000 where customer_id in ('a2', 'a3')")
    assert members() == ["a1", "a2", "a3"]
    warehouse.execute("update customers set lifetime_value = 3 where customer_id = 'a1'")
    assert members() == ["a2", "a3"]
    assert moengage_sandbox.bent() == []


@of_recipe("dags/orders_as_events.py")
def test_each_run_of_a_backfill_sends_the_events_of_its_own_day(run_recipe, moengage_sandbox, warehouse):
    warehouse.executescript(
        """
        create table orders (customer_id text, ordered_at text, total real);
        insert into orders values
            ('a1', '2026-01-01 00:00:00', 1), ('a1', '2026-01-02 23:59:59', 3), ('a1', '2026-01-02 08:00:00', 2),
            ('a1', '2026-01-03 00:00:00', 4);
        """
    )
    sent = []
    # A run at midnight is for the day before it.
    for day in ("2026-01-02", "2026-01-03"):
        run_recipe(logical_date=f"{day}T00:00:00+00:00")
        sent.append([event["attributes"]["total"] for event in moengage_sandbox.events("a1")])
    assert sent == [[1], [1, 2, 3]]
    times = [event["time"] for event in moengage_sandbox.events("a1")]
    assert times[1:] == ["2026-01-02T08:00:00Z", "2026-01-02T23:59:59Z"]
    assert moengage_sandbox.bent() == []


@of_recipe("dags/customers_of_all_countries.py")
def test_each_workspace_gets_its_own_users(run_recipe, moengage_sandbox, warehouse):
    with running_sandbox(workspace_id="GERMANY", api_key="key of Germany") as germany:
        tasks = run_recipe(
            AIRFLOW_CONN_MOENGAGE_INDIA=moengage_sandbox.connection_json,
            AIRFLOW_CONN_MOENGAGE_GERMANY=germany.connection_json,
        )
        assert sorted(tasks) == ["push_customers[0]", "push_customers[1]"]
        assert sorted(moengage_sandbox.users()) == ["a1", "a3"]
        assert sorted(germany.users()) == ["a2"]
        assert moengage_sandbox.bent() == germany.bent() == []


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    """A webhook on this machine: its address, and the texts that it was sent."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", texts
        server.shutdown()


@of_recipe("dags/customers_with_alerts.py")
def test_somebody_is_told_of_rejected_rows(run_recipe, moengage_sandbox, warehouse, webhook):
    address, texts = webhook
    settings = {"AIRFLOW_VAR_ALERTS_WEBHOOK": address, "NO_PROXY": "127.0.0.1"}
    warehouse.executemany("insert into customers (customer_id) values (?)", [(f"b{n}",) for n in range(196)])
    run_recipe(**settings)
    assert texts == []

    warehouse.execute("insert into customers (plan_name) values ('gold')")
    run_recipe(**settings)
    assert len(texts) == 1
    assert texts[0].startswith("1 of 200 rows rejected: customer_id is missing (1). file://")

    warehouse.execute("insert into customers (plan_name) values ('gold'), ('silver')")
    tasks = run_recipe("failed", **settings)
    assert tasks["tell_of_rejected_rows"]["state"] == "upstream_failed"
    assert len(texts) == 2
    assert texts[1].startswith("push_customers failed: 3 of 202 rows")
    assert len(moengage_sandbox.users()) == 199
    assert moengage_sandbox.bent() == []


def test_the_test_for_ci_passes_with_the_commands_of_the_page(tmp_path, migrated_database):
    folder = tmp_path / "project"
    for title in ("dags/changed_customers.py", CI_TEST):
        file = folder / title
        file.parent.mkdir(parents=True)
        file.write_text(on_this_airflow(RECIPES[title]))
    programs = tmp_path / "bin"
    programs.mkdir()
    # The environment of this test has what pip would install. Migrating takes seconds, a copy of the database does not.
    program(programs / "pip", "")
    program(
        programs / "airflow",
        "import os, shutil, sys\nassert sys.argv[1:] == ['db', 'migrate']\nhome = os.environ['AIRFLOW_HOME']\n"
        f"os.makedirs(home)\nshutil.copy({str(migrated_database)!r}, os.path.join(home, 'airflow.db'))\n",
    )
    environment = airflow_environment(tmp_path / "elsewhere", PYTHONPATH="")
    environment["PATH"] = f"{programs}:{Path(sys.executable).parent}:{environment['PATH']}"
    commands = CI_COMMANDS.replace(
        'PYTHONPATH="$PWD/dags"', f'PYTHONPATH="$PWD/dags":{shlex.quote(str(ROOT))}'
    )
    with terminals(folder, environment) as (terminal, _):
        printed = terminal.run(commands, 240)
    assert "2 passed" in printed


def test_every_recipe_is_run() -> None:
    assert set(RECIPES) == TESTED
