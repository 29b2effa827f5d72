"""
Whole DAGs in tests: each file runs in a process of its own, with an Airflow home of its own.

``from tests.support.dag_runs import airflow_forks, migrated_database, run_airflow, run_dag`` in a conftest makes the fixtures
available.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_programs import ROOT, ForkedPrograms, running_forks
from tests.support.leaks import watch

RUN_DAG = ROOT / "demo" / "run_dag.py"


def airflow_environment(home: Path, **variables: str) -> dict[str, str]:
    """What Airflow finds in its environment: a home, the given variables, and nothing of the caller's own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **variables,
    }


def run_program(*command: str | Path, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed; a failing one shows its whole output."""
    done = subprocess.run(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return _printed(command, done.returncode, done.stdout)


def _printed(command: tuple[str | Path, ...], exit_code: int, output: str) -> str:
    watch.output(output, Path(command[0]).name)
    assert exit_code == 0, f"{command} ended with {exit_code}:\n{output}"
    return output


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty metadata database: migrating takes seconds, copying its file does not."""
    home = tmp_path_factory.mktemp("airflow")
    run_program(sys.executable, "-m", "airflow", "db", "migrate", env=airflow_environment(home))
    return home / "airflow.db"


@pytest.fixture(scope="session")
def airflow_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedPrograms]:
    """Importing Airflow takes seconds, forking a process that has imported it does not."""
    environment = airflow_environment(tmp_path_factory.mktemp("forks"))
    with running_forks(tmp_path_factory.mktemp("printed"), environment) as forks:
        yield forks


@pytest.fixture
def run_airflow(airflow_forks: ForkedPrograms) -> Callable[..., str]:
    """
    Run a Python program that uses Airflow, with arguments, in an environment of :func:`airflow_environment`.

    Returns what it printed. Where importing Airflow is a part of what is tested, use :func:`run_program`.
    """

    def run(*command: str | Path, env: Mapping[str, str]) -> str:
        return _printed(command, *airflow_forks.run(*command, env=env))

    return run


@pytest.fixture
def run_dag(
    migrated_database: Path, run_airflow: Callable[..., str], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """
    Run the DAG of a file with ``dag.test()``.

    The result is the run's ``state`` and its ``tasks``: for each ``state``, ``report`` and what it
    ``returned``. Connections and
    other settings are given as environment variables, the run's configuration as `conf`, and the run's logical date in
    ISO 8601.
    """

    def run(
        dag_file: Path,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: str | None = None,
        **variables: str,
    ) -> dict[str, Any]:
        home = tmp_path / "airflow"
        home.mkdir(exist_ok=True)
        shutil.copy(migrated_database, home / "airflow.db")
        env = airflow_environment(home, AIRFLOW__CORE__DAGS_FOLDER=str(dag_file.parent), **variables)
        result = tmp_path / "result.json"
        date = [] if logical_date is None else [logical_date]
        run_airflow(RUN_DAG, dag_file, result, json.dumps(dict(conf or {})), *date, env=env)
        watch.database(home / "airflow.db")
        outcome: dict[str, Any] = json.loads(result.read_text())
        return outcome

    return run
