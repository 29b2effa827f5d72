"""The links of a task in Airflow's UI."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest

from airflow_provider_moengage.decorators.users import _TrackUsersDecoratedOperator
from airflow_provider_moengage.delivery.account import live_progress
from airflow_provider_moengage.links import (
    _LINKS,
    MoEngageDashboardLink,
    MoEngageRejectedRowsLink,
    console_url,
)
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tracker import TaskInstance
from tests.support.dag_runs import airflow_environment
from tests.support.waiting import wait_until

AIRFLOW_3 = int(airflow.__version__.partition(".")[0]) >= 3
WORKSPACE = {"conn_type": "moengage", "login": "W1", "password": "key-of-w1", "extra": {"data_center": "3"}}
TASK = SimpleNamespace(
    dag_id="sync", run_id="manual__2026-01-01T00:00:00+00:00", task_id="push", map_index=-1
)
FOLDER = "sync/manual__2026-01-01T00%3A00%3A00%2B00%3A00/push"


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(WORKSPACE))


def links(**arguments: Any) -> tuple[Any, Any]:
    task = MoEngageTrackUsersOperator(task_id="push", users=[{"customer_id": "ann"}], **arguments)
    return (
        MoEngageDashboardLink().get_link(task, ti_key=TASK),
        MoEngageRejectedRowsLink().get_link(task, ti_key=TASK),
    )


def test_the_dashboard_is_that_of_the_data_centre(monkeypatch: pytest.MonkeyPatch):
    assert links() == ("https://dashboard-03.moengage.com", None)
    sandbox = {**WORKSPACE, "host": "http://127.0.0.1", "port": 8095}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox))
    assert links() == (None, None)
    assert links(moengage_conn_id="nowhere") == (None, None)


def test_the_folder_of_the_rejected_rows_is_the_tasks_own():
    assert links(rejected_path="s3://lake/moengage/rejected")[1] == (
        f"https://console.aws.amazon.com/s3/buckets/lake?prefix=moengage/rejected/{FOLDER}/"
    )


def test_a_console_is_linked_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAKE_CONN", '{"conn_type": "aws", "login": "id", "password": "hush-hush"}'
    )
    assert console_url("s3://lake_conn@lake/a b/c%3Ad") == (
        "https://console.aws.amazon.com/s3/buckets/lake?prefix=a%20b/c%253Ad/"
    )
    assert console_url("gs://google@lake/a") == "https://console.cloud.google.com/storage/browser/lake/a"
    assert console_url("https://reader:hush@files.example/rejected") == "https://files.example/rejected"
    for nowhere in ("file:///tmp/rejected", "/tmp/rejected", "abfss://lake/rejected", "None"):
        assert console_url(nowhere) is None
    # Another store that speaks S3.
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAKE_CONN", '{"conn_type": "aws", "extra": {"endpoint_url": "http://127.0.0.1:9000"}}'
    )
    assert console_url("s3://lake_conn@lake/a") is None


DAG = """
from datetime import datetime
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

with DAG("linked", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    MoEngageTrackUsersOperator(
        task_id="push", users=[{"customer_id": "ann"}], validate_only=True, rejected_path="REJECTED"
    )
"""


def test_a_task_writes_the_link_that_airflow_shows(run_dag: Callable[..., dict[str, Any]], tmp_path: Path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "linked.py").write_text(DAG.replace("REJECTED", (tmp_path / "rejected").as_uri()))
    outcome = run_dag(tmp_path / "dags" / "linked.py", AIRFLOW_CONN_MOENGAGE_DEFAULT=json.dumps(WORKSPACE))
    assert outcome["state"] == "success"
    connection = sqlite3.connect(tmp_path / "airflow" / "airflow.db")
    found = dict(connection.execute("select key, value from xcom where key like 'moengage%'").fetchall())
    connection.close()
    value = found["moengage_dashboard"]
    # Airflow 2 stores it pickled or encoded, depending on its version.
    assert "https://dashboard-03.moengage.com" in (value.decode() if isinstance(value, bytes) else value)
    assert json.loads(found.get("moengage_rejected_rows", "null")) is None


def test_a_link_that_cannot_be_written_costs_nothing(
    moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def push(ti: TaskInstance, key: str, value: Any) -> None:
        if key.startswith("moengage_"):
            raise ConnectionError("PASSWORD")

    monkeypatch.setattr(TaskInstance, "xcom_push", push)
    monkeypatch.setitem(_LINKS, "moengage_dashboard", lambda operator, ti: "https://dashboard")  # type: ignore[index]
    monkeypatch.setitem(_LINKS, "moengage_rejected_rows", lambda operator, ti: 1 / 0)  # type: ignore[index]
    task = MoEngageTrackUsersOperator(task_id="push", users=[{"customer_id": "ann"}])
    assert task.execute({"ti": TaskInstance()})["accepted"] == 1
    assert caplog.messages.count("The link moengage_dashboard cannot be shown: ConnectionError") == 1
    assert "The link moengage_rejected_rows cannot be shown: ZeroDivisionError" in caplog.messages


def test_the_links_are_there_while_a_task_waits_for_its_first_row(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_progress, "FIRST", 0.01)
    ti = TaskInstance()

    def customers() -> Iterator[dict[str, Any]]:
        wait_until(lambda: "moengage_dashboard" in ti.xcoms, "the link is shown")
        yield {"customer_id": "ann"}

    task = _TrackUsersDecoratedOperator(task_id="push", python_callable=customers, validate_only=True)
    assert task.execute({"ti": ti})["valid"] == 1
    assert ti.xcoms["moengage_dashboard"] == "https://dashboard-03.moengage.com"


WEBSERVER = """
import json, runpy, sys
from airflow.models.dagrun import DagRun
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils.session import create_session

dag = SerializedDAG.from_dict(SerializedDAG.to_dict(runpy.run_path(sys.argv[1])["dag"]))
task = dag.get_task("push")
with create_session() as session:
    (run,) = session.query(DagRun).all()
    (ti,) = run.get_task_instances(session=session)
    print(json.dumps({name: task.get_extra_links(ti, name) for name in task.extra_links}))
"""


@pytest.mark.skipif(AIRFLOW_3, reason="the server reads the links from XCom by itself")
def test_the_webserver_of_airflow_2_shows_them(
    run_dag: Callable[..., dict[str, Any]], run_airflow: Callable[..., str], tmp_path: Path
):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "linked.py").write_text(DAG.replace("REJECTED", (tmp_path / "rejected").as_uri()))
    run_dag(tmp_path / "dags" / "linked.py", AIRFLOW_CONN_MOENGAGE_DEFAULT=json.dumps(WORKSPACE))
    (tmp_path / "webserver.py").write_text(WEBSERVER)
    printed = run_airflow(
        tmp_path / "webserver.py",
        tmp_path / "dags" / "linked.py",
        env=airflow_environment(tmp_path / "airflow"),
    )
    assert json.loads(printed.splitlines()[-1]) == {
        "MoEngage dashboard": "https://dashboard-03.moengage.com",
        "Rejected rows": None,
    }
