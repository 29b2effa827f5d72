"""
*Save* and *Test* in Airflow 3.3's UI, as its requests to Airflow's API: the answers are sentences of this package.

Airflow 3.3.2 answers 400 to *Test* where no port is stored, as the UI then sends 0; the form's label asks for 443.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.get_provider_info import FORM_FIELDS
from airflow_provider_moengage.sandbox import Sandbox
from tests.support.dag_runs import ROOT, airflow_environment, run_program

pytestmark = pytest.mark.airflow_3

PROGRAM = ROOT / "tests" / "hooks" / "ui_requests.py"
#: A port on which nothing listens: what is sent to MoEngage's own address ends there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def ui(migrated_database: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Save and test connections, each given by the fields that are filled in, in the form; return the answers."""

    def use(*filled_in: dict[str, Any]) -> list[dict[str, Any]]:
        home = tmp_path / "airflow"
        home.mkdir()
        shutil.copy(migrated_database, home / "airflow.db")
        environment = airflow_environment(
            home,
            AIRFLOW__CORE__TEST_CONNECTION="Enabled",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            HTTPS_PROXY=NOWHERE,
            PYTHONPATH=str(ROOT),
        )
        form = {name: field["schema"].get("default") for name, field in FORM_FIELDS.items()}
        connections = [
            {
                "conn_type": "moengage",
                "connection_id": f"moengage_{number}",
                **{name: value for name, value in fields.items() if name != "data_center"},
                "extra": {**form, "data_center": fields.get("data_center")},
            }
            for number, fields in enumerate(filled_in)
        ]
        printed = run_program(sys.executable, PROGRAM, json.dumps(connections), env=environment)
        outcomes: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
        assert all(one["save"] == 201 for one in outcomes)
        assert all(one["test"] == 200 for one in outcomes), outcomes
        return [one["answer"] for one in outcomes]

    return use


def test_a_connection_without_a_host_is_tested_with_the_port_that_the_form_asks_for(
    ui, moengage_sandbox: Sandbox
):
    credentials = {"login": "WORKSPACE", "password": "SECRETKEY"}
    sandbox = {name: moengage_sandbox.connection[name] for name in ("host", "port", "login", "password")}
    unreached, zero, no_centre, no_key, right, wrong = ui(
        {**credentials, "port": 443, "data_center": "03"},
        {**credentials, "port": 0, "data_center": "03"},
        {**credentials, "port": 443},
        {"login": "WORKSPACE", "port": 443, "data_center": "03"},
        sandbox,
        {**sandbox, "password": "ANOTHERKEY"},
    )
    for answer in (unreached, zero):
        assert answer["message"].startswith("No network, or no MoEngage there: api-03.moengage.com")
    assert no_centre["message"].startswith(
        "The data centre (extra data_center) is missing; use one of 01 (US)"
    )
    assert no_key["message"].startswith("The Data API key (the connection's password) is missing")
    assert right == {
        "status": True,
        "message": f"Connected to workspace '{moengage_sandbox.workspace_id}' at {moengage_sandbox.url}/v1",
    }
    assert wrong["message"].startswith(
        'MoEngage answered 401 Authentication required ("APP_KEY and APP_SECRET do not match"): check'
    )
    assert [answer["status"] for answer in (unreached, zero, no_centre, no_key, wrong)] == [False] * 5
