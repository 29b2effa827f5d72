"""What a DAG's author writes wrongly is said when the DAG is read, and what a task finds wrong ends it at once."""

from __future__ import annotations

import inspect
import pydoc
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage._compat import BaseSensorOperator
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageStorageError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.changes.sample import Sample
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor, SensorArguments
from tests.end_to_end.rows import users
from tests.support.samples import batch_of


def sensor(sample_path: Any, **parameters: Any) -> MoEngageUsersArrivedSensor:
    return MoEngageUsersArrivedSensor(
        task_id="arrived", sample_path=sample_path, **{"poke_interval": 0.05, "timeout": 60, **parameters}
    )


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"max_missing": -1}, "max_missing is -1; use a whole number of users"),
        ({"max_missing": True}, "max_missing is True"),
        ({"max_missing": "1%"}, "max_missing is '1%'"),
        ({"max_different": 1.0}, r"max_different is 1\.0"),
        ({"max_different": None}, "max_different is None"),
        ({"deferrable": "yes"}, "deferrable is 'yes'"),
    ],
)
def test_what_cannot_be_is_said_when_the_dag_is_read(parameters: dict[str, Any], says: str):
    with pytest.raises(MoEngageParameterError, match=says):
        sensor("sample.json", **parameters)


@pytest.mark.parametrize("rendered", [None, "None", "", " "])
def test_a_task_that_took_no_sample_is_said_to_need_one(rendered: Any):
    with pytest.raises(MoEngageTaskFailed, match=r"sample_path is .* needs sample="):
        sensor(rendered).execute({})


def test_a_sample_that_is_not_there_names_what_writes_it(tmp_path: Path):
    with pytest.raises(MoEngageTaskFailed, match=r"does not exist.* has sample="):
        sensor(f"{tmp_path}/none.json").execute({})


def test_a_damaged_sample_ends_the_task(tmp_path: Path):
    (tmp_path / "sample.json").write_text("[]")
    with pytest.raises(MoEngageTaskFailed, match="is damaged"):
        sensor(f"{tmp_path}/sample.json").execute({})


def test_storage_that_does_not_respond_is_left_to_a_retry(tmp_path: Path):
    with pytest.raises(MoEngageStorageError, match="cannot be read"):
        sensor(str(tmp_path)).execute({})


@pytest.mark.parametrize("project", [None, "north"])
def test_the_sample_of_another_workspace_or_project_is_an_error_that_shows_no_login(
    moengage_sandbox_connection: Sandbox, tmp_path: Path, project: str | None
):
    app_id = "OTHER" if project is None else moengage_sandbox_connection.workspace_id
    sample = Sample(3)
    sample.record(batch_of(users(3)))
    sent_to = Workspace(app_id=app_id, api_key="KEY", data_center="01", project_code=project)
    path = sample.write(str(tmp_path), sent_to, "track_users")
    with pytest.raises(MoEngageTaskFailed, match="were sent to workspace") as caught:
        sensor(path).execute({})
    assert app_id in str(caught.value)
    if project is None:
        assert moengage_sandbox_connection.workspace_id not in str(caught.value)
    assert moengage_sandbox_connection.state()["requests"] == 0


def test_a_connection_of_another_type_ends_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", '{"conn_type": "sqlite"}')
    workspace = Workspace(app_id="W1", api_key="KEY", data_center="01")
    path = Sample(3).write(str(tmp_path), workspace, "track_users")
    with pytest.raises(MoEngageTaskFailed, match="'warehouse', which is of type 'sqlite'"):
        sensor(path, moengage_conn_id="warehouse").execute({})


def test_help_explains_every_parameter_once():
    shown = pydoc.render_doc(MoEngageUsersArrivedSensor, renderer=pydoc.plaintext)
    explained = re.findall(r":param (\w+):", shown.partition("Method resolution order:")[0])
    parameters = list(inspect.signature(MoEngageUsersArrivedSensor.__init__).parameters)
    assert explained == parameters[1:]


def test_the_example_of_the_docstring_constructs_the_sensor():
    documented = inspect.getdoc(MoEngageUsersArrivedSensor) or ""
    (example,) = re.findall(r"Example::\n\n((?:    .*\n|\n)+?)(?=\n?:param)", documented)
    known = {"MoEngageUsersArrivedSensor": MoEngageUsersArrivedSensor}
    assert isinstance(eval(textwrap.dedent(example), known), MoEngageUsersArrivedSensor)


def test_every_argument_of_airflows_sensors_is_known():
    taken = inspect.signature(BaseSensorOperator.__init__).parameters.values()
    names = {one.name for one in taken if one.name != "self" and one.kind is not one.VAR_KEYWORD}
    assert names <= set(SensorArguments.__annotations__)
