"""An Airflow connection becomes a workspace, in every form that Airflow takes connections in."""

from __future__ import annotations

import base64
import json
import logging
import socket
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.track_users import UserMapping
from airflow_provider_moengage.sandbox import Sandbox

WORKSPACE = {"conn_type": "moengage", "login": "WORKSPACE", "password": "SECRETKEY"}


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch):
    def read(connection: str | dict[str, Any]) -> Workspace:
        text = connection if isinstance(connection, str) else json.dumps(connection)
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", text)
        return MoEngageHook("other").workspace

    return read


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        ("moengage://WORKSPACE:SECRETKEY@/?data_center=01", "https://api-01.moengage.com/v1"),
        ("moengage://WORKSPACE:SECRETKEY@127.0.0.1:8095", "http://127.0.0.1:8095/v1"),
        ("moengage://WORKSPACE:SECRETKEY@localhost:8095/", "http://localhost:8095/v1"),
        ("moengage://http://WORKSPACE:SECRETKEY@127.0.0.1:8095/?data_center=01", "http://127.0.0.1:8095/v1"),
        ("moengage://https://WORKSPACE:SECRETKEY@proxy.example.com", "https://proxy.example.com/v1"),
        ("moengage://WORKSPACE:SECRETKEY@proxy.example.com:8443", "https://proxy.example.com:8443/v1"),
        (
            "moengage://http://WORKSPACE:SECRETKEY@proxy.example.com/?allow_http=true",
            "http://proxy.example.com/v1",
        ),
    ],
)
def test_a_uri_becomes_a_workspace(workspace, uri: str, base_url: str):
    found = workspace(uri)
    assert (found.app_id, found.api_key, found.base_url) == ("WORKSPACE", "SECRETKEY", base_url)


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("127.0.0.1", 8095, "http://127.0.0.1:8095/v1"),
        ("http://127.0.0.1", 8095, "http://127.0.0.1:8095/v1"),
        ("http://127.0.0.1:8095/", None, "http://127.0.0.1:8095/v1"),
        ("https://127.0.0.1", None, "https://127.0.0.1/v1"),
        ("https://proxy.example.com/v1/", None, "https://proxy.example.com/v1"),
        ("proxy.example.com", None, "https://proxy.example.com/v1"),
        ("http://[::1]", 8095, "http://[::1]:8095/v1"),
        ("proxy.example.com", 0, "https://proxy.example.com/v1"),
        ("", 443, "https://api-01.moengage.com/v1"),
        ("", 8095, "https://api-01.moengage.com/v1"),
        ("", 0, "https://api-01.moengage.com/v1"),
    ],
)
def test_a_host_becomes_a_base_url(workspace, host: str, port: int | None, base_url: str):
    extra = {"data_center": "01"}
    assert workspace({**WORKSPACE, "host": host, "port": port, "extra": extra}).base_url == base_url


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("http://proxy.example.com", "allow_http"),
        ("ftp://proxy.example.com", "ftp"),
        ("https://proxy.example.com/other", "/v1 is added"),
        ("https://proxy.example.com?x=1", "host"),
        ("https://:80", "host"),
        ("https://proxy.example.com:port", "host"),
    ],
)
def test_a_wrong_host_is_named(workspace, host: str, named: str):
    with pytest.raises(MoEngageParameterError) as caught:
        workspace({**WORKSPACE, "host": host})
    assert named in str(caught.value)
    assert "'other'" in str(caught.value)
    assert "SECRETKEY" not in str(caught.value)


@pytest.mark.parametrize("spelling", ["1", 1, "01", "dc01", "DC-01", "DC 01", " dc_1 "])
def test_data_centres_as_people_write_them(workspace, spelling: object):
    found = workspace({**WORKSPACE, "extra": {"data_center": spelling}})
    assert found.data_center == "01"
    assert found.base_url == "https://api-01.moengage.com/v1"


