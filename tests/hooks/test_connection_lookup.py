"""Which connection a parameter names: one that exists, of the right type; what is wrong is said of the parameter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageConnectionUnavailable, MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.support.dag_runs import ROOT, airflow_environment

PROGRAM = ROOT / "tests" / "hooks" / "look_up.py"
FIELDS = {"login": "WORKSPACE", "password": "SECRETKEY", "extra": {"data_center": "01"}}


def run(**parameters: Any) -> Any:
    """Run an operator whose connection is wrong; nothing is sent."""
    operator = MoEngageTrackUsersOperator(task_id="push", users=[{"customer_id": "ann"}], **parameters)
    return operator.execute({})


@pytest.fixture
def look_up(
    migrated_database: Path, run_airflow: Callable[..., str], tmp_path: Path
) -> Callable[..., dict[str, list[str]]]:
    """Run tasks with the connections of these ids, in an Airflow of their own; return how each ends: class and text."""

    def run_tasks(*ids: str, **variables: str) -> dict[str, list[str]]:
        home = tmp_path / "airflow"
        home.mkdir()
        shutil.copy(migrated_database, home / "airflow.db")
        environment = airflow_environment(home, PYTHONPATH=str(ROOT), **variables)
        printed = run_airflow(PROGRAM, *ids, env=environment)
        endings: dict[str, list[str]] = json.loads(printed.splitlines()[-1])
        return endings

    return run_tasks


def test_a_connection_that_does_not_exist_or_cannot_be_read_fails_without_a_retry(look_up):
    broken = {"json": '{"login": "WORKSPACE", "password": "SECRETKEY"', "uri": "a://b://SECRETKEY://c"}
    redis = json.dumps(
        {"conn_type": "moengage", **FIELDS, "extra": {"data_center": "01", "rate_limit_conn_id": "r"}}
    )
    variables = {f"AIRFLOW_CONN_{name.upper()}": text for name, text in broken.items()}
    endings = look_up("fast", *broken, "limited", **variables, AIRFLOW_CONN_LIMITED=redis)
    assert {kind for kind, _ in endings.values()} == {"MoEngageTaskFailed"}
    assert "SECRETKEY" not in str(endings)
    missing = endings["fast"][1]
    assert missing.startswith(
        "moengage_conn_id names the connection 'fast', which does not exist; create it, of type moengage: in the UI under "
        "Admin > Connections, with `airflow connections add fast --conn-type moengage …`, or as the environment variable "
        "AIRFLOW_CONN_FAST"
    )
    for name in broken:
        assert endings[name][1].startswith(
            f"moengage_conn_id names the connection {name!r}, but the environment variable "
            f"AIRFLOW_CONN_{name.upper()} holds neither a URI nor JSON that Airflow can read"
        )
    assert endings["limited"][1].startswith(
        "Connection 'limited': extra rate_limit_conn_id names the connection 'r', which does not exist; create it, of "
        "type redis"
    )


@pytest.mark.parametrize(
    ("backend", "kind", "said"),
    [
        (
            "UnreachableBackend",
            "MoEngageIncompleteRun",
            "as these secrets backends failed: UnreachableBackend (Conn",
        ),
        ("EmptyBackend", "MoEngageTaskFailed", "'fast', which does not exist"),
    ],
)
def test_a_secrets_backend_that_does_not_answer_leaves_it_to_a_retry(
    look_up, backend: str, kind: str, said: str
):
    ((found, text),) = look_up("fast", AIRFLOW__SECRETS__BACKEND=f"tests.hooks.look_up.{backend}").values()
    assert found == kind
    assert "moengage_conn_id names the connection 'fast'" in text
    assert said in text


@pytest.mark.parametrize("conn_id", ["", " ", None])
def test_an_id_that_rendered_to_nothing_fails_without_a_retry(conn_id: str | None):
    with pytest.raises(
        MoEngageTaskFailed, match=f"^moengage_conn_id is {conn_id!r}; name a connection of type"
    ):
        run(moengage_conn_id=conn_id)


def test_a_connection_of_another_type_fails_without_a_retry(monkeypatch: pytest.MonkeyPatch):
    web = {**FIELDS, "conn_type": "http", "host": "web.example.com"}
    monkeypatch.setenv("AIRFLOW_CONN_WEB", json.dumps(web))
    with pytest.raises(MoEngageTaskFailed) as caught:
        run(moengage_conn_id="web")
    assert str(caught.value).startswith(
        "moengage_conn_id names the connection 'web', which is of type 'http'; name one of type moengage"
    )
    assert "SECRETKEY" not in str(caught.value)


@pytest.mark.parametrize("connection", [json.dumps(FIELDS), "//WORKSPACE:SECRETKEY@/?data_center=01"])
def test_a_connection_without_a_type_is_taken(connection: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_UNTYPED", connection)
    assert MoEngageHook("untyped").workspace.base_url == "https://api-01.moengage.com/v1"


@pytest.mark.airflow_3
@pytest.mark.parametrize(
    ("error", "kind"),
    [("API_SERVER_ERROR", MoEngageConnectionUnavailable), ("CONNECTION_NOT_FOUND", MoEngageParameterError)],
)
def test_an_api_server_that_does_not_answer_leaves_it_to_a_retry(
    error: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
):
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    supervisor = SimpleNamespace(send=lambda request: ErrorResponse(error=ErrorType[error]))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    with pytest.raises(kind, match="'fast'") as caught:
        MoEngageHook("fast").workspace  # noqa: B018
    assert ("ExecutionAPISecretsBackend (API_SERVER_ERROR)" in str(caught.value)) is (
        kind is MoEngageConnectionUnavailable
    )
