from __future__ import annotations

import ast
import inspect
import json
import sys
from pathlib import Path

from tests.support.dag_runs import ROOT, airflow_environment, run_program

EXAMPLES = ROOT / "example_dags"
PARSE = Path(__file__).with_name("parse.py")


def parsed(folder: Path, home: Path) -> dict:
    printed = run_program(sys.executable, PARSE, folder, env=airflow_environment(home))
    return json.loads(printed.splitlines()[-1])


def test_examples_parse_without_reaching_out(tmp_path):
    outcome = parsed(EXAMPLES, tmp_path)
    assert outcome["import_errors"] == {}
    assert outcome["calls"] == []
    assert outcome["dags"] == [
        "moengage_campaign_after_profiles",
        "moengage_churn_risk_cohort",
        "moengage_events_from_orders",
        "moengage_forget_users",
        "moengage_taskflow",
        "moengage_unset_after_churn",
        "moengage_users_changed_only",
        "moengage_users_from_file",
        "moengage_users_from_sql",
        "moengage_users_from_task",
        "moengage_users_in_shards",
        "moengage_users_nightly",
        "moengage_users_to_warehouse",
    ]


def test_the_ui_describes_every_example_and_every_parameter(tmp_path):
    shown = parsed(EXAMPLES, tmp_path)["shown"]
    documented = {file.stem: ast.get_docstring(ast.parse(file.read_text())) for file in EXAMPLES.glob("*.py")}
    assert all(documented.values())
    assert {name: inspect.cleandoc(dag["doc_md"] or "") for name, dag in shown.items()} == documented
    # One line in the list of DAGs.
    assert [name for name, dag in shown.items() if len((dag["description"] or "").splitlines()) != 1] == []
    params = {(name, param): text for name, dag in shown.items() for param, text in dag["params"].items()}
    assert params
    assert [param for param, text in params.items() if not text] == []


def test_a_file_that_reaches_out_would_be_seen(tmp_path):
    dags = tmp_path / "dags"
    dags.mkdir()
    # Airflow takes a file for a DAG file only where it names both.
    (dags / "reaches_out.py").write_text(
        "# airflow dag\nimport socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\n"
        "try:\n    from airflow.sdk import BaseHook\n"
        "except ImportError:\n    from airflow.hooks.base import BaseHook\n"
        "BaseHook.get_connection('moengage_default')\n"
    )
    outcome = parsed(dags, tmp_path / "home")
    assert [call.split()[0] for call in outcome["calls"]] == ["socket.connect", "get_connection"]
    assert "a connection is read while the file is parsed" in str(outcome["import_errors"])
