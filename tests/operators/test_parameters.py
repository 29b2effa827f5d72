"""A parameter that is wrong is named, with what is allowed, when the DAG is parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import Tracker

SOURCES = ("users=", "sql=", "path=")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"users": None}, SOURCES),
        ({"path": "/x.csv"}, SOURCES),
        ({"sql": "select 1", "sql_conn_id": "db"}, SOURCES),
        ({"users": None, "sql": "select 1"}, ("sql_conn_id",)),
        ({"sql_conn_id": "db"}, ("sql_conn_id", "sql=")),
        ({"parameters": [1]}, ("parameters", "sql=")),
        ({"sql_hook_params": {}}, ("sql_hook_params", "sql=")),
        ({"max_rejected": -1}, ("max_rejected", "-1", "whole number")),
        ({"max_rejected": True}, ("max_rejected", "True")),
        ({"max_rejected": 1.0}, ("max_rejected", "below 1.0")),
        ({"max_rejected": -0.1}, ("max_rejected", "-0.1")),
        ({"max_rejected": float("nan")}, ("max_rejected", "nan")),
        ({"max_rejected": "1"}, ("max_rejected", "'1'")),
        ({"nulls": "drop"}, ("nulls", "'drop'", "skip, unset, send")),
        ({"nulls": None}, ("nulls", "None")),
        ({"timezone": "Mars/Olympus"}, ("timezone", "'Mars/Olympus'", "IANA")),
        ({"timezone": "+05:30"}, ("timezone", "IANA")),
        ({"timezone": ""}, ("timezone", "IANA")),
        ({"types": {"n": "int"}}, ("types['n']", "'int'", "number")),
        ({"types": {"n": ["number"]}}, ("types['n']", "number")),
        ({"types": ["n"]}, ("types", "dict")),
        ({"concurrency": 0}, ("concurrency", "from 1 to 256")),
        ({"concurrency": 257}, ("concurrency", "from 1 to 256")),
        ({"concurrency": True}, ("concurrency", "True")),
        ({"concurrency": 1.5}, ("concurrency", "1.5")),
        ({"on_empty": "ignore"}, ("on_empty", "'ignore'", "success, skip, fail")),
        ({"validate_only": "yes"}, ("validate_only", "True or False")),
        ({"update_existing_only": 1}, ("update_existing_only", "True or False")),
        ({"id_column": ""}, ("id_column",)),
        ({"id_column": None}, ("id_column",)),
        ({"attributes": "plan"}, ("attributes", "list of columns")),
        ({"attributes": {"plan": 5}}, ("attributes['plan']", "column")),
        ({"attributes": {"status": "status"}}, ("attributes", "'status'", "reserved")),
        ({"attributes": ["moe_plan"]}, ("attributes", "'moe_plan'")),
        ({"attributes": [["plan"]]}, ("attributes", "names are strings")),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    given = {"users": [], **parameters}
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageTrackUsersOperator(
            task_id="push", **{k: v for k, v in given.items() if v is not None or k != "users"}
        )
    for words in named:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_rejected": 0},
        {"max_rejected": 0.0},
        {"max_rejected": 0.999},
        {"max_rejected": 10**9},
        {"concurrency": 1},
        {"concurrency": 256},
        {"concurrency": None},
        {"timezone": "UTC"},
        {"nulls": "send"},
        {"types": {"a": "json"}},
        {"attributes": []},
    ],
)
def test_right_parameters_are_taken(parameters: dict[str, Any]):
    MoEngageTrackUsersOperator(task_id="push", users=[], **parameters)


def test_templated_parameters_are_listed():
    assert set(MoEngageTrackUsersOperator.template_fields) >= {
        "moengage_conn_id", "users", "sql", "sql_conn_id", "parameters", "path", "rejected_path",
    }  # fmt: skip
    assert MoEngageTrackUsersOperator.template_ext == (".sql",)
    assert MoEngageTrackUsersOperator.template_fields_renderers["sql"] == "sql"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"extra": {"data_center": "99"}}, ("data_center", "'99'", "01 (US)", "101")),
        ({"extra": {}}, ("data_center", "01 (US)")),
        (
            {"login": None, "extra": {"data_center": "01"}},
            ("the Workspace ID (the connection's login) is missing",),
        ),
        (
            {"password": None, "extra": {"data_center": "01"}},
            ("the Data API key (the connection's password) is missing", "Data tile"),
        ),
    ],
)
def test_a_connection_that_is_wrong_is_named_and_not_retried(
    track: Tracker, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], named: tuple[str, ...]
):
    connection = {"conn_type": "moengage", "login": "WORKSPACE", "password": "SECRETKEY", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    error = track.fails(MoEngageTaskFailed, users=[{"customer_id": "ann"}], moengage_conn_id="other")
    for words in ("other", *named):
        assert words in str(error)
    assert "SECRETKEY" not in str(error)


def test_a_data_frame_is_not_taken_for_a_list_of_its_columns(track: Tracker):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{"customer_id": "ann", "n": 1}])
    error = track.fails(MoEngageTaskFailed, users=frame)
    assert "users is of type DataFrame" in str(error)
    assert "frame.to_dict('records')" in str(error)
    assert track.requests == 0
    track(users=frame.to_dict("records"))
    assert track.attributes() == {"ann": {"n": 1}}
