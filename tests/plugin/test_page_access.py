"""The live page as Airflow's API app serves it: only to those who may see the task."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.plugin import LazyApp
from tests.support.dag_runs import ROOT, airflow_environment, run_program

pytestmark = pytest.mark.airflow_3

PROGRAM = ROOT / "tests" / "plugin" / "page_requests.py"
PAGE = ROOT / "airflow_provider_moengage" / "plugin" / "sync.html"


@pytest.fixture
def answers(migrated_database: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return what the API app answers, in an Airflow with these settings."""

    def ask(**settings: str) -> dict[str, Any]:
        home = tmp_path / "airflow"
        (home / "plugins").mkdir(parents=True)
        shutil.copy(migrated_database, home / "airflow.db")
        # Airflow takes a plugin of one name once: here it needs not be installed.
        (home / "plugins" / "moengage.py").write_text(
            "from airflow_provider_moengage.plugin import MoEngagePlugin\n"
        )
        environment = airflow_environment(home, PYTHONPATH=str(ROOT), **settings)
        printed = run_program(sys.executable, PROGRAM, env=environment)
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found

    return ask


def test_every_route_checks_access(answers):
    found = answers()
    assert {name: found[name] for name in ("anyone", "wrong cookie", "nobody", "nobody's cookie")} == {
        "anyone": 401,
        "wrong cookie": 403,
        "nobody": 403,
        "nobody's cookie": 403,
    }
    assert (found["bearer"], found["cookie"]) == (200, 200)
    assert set(found["others"].values()) == {404}
    assert set(found["methods"].values()) == {405}
    assert found["text"] == PAGE.read_text()
    policy = found["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    (view,) = found["plugins"]
    assert view["destination"] == "task_instance"
    assert view["href"].startswith("/moengage/sync/{DAG_ID}/{RUN_ID}/{TASK_ID}")


def test_a_path_before_airflow_is_the_page_s_too(answers):
    found = answers(AIRFLOW__API__BASE_URL="http://127.0.0.1/team/airflow")
    assert (found["anyone"], found["nobody"], found["cookie"]) == (401, 403, 200)
    (view,) = found["plugins"]
    assert view["href"].startswith("/team/airflow/moengage/sync/{DAG_ID}/")


def test_the_app_is_built_once_it_is_called():
    assert vars(LazyApp()) == {"_app": None}
