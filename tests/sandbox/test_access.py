"""Who may use the control endpoints, and what they do not show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import Sandbox, running_sandbox
from airflow_provider_moengage.sandbox.access import Hosts
from airflow_provider_moengage.sandbox.client import SandboxRefused
from tests.sandbox.conftest import Api

USER = {"type": "customer", "customer_id": "john", "attributes": {}}
LOOPBACK = Hosts.of(["127.0.0.1"], 8095, ["moengage", "proxy:80"])
ANY_ADDRESS = Hosts.of(["0.0.0.0"], 8095)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost:8095", "LocalHost:8095", "127.0.0.1:8095", "127.8.9.10:8095", "[::1]:8095"),
        *("moengage", "Moengage:9000", "proxy", "proxy:80"),
    ],
)
def test_a_host_that_names_this_server_is_taken(host: str) -> None:
    assert LOOPBACK.accepts(host)


@pytest.mark.parametrize(
    "host",
    [
        *("attacker.example:8095", "127.0.0.1.attacker.example:8095", "localhost.attacker.example:8095"),
        *("localhost", "localhost:8096", "localhost:80", "10.0.0.1:8095", "0.0.0.0:8095", "proxy:8095"),
        *("", ":8095", "::1:8095", "[::1", "[localhost]:8095", "x@localhost:8095", "localhost:8095:8095"),
        *("localhost:8095, localhost:8095", "localhost:8095\n", "localhost:٨٠٩٥", "127.1:8095"),
    ],
)
def test_another_host_is_not_accepted(host: str) -> None:
    assert not LOOPBACK.accepts(host)


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        *(("192.168.7.9:8095", True), ("[fe80::1]:8095", True), ("localhost:8095", True)),
        *(("192.168.7.9:80", False), ("attacker.example:8095", False), ("moengage:8095", False)),
    ],
)
def test_a_server_on_every_address_is_called_by_any_address_and_by_no_name(host: str, taken: bool) -> None:
    assert ANY_ADDRESS.accepts(host) is taken


@given(st.text())
def test_any_text_can_be_a_host(host: str) -> None:
    assert Hosts.of(["127.0.0.1"], 8095).accepts(host) in (True, False)


CONTROL = [
    ("GET", "state"),
    ("GET", "users"),
    ("GET", "requests"),
    ("GET", "nothing"),
    ("POST", "reset"),
    ("POST", "settings"),
    ("POST", "faults"),
    ("DELETE", "faults"),
]


def control(sandbox: Sandbox, method: str, path: str, **headers: str) -> requests.Response:
    given_headers = {"Content-Type": "text/plain", **headers}
    return requests.request(
        method, f"{sandbox.url}/_sandbox/{path}", data=b"{}", headers=given_headers, timeout=5
    )


@pytest.fixture
def busy(api: Api) -> Iterator[Api]:
    """A sandbox whose state a stranger could clear or change."""
    api.track()
    api.sandbox.fault(kind="slow", seconds=0)
    before = api.sandbox.state()
    yield api
    after = api.sandbox.state()
    assert [after[name] for name in ("users", "faults", "settings")] == [
        before[name] for name in ("users", "faults", "settings")
    ]


@pytest.mark.parametrize(("method", "path"), CONTROL)
def test_a_name_that_was_made_to_lead_here_is_a_403(busy: Api, method: str, path: str) -> None:
    response = control(busy.sandbox, method, path, Host=f"attacker.example:{busy.sandbox.port}")
    assert response.status_code == 403
    assert "--allow-host" in response.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), CONTROL)
@pytest.mark.parametrize(
    "origin", ["https://attacker.example", "http://localhost:3000", "http://127.0.0.1", "null", ""]
)
def test_a_page_of_another_site_gets_a_403(busy: Api, method: str, path: str, origin: str) -> None:
    response = control(busy.sandbox, method, path, Origin=origin)
    assert response.status_code == 403
    assert response.json()["error"]["type"] == "SandboxError"
    assert "access-control-allow-origin" not in response.headers


def test_a_page_of_its_own_and_a_caller_without_origin_are_answered(api: Api) -> None:
    assert control(api.sandbox, "POST", "reset").status_code == 200
    assert control(api.sandbox, "POST", "reset", Origin=api.sandbox.url).status_code == 200
    host = f"localhost:{api.sandbox.port}"
    assert control(api.sandbox, "POST", "reset", Host=host, Origin=f"http://{host}").status_code == 200
    # Two names of one server are two sites to a browser.
    assert control(api.sandbox, "POST", "reset", Host=host, Origin=api.sandbox.url).status_code == 403


def test_the_api_is_called_by_any_host(api: Api) -> None:
    assert api.post(api.track_path, USER, Host="api-01.moengage.com").status_code == 200


def test_a_further_host_is_an_option() -> None:
    with running_sandbox(allow_host=["moengage", "other:99"]) as sandbox:
        assert control(sandbox, "GET", "state", Host="moengage:12345").status_code == 200
        assert control(sandbox, "GET", "state", Host="other").status_code == 403


def test_a_sandbox_on_every_address_is_called_by_the_address_alone() -> None:
    with running_sandbox(host="0.0.0.0") as sandbox:
        assert sandbox.state()["users"] == 0
        assert control(sandbox, "GET", "state", Host=f"192.0.2.7:{sandbox.port}").status_code == 200
        assert control(sandbox, "GET", "state", Host=f"attacker.example:{sandbox.port}").status_code == 403


def test_the_object_says_why_it_is_refused(api: Api) -> None:
    # An address that leads to loopback where it is called, and that the server does not listen on.
    with pytest.raises(SandboxRefused, match="--allow-host"):
        Sandbox(f"http://0.0.0.0:{api.sandbox.port}").state()


@pytest.mark.parametrize(
    ("sent", "shown", "authenticated"),
    [
        (None, "Basic ***", True),
        ("Basic c29tZTpvdGhlcg==", "Basic ***", False),
        ("bearer secret-token", "bearer ***", False),
        ("secret-token", "***", False),
        ("", "***", False),
    ],
)
def test_a_key_is_recorded_as_right_or_wrong_and_not_shown(
    api: Api, sent: str | None, shown: str, authenticated: bool
) -> None:
    changed = {} if sent is None else {"Authorization": sent}
    api.post(api.track_path, USER, **changed)
    [call] = api.sandbox.requests()
    headers = {name.lower(): value for name, value in call["headers"].items()}
    assert (headers["authorization"], call["authenticated"]) == (shown, authenticated)
    assert headers["moe-appkey"] == api.sandbox.workspace_id


def test_the_key_in_the_body_of_test_connection_is_not_shown(api: Api) -> None:
    body = {"app_id": "SANDBOX_WORKSPACE", "app_secret": "SANDBOX_KEY", "source": "airflow", "region": "01"}
    api.post("/v1/integrations/authentication", body)
    api.post("/v1/integrations/authentication", {**body, "app_secret": "ANOTHER"})
    right, wrong = api.sandbox.requests()
    assert right["body"] == wrong["body"] == {**body, "app_secret": "***"}
    assert (right["authenticated"], wrong["authenticated"]) == (True, False)
