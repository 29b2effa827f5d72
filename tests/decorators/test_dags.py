"""Whole DAGs of decorated functions, as their readers write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.support.leaks import PERSON

HEAD = """
from datetime import datetime, timedelta
try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

def called(what):
    with open({calls!r}, "a") as file:
        file.write(what + "\\n")

@dag(schedule=None, start_date=datetime(2026, 1, 1))
def decorated():
{body}

dag = decorated()
"""
RunBody = Callable[..., dict[str, Any]]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the functions of a DAG write that they were called."""
    return tmp_path / "calls"


@pytest.fixture
def run_body(
    run_dag: Callable[..., dict[str, Any]], moengage_sandbox: Sandbox, tmp_path: Path, calls: Path
) -> RunBody:
    """Run the DAG that has these lines."""

    def run(body: str, **variables: str) -> dict[str, Any]:
        file = tmp_path / "dags" / "decorated.py"
        file.parent.mkdir(exist_ok=True)
        indented = "\n".join(f"    {line}" for line in body.splitlines())
        file.write_text(HEAD.format(calls=str(calls), body=indented))
        variables.setdefault("AIRFLOW_CONN_MOENGAGE_DEFAULT", moengage_sandbox.connection_json)
        return run_dag(file, **variables)

    return run


def rendered(tmp_path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rendered fields of each task instance of the last run."""
    with sqlite3.connect(tmp_path / "airflow" / "airflow.db") as database:
        found = database.execute(
            "select task_id, map_index, rendered_fields from rendered_task_instance_fields"
        ).fetchall()
    return {(task, index): json.loads(fields) for task, index, fields in found}


def attributes(sandbox: Sandbox) -> dict[str, Any]:
    return {customer_id: user["attributes"] for customer_id, user in sandbox.users().items()}


def test_returned_rows_are_sent_and_xcom_has_the_report(
    run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path
):
    outcome = run_body(
        f"""
@task.moengage_track_users(attributes=["plan", "name"], max_rejected=1)
def customers(plan: str, *, ds=None, **context) -> list[dict]:
    '''Customers of the night.'''
    called(ds)
    assert context["ti"].task_id == "customers"
    return [
        {{"customer_id": "user-1", "plan": plan, "name": "{PERSON} {{{{ ds }}}}", "age": 5}},
        {{"customer_id": "unknown", "plan": plan}},
    ]

@task
def check(report):
    assert report["accepted"] == 1

check(customers("{{{{ task.task_id }}}}"))
"""
    )
    assert outcome["state"] == "success", outcome
    pushed = outcome["tasks"]["customers"]
    assert pushed["returned"] == pushed["report"]
    assert (pushed["report"]["read"], pushed["report"]["rejected"]) == (2, 1)
    # Arguments are templated, rows are not.
    assert attributes(moengage_sandbox) == {"user-1": {"plan": "customers", "name": PERSON + " {{ ds }}"}}
    shown = rendered(tmp_path)["customers", -1]
    assert shown["op_args"] == ["customers"]
    assert "users" not in shown


def test_yielded_rows_are_sent_by_each_mapped_task(
    run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path, calls: Path
):
    outcome = run_body(
        f"""
@task.moengage_track_users
def customers(shard, count):
    try:
        for number in range(count):
            yield {{"customer_id": f"user-{{shard}}{{number}}", "name": "{PERSON}"}}
    finally:
        called(f"closed {{shard}}")

customers.partial(count=30).expand(shard=[1, 2])
"""
    )
    assert outcome["state"] == "success", outcome
    reports = [outcome["tasks"][f"customers[{index}]"]["report"] for index in (0, 1)]
    assert [report["accepted"] for report in reports] == [30, 30]
    assert len(moengage_sandbox.users()) == 60
    assert sorted(calls.read_text().splitlines()) == ["closed 1", "closed 2"]
    assert rendered(tmp_path)["customers", 1]["op_kwargs"] == {"count": 30, "shard": 2}


def test_every_decorator_sends_to_its_endpoint(run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path):
    moengage_sandbox.settings(unset_attributes=True)
    outcome = run_body(
        """
@task.moengage_track_users(changed_only=True, sample=1)
def users():
    yield {"customer_id": "ann", "plan": "gold", "trial": "yes"}

@task.moengage_unset_attributes(unset=["trial"])
def unset():
    yield "ann"

@task.moengage_track_events(time_column=None)
def events():
    yield {"customer_id": "ann", "action": "Seen"}

@task.moengage_bulk_import
def elements():
    yield {"type": "customer", "customer_id": "ben", "attributes": {"plan": "free"}}

@task.moengage_sync_cohort(cohort_id="c", cohort_name="C", partner="p", mode="add")
def members():
    yield "ann"

users() >> unset() >> events() >> elements() >> members()
""",
        AIRFLOW__MOENGAGE__SNAPSHOT_PATH=(tmp_path / "snapshots").as_uri(),
    )
    assert outcome["state"] == "success", outcome
    assert {task["report"]["accepted"] for task in outcome["tasks"].values()} == {1}
    assert attributes(moengage_sandbox) == {"ann": {"plan": "gold"}, "ben": {"plan": "free"}}
    assert [event["action"] for event in moengage_sandbox.events()] == ["Seen"]
    (cohort,) = moengage_sandbox.cohorts().values()
    assert "ann" in str(cohort)
    assert outcome["tasks"]["users"]["report"]["unchanged"] == 0
    assert outcome["tasks"]["users"]["report"]["sample_path"]


def test_a_retry_sends_the_copied_rows_and_does_not_call_the_function_again(
    run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path, calls: Path
):
    moengage_sandbox.fault(kind="status", status=500, customer_id="user-70", times=6)
    outcome = run_body(
        f"""
from airflow_provider_moengage.api import client
client.FIRST_BACKOFF = 0.001

@task.moengage_track_users(
    staging_path="{(tmp_path / "staged").as_uri()}", concurrency=1, retries=2, retry_delay=timedelta(0)
)
def customers():
    called("customers")
    for number in range(100):
        yield {{"customer_id": f"user-{{number}}", "name": "{PERSON}"}}

customers()
"""
    )
    assert outcome["state"] == "success", outcome
    report = outcome["tasks"]["customers"]["report"]
    assert (report["read"], report["accepted"], report["requests"]) == (100, 100, 30)
    assert calls.read_text() == "customers\n"
    assert {len(user["history"]) for user in moengage_sandbox.users().values()} == {1}


def test_a_deferred_task_goes_on_and_does_not_call_the_function_again(
    run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path, calls: Path
):
    moengage_sandbox.settings(users_per_minute=20, window_seconds=3.0)
    outcome = run_body(
        f"""
@task.moengage_track_users(
    staging_path="{(tmp_path / "staged").as_uri()}", deferrable=True, defer_threshold=0.5
)
def customers(count):
    called("customers")
    for number in range(count):
        yield {{"customer_id": f"user-{{number}}"}}

customers(50)
"""
    )
    assert outcome["state"] == "success", outcome
    report = outcome["tasks"]["customers"]["report"]
    assert (report["read"], report["accepted"], report["unsent"]) == (50, 50, 0)
    assert report["deferrals"] >= 1
    assert {len(user["history"]) for user in moengage_sandbox.users().values()} == {1}
    assert calls.read_text() == "customers\n"
    assert not [path for path in (tmp_path / "staged").rglob("*") if path.is_file()]


def test_a_function_may_skip_its_task(run_body: RunBody, moengage_sandbox: Sandbox, tmp_path: Path):
    outcome = run_body(
        f"""
from airflow.exceptions import AirflowSkipException

@task.moengage_track_users(staging_path="{(tmp_path / "staged").as_uri()}", retries=3)
def customers():
    yield {{"customer_id": "user-1"}}
    raise AirflowSkipException("a holiday")

customers()
"""
    )
    assert outcome["tasks"]["customers"]["state"] == "skipped"
    assert moengage_sandbox.users() == {}
    assert not [path for path in (tmp_path / "staged").rglob("*") if path.is_file()]
