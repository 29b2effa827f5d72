"""Nothing that stands in a row is rendered, executed or shown, whichever way the row comes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.support.dag_runs import airflow_environment
from tests.support.leaks import watch

AWKWARD = {
    "braces": "{{ ds }}",
    "block": "{% raise %}",
    "file": "customers.sql",
    "digits": "1_000",
    "leading": "007",
    "words": "True",
    "quotes": 'it\'s "so" <b>&amp;',
    "text": "zażółć 🎉",
}
DAG = '''
import json
from datetime import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

AWKWARD = json.loads(r"""%(awkward)s""")


def rows(first):
    return [{"customer_id": f"{first}_00{n}", "marked": "PRIVATE", **AWKWARD} for n in range(2)]


with DAG("awkward", schedule=None, start_date=datetime(2026, 1, 1), render_template_as_native_obj=%(native)s) as dag:

    @task
    def customers(first):
        return rows(first)

    @task
    def chunks():
        return [rows(4), rows(5)]

    MoEngageTrackUsersOperator(task_id="direct", users=rows(1))
    MoEngageTrackUsersOperator(task_id="output", users=customers.override(task_id="two")(2))
    three = customers.override(task_id="three")(3)
    three >> MoEngageTrackUsersOperator(
        task_id="json", users="{{ ti.xcom_pull(task_ids='three') | tojson }}"
    )
    MoEngageTrackUsersOperator.partial(task_id="mapped").expand(users=chunks())

if __name__ == "__main__":
    dag.test()
'''


def rendered(users: Any, **context: Any) -> MoEngageTrackUsersOperator:
    operator = MoEngageTrackUsersOperator(task_id="push", users=users)
    operator.render_template_fields(context)
    return operator


@pytest.mark.parametrize("native", [False, True])
def test_rows_of_a_dag_run_arrive_as_they_are_and_are_not_shown(
    migrated_database: Path,
    run_airflow: Callable[..., str],
    moengage_sandbox: Sandbox,
    tmp_path: Path,
    native: bool,
):
    (tmp_path / "dags").mkdir()
    dag_file = tmp_path / "dags" / "awkward.py"
    dag_file.write_text(DAG % {"awkward": json.dumps(AWKWARD), "native": native})
    shutil.copy(migrated_database, tmp_path / "airflow.db")
    env = airflow_environment(
        tmp_path,
        AIRFLOW__CORE__DAGS_FOLDER=str(dag_file.parent),
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
    )
    run_airflow(dag_file, env=env)
    watch.database(tmp_path / "airflow.db")

    stored = moengage_sandbox.users()
    assert set(stored) == {f"{first}_00{n}" for first in range(1, 6) for n in range(2)}
    for user in stored.values():
        assert user["attributes"] == {"marked": "PRIVATE", **AWKWARD}
    assert moengage_sandbox.bent() == []

    with sqlite3.connect(tmp_path / "airflow.db") as database:
        assert database.execute("select state from dag_run").fetchall() == [("success",)]
        fields = database.execute(
            "select task_id, rendered_fields from rendered_task_instance_fields "
            "where task_id in ('direct', 'output', 'json', 'mapped')"
        ).fetchall()
        assert sorted(task for task, _ in fields) == ["direct", "json", "mapped", "mapped", "output"]
        for _, shown in fields:
            assert json.loads(shown)["users"] == "<2 rows>"
            assert "PRIVATE" not in shown
        for (serialized,) in database.execute("select data from serialized_dag").fetchall():
            assert "PRIVATE" not in str(serialized)


def test_a_list_in_the_dag_is_not_rendered(track: Tracker):
    operator = rendered([{"customer_id": "1_000", **AWKWARD}], ds="RENDERED")
    operator.execute({})
    assert track.attributes() == {"1_000": AWKWARD}
    assert str(operator.users) == repr(operator.users) == "<1 rows>"


def test_a_template_that_renders_to_json(track: Tracker):
    rows = [{"customer_id": "1_000", **AWKWARD}]
    report = rendered("{{ rows | tojson }}", rows=rows).execute({})
    assert outcome(report) == (1, 0, 0)
    assert track.attributes() == {"1_000": AWKWARD}


@pytest.mark.parametrize("rows", [[{"customer_id": "ann"}], [{"customer_id": "it's", "n": None}], [("a", 1)]])
def test_a_template_that_renders_to_a_python_text_is_told_what_to_write(track: Tracker, rows: list[Any]):
    with pytest.raises(MoEngageTaskFailed) as caught:
        rendered("{{ rows }}", rows=rows).execute({})
    said = str(caught.value)
    assert "users=upstream.output" in said
    assert "| tojson" in said
    assert "Python form of a list" in said
    assert str(rows) not in said
    assert track.requests == 0


def test_a_template_that_renders_to_nothing_useful(track: Tracker):
    for text in ("None", "no rows", '"text"', "5"):
        with pytest.raises(MoEngageTaskFailed, match="users"):
            rendered("{{ text }}", text=text).execute({})
    assert track.requests == 0


def test_an_upstream_that_returned_nothing_is_not_no_rows(track: Tracker):
    operator = MoEngageTrackUsersOperator(task_id="push", users=[])
    operator.users = None
    with pytest.raises(MoEngageTaskFailed, match="upstream task return nothing"):
        operator.execute({})


def test_rows_may_be_any_sequence(track: Tracker):
    assert outcome(track(users=({"customer_id": "one"},))) == (1, 0, 0)
    assert outcome(track(users=({"customer_id": name} for name in ("two", "three")))) == (2, 0, 0)
    assert sorted(track.attributes()) == ["one", "three", "two"]


def test_what_is_no_row_is_refused_alone(track: Tracker, tmp_path: Path):
    report = track(users=["ann", None, 5, {"customer_id": "ben"}], max_rejected=3)
    assert outcome(report) == (1, 3, 0)
    assert all("it must be a dict" in reason for reason in report["reasons"])