def test_the_data_centre_of_three_digits(workspace):
    found = workspace({**WORKSPACE, "extra": {"data_center": "101"}})
    assert found.base_url == "https://api-101.moengage.com/v1"


@pytest.mark.parametrize("spelling", ["7", "00", "us", "1.0", "01/..", "1001"])
def test_unknown_data_centres_are_no_fallback(workspace, spelling: str):
    with pytest.raises(MoEngageParameterError, match="data_center"):
        workspace({**WORKSPACE, "extra": {"data_center": spelling}})


@pytest.mark.parametrize(
    "extra",
    [
        {
            "data_center": "02", "project_code": "p", "forwarded_for": "203.0.113.7, ::1", "timeout": 12.5,
            "limits": {"users": 20000, "events": 5}, "rate_limit_share": 0.5, "allow_http": True,
        },
        {
            "data_center": "02", "project_code": "p", "forwarded_for": "203.0.113.7, ::1", "timeout": "12.5",
            "limits": '{"users": 20000, "events": "5"}', "rate_limit_share": "0.5", "allow_http": "true",
        },
    ],
)  # fmt: skip
def test_extras_typed_or_as_texts(workspace, extra: dict[str, Any]):
    found = workspace({**WORKSPACE, "extra": extra})
    assert (found.data_center, found.project_code, found.forwarded_for) == ("02", "p", "203.0.113.7, ::1")
    assert (found.timeout, found.rate_limit_share, found.allow_http) == (12.5, 0.5, True)
    assert dict(found.limits) == {"users": 20000, "events": 5}


@pytest.mark.parametrize("empty", ["", None])
def test_empty_extras_are_unset(workspace, empty: object):
    names = ("project_code", "forwarded_for", "limits", "rate_limit_share", "timeout", "allow_http")
    found = workspace(
        {**WORKSPACE, "host": "", "extra": {"data_center": "01", **dict.fromkeys(names, empty)}}
    )
    assert found == Workspace("WORKSPACE", "SECRETKEY", data_center="01")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"rate_limit_share": 0}, "rate_limit_share"),
        ({"rate_limit_share": "1.5"}, "rate_limit_share"),
        ({"rate_limit_share": True}, "rate_limit_share"),
        ({"allow_http": "maybe"}, "allow_http"),
        ({"limits": "many"}, "limits"),
        ({"limits": "[1]"}, "limits"),
        ({"limits": {"user": 1}}, "use any of users, events"),
        ({"limits": {"users": 0}}, "limits['users']"),
        ({"limits": {"users": 1.5}}, "limits['users']"),
        ({"forwarded_for": "here"}, "forwarded_for"),
    ],
)
def test_extras_that_are_wrong_are_named(workspace, extra: dict[str, Any], named: str):
    with pytest.raises(MoEngageParameterError) as caught:
        workspace({**WORKSPACE, "extra": {"data_center": "01", **extra}})
    assert named in str(caught.value)


def test_unknown_extras_are_ignored_with_a_line_in_the_log(
    workspace, caplog: pytest.LogCaptureFixture, capfd
):
    caplog.set_level(logging.INFO)
    workspace({**WORKSPACE, "extra": {"data_center": "01", "datacentre": "PRIVATE"}})
    said = caplog.text + "".join(capfd.readouterr())
    assert "datacentre" in said
    assert "PRIVATE" not in said


def test_the_key_and_the_header_that_carries_it_are_masked(workspace, monkeypatch: pytest.MonkeyPatch):
    masked: list[str] = []
    monkeypatch.setattr("airflow_provider_moengage.hooks.connection_hook.mask_secret", masked.append)
    found = workspace({**WORKSPACE, "extra": {"data_center": "01"}})
    encoded = base64.b64encode(b"WORKSPACE:SECRETKEY").decode()
    assert {"SECRETKEY", encoded} <= set(masked)
    assert "SECRETKEY" not in repr(found)


