"""A program that is forked is as if it had been started by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.dag_runs import airflow_environment
from tests.support.forked_programs import ForkedPrograms

PROGRAM = """
import json
import os
import sys

print(json.dumps({"own": [name for name in sys.modules if name.startswith("airflow_provider_moengage")]}))
from airflow import settings
from airflow.configuration import conf

print(json.dumps({
    "arguments": sys.argv[1:],
    "name": __name__,
    "folders": sys.path[:2],
    "variable": os.environ.get("VARIABLE"),
    "database": str(settings.engine.url),
    "setting": conf.get("core", "dags_folder"),
    "logs": conf.get("logging", "base_log_folder"),
}))
print(1 / int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return program


def test_it_has_the_environment_and_the_airflow_home_that_it_is_given(
    airflow_forks: ForkedPrograms, program: Path, tmp_path: Path
):
    for home, variable in ((tmp_path / "first", "one"), (tmp_path / "second", None)):
        given = {"PYTHONPATH": str(home)} | ({} if variable is None else {"VARIABLE": variable})
        code, printed = airflow_forks.run(program, "1", "two", env=airflow_environment(home, **given))
        own, seen, _ = map(json.loads, printed.splitlines())
        assert code == 0
        # Airflow itself imports what it is to know of a provider; the first to import more is the program.
        described = ("decorators", "get_provider_info", "operators", "sensors", "triggers")
        assert set(own["own"]) <= {
            "airflow_provider_moengage",
            *(f"airflow_provider_moengage.{name}" for name in described),
        }
        assert seen == {
            "arguments": ["1", "two"],
            "name": "__main__",
            "folders": [str(tmp_path), str(home)],
            "variable": variable,
            "database": f"sqlite:///{home}/airflow.db",
            "setting": f"{home}/dags",
            "logs": f"{home}/logs",
        }


def test_what_it_printed_and_its_exit_code_are_known_where_it_fails(
    airflow_forks: ForkedPrograms, program: Path, tmp_path: Path
):
    code, printed = airflow_forks.run(program, "0", env=airflow_environment(tmp_path))
    assert code == 1
    assert "ZeroDivisionError" in printed
