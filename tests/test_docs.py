"""The examples of the README are run as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.dag_runs import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(PYTHON.findall(page.read_text()))
]
DAGS = [block for block in BLOCKS if "@dag(" in str(block.values[0])]
TESTS = [block for block in BLOCKS if "\ndef test_" in str(block.values[0])]


def test_every_example_is_a_dag_or_a_test_and_so_is_run():
    assert {block.id for block in BLOCKS} == {block.id for block in (*DAGS, *TESTS)}


@pytest.mark.parametrize("example", DAGS)
def test_a_dag_of_the_docs_runs(example, run_dag, moengage_sandbox, sqlite_warehouse, tmp_path):
    sqlite_warehouse(
        """
        create table customers (customer_id text, plan_name text, lifetime_value real, last_order_at text);
        insert into customers values ('a1', 'gold', 12.5, '2026-01-31 18:05:00'), ('a2', null, 0, null);
        """
    )
    file = tmp_path / "example.py"
    file.write_text(example)
    outcome = run_dag(
        file,
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )
    assert outcome["state"] == "success"
    assert moengage_sandbox.users("a1")["a1"]["attributes"] == {
        "plan": "gold",
        "ltv": 12.5,
        "last_order": "2026-01-31T12:35:00Z",
    }
    assert moengage_sandbox.bent() == []


@pytest.mark.parametrize("example", TESTS)
def test_a_test_of_the_docs_passes(example, pytester: pytest.Pytester):
    pytester.makepyfile(example)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_docs_lead_somewhere(page: Path):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link