def test_the_client_is_one_a_hook(moengage_sandbox_connection: Sandbox):
    hook = MoEngageHook()
    assert hook.get_conn() is hook.get_conn()


def check(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    return MoEngageHook("other").test_connection()


def test_a_connection_that_works(moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    works, said = check(moengage_sandbox.connection, monkeypatch)
    assert works
    assert said.startswith("Connected to workspace")
    assert [call["path"] for call in moengage_sandbox.requests()] == ["/v1/integrations/authentication"]


@pytest.mark.parametrize("field", ["login", "password"])
def test_a_wrong_key_and_an_unknown_workspace(
    moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, field: str
):
    works, said = check({**moengage_sandbox.connection, field: "ANOTHER"}, monkeypatch)
    assert not works
    assert "login is the Workspace ID, password the key of the Data tile" in said
    assert moengage_sandbox.api_key not in said
    assert len(moengage_sandbox.requests()) == 1


def test_a_connection_without_network(moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        works, said = check({**moengage_sandbox.connection, "port": port}, monkeypatch)
    assert not works
    assert "No network" in said
    assert f"127.0.0.1:{port}" in said


@pytest.mark.parametrize(
    ("status", "named"), [(403, "suspended"), (500, "server has trouble"), (404, "not documented")]
)
def test_other_answers_to_the_test(
    moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, status: int, named: str
):
    moengage_sandbox.fault(kind="status", status=status)
    works, said = check(moengage_sandbox.connection, monkeypatch)
    assert not works
    assert named in said


def test_a_connection_that_lacks_something_says_what(monkeypatch: pytest.MonkeyPatch):
    works, said = check(WORKSPACE, monkeypatch)
    assert not works
    assert said.startswith("The data centre (extra data_center) is missing; use one of 01 (US), 02 (EU)")


def test_the_test_does_not_name_the_connection_as_airflow_tests_a_copy_of_it(
    moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    for fields in (
        {"password": "another key"},
        {"password": None},
        {"extra": {"timeout": "soon"}},
    ):
        works, said = check({**moengage_sandbox.connection, **fields}, monkeypatch)
        assert not works
        assert "other" not in said.replace("another", "")


def test_a_host_and_not_the_data_centre_behind_it_is_what_was_reached(
    moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    works, said = check({**moengage_sandbox.connection, "extra": {"data_center": "03"}}, monkeypatch)
    assert works
    assert said == f"Connected to workspace '{moengage_sandbox.workspace_id}' at {moengage_sandbox.url}/v1"


def test_a_plain_list_through_the_hook(moengage_sandbox_connection: Sandbox):
    report = MoEngageHook().track_users([{"customer_id": "ann", "plan": "gold"}, {"customer_id": "ben"}])
    assert (report["read"], report["accepted"]) == (2, 2)
    assert moengage_sandbox_connection.users("ann")["ann"]["attributes"] == {"plan": "gold"}
    assert moengage_sandbox_connection.bent() == []


def test_a_mapping_and_the_report_of_a_failure_through_the_hook(moengage_sandbox_connection: Sandbox):
    reports: list[dict[str, Any]] = []
    with pytest.raises(MoEngageTaskFailed) as caught:
        MoEngageHook().track_users(
            [{"key": "ann", "plan_name": "gold"}, {"key": "x"}],
            mapping=UserMapping(id_column="key", attributes={"plan": "plan_name"}),
            on_report=reports.append,
        )
    assert reports == [caught.value.report]
    assert (reports[0]["accepted"], reports[0]["rejected"]) == (1, 1)


@pytest.mark.parametrize("parameters", [{"max_rejected": -1}, {"concurrency": 0}])
def test_parameters_that_are_wrong_are_named_by_the_hook(
    moengage_sandbox_connection: Sandbox, parameters: dict[str, Any]
):
    with pytest.raises(MoEngageParameterError, match=next(iter(parameters))):
        MoEngageHook().track_users([], **parameters)
    assert moengage_sandbox_connection.requests() == []
