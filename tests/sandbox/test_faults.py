from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox, running_sandbox
from airflow_provider_moengage.sandbox.client import SandboxRefused
from tests.sandbox.conftest import Api, error_of
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (400, "MissingAttributeError"),
        (401, "Authentication required"),
        (403, "Account Suspended"),
        (408, "Request Timeout"),
        (409, "Authentication Mismatch"),
        (413, "Payload too large"),
        (415, "Unsupported Media Type"),
        (429, "Rate Limit Exceeded"),
        (500, "Internal Server Error"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (599, "Status 599"),
    ],
)
def test_a_status_is_answered_with_its_documented_body_and_nothing_is_stored(
    api: Api, status: int, type_: str
) -> None:
    api.sandbox.fault(kind="status", status=status, times=1)
    response = api.track({"plan": "gold"})
    assert response.status_code == status
    assert error_of(response)["type"] == type_
    assert api.sandbox.users() == {}
    assert api.track({"plan": "gold"}).status_code == 200


def test_an_injected_429_tells_the_window_as_a_real_one_and_costs_nothing(api: Api) -> None:
    api.track()
    api.sandbox.fault(kind="status", status=429, times=1)
    limited = api.track()
    assert limited.headers["x-ratelimit-limit"] == "10000; w=60"
    assert limited.headers["x-ratelimit-remaining"] == "0"
    assert int(limited.headers["x-ratelimit-reset"]) > 0
    assert api.track().headers["x-ratelimit-remaining"] == "9998"


@pytest.mark.parametrize(("body", "content"), [("empty", ""), ("html", "<h1>429 Too Many Requests</h1>")])
def test_a_gateway_answers_without_json_and_without_rate_headers(api: Api, body: str, content: str) -> None:
    api.sandbox.fault(kind="status", status=429, body=body)
    response = api.track()
    assert response.status_code == 429
    assert content in response.text
    assert (response.text == "") is (body == "empty")
    assert not [name for name in response.headers if name.startswith("x-ratelimit")]


def test_headers_of_a_fault_are_added_replaced_and_removed(api: Api) -> None:
    headers = {"Retry-After": "7", "X-RateLimit-Reset": "3", "x-ratelimit-limit": None}
    api.sandbox.fault(kind="status", status=429, headers=headers)
    answer = api.track().headers
    assert (answer["retry-after"], answer["x-ratelimit-reset"]) == ("7", "3")
    assert "x-ratelimit-limit" not in answer
    assert answer["x-ratelimit-remaining"] == "0"


def test_type_and_message_of_the_error_can_be_chosen(api: Api) -> None:
    api.sandbox.fault(kind="status", status=400, type="Blacklisted", message="The workspace is blacklisted")
    error = error_of(api.track())
    assert (error["type"], error["message"]) == ("Blacklisted", "The workspace is blacklisted")


def test_ip_validation_has_its_own_body(api: Api) -> None:
    api.sandbox.fault(kind="status", status=403, type="IP Validation Required", message="Who are you?")
    assert api.track().json() == {"error": "IP Validation Required", "message": "Who are you?"}


def test_fail_200_says_fail_and_stores_nothing(api: Api) -> None:
    api.sandbox.fault(kind="fail_200")
    response = api.track({"plan": "gold"})
    assert response.status_code == 200
    assert error_of(response)["message"]
    assert api.sandbox.users() == {}


def test_a_slow_call_is_stored_when_it_is_worked_on(api: Api) -> None:
    api.sandbox.fault(kind="slow", seconds=0.3, times=1)
    started = time.monotonic()
    assert api.track({"plan": "gold"}).status_code == 200
    assert time.monotonic() - started >= 0.3
    assert api.stored() == {"plan": "gold"}
    assert api.sandbox.requests()[0]["fault"] == "slow"


def test_a_slow_call_is_stored_though_its_client_has_gone(api: Api) -> None:
    api.sandbox.fault(kind="slow", seconds=3, times=1)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            api.sandbox.url + api.track_path,
            json={"type": "customer", "customer_id": "john", "attributes": {"plan": "gold"}},
            headers=api.headers(),
            timeout=0.5,
        )
    assert api.sandbox.users() == {}
    wait_until(lambda: bool(api.sandbox.users()), "the call is stored")
    assert api.stored() == {"plan": "gold"}


def test_a_slow_call_of_before_a_reset_does_not_reach_into_what_follows(api: Api) -> None:
    api.sandbox.fault(kind="slow", seconds=1, times=1)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            api.sandbox.url + api.track_path,
            json={"type": "customer", "customer_id": "john", "attributes": {}},
            headers=api.headers(),
            timeout=0.5,
        )
    api.sandbox.reset()
    # A call that is as slow and came later is answered after the first one would have been stored.
    api.sandbox.fault(kind="slow", seconds=1, times=1)
    assert api.track(customer_id="ann").status_code == 200
    assert list(api.sandbox.users()) == ["ann"]


def test_a_slow_fault_and_another_fault_can_befall_one_call(api: Api) -> None:
    api.sandbox.fault(kind="slow", seconds=0.2)
    api.sandbox.fault(kind="status", status=503)
    started = time.monotonic()
    assert api.track().status_code == 503
    assert time.monotonic() - started >= 0.2


@pytest.fixture(scope="module", params=["httptools", "h11"])
def sandbox_of_each_parser(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with running_sandbox(http=request.param) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("kind", "stored"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_gives_no_answer(
    sandbox_of_each_parser: Sandbox, kind: str, stored: int
) -> None:
    sandbox = sandbox_of_each_parser
    sandbox.reset()
    sandbox.fault(kind=kind, times=1)
    api = Api(sandbox)
    with pytest.raises(requests.ConnectionError, match="without response"):
        api.track({"plan": "gold"})
    assert len(sandbox.users()) == stored
    assert sandbox.state()["windows"][0]["used_total"] == stored
    [request] = sandbox.requests()
    assert (request["status"], request["fault"]) == (None, kind)
    assert sandbox.state()["requests_by_status"] == {"dropped": 1}
    assert api.track({"plan": "gold"}).status_code == 200


def test_a_dropped_keep_alive_connection_gives_no_answer(sandbox_of_each_parser: Sandbox) -> None:
    sandbox = sandbox_of_each_parser
    sandbox.reset()
    api = Api(sandbox)
    assert api.track().status_code == 200
    sandbox.fault(kind="drop_after", times=1)
    with pytest.raises(requests.ConnectionError):
        api.track({"plan": "gold"})
    assert sandbox.users("john")["john"]["updates"] == 2


def test_a_call_that_is_refused_is_dropped_after_its_refusal_too(api: Api) -> None:
    api.sandbox.settings(users_per_minute=0)
    api.sandbox.fault(kind="drop_after", times=1)
    with pytest.raises(requests.ConnectionError, match="without response"):
        api.track()
    assert api.sandbox.state()["windows"][0]["rejected_429"] == 1
    assert api.track().status_code == 429


def test_a_body_that_ends_in_the_middle_is_no_call(sandbox_of_each_parser: Sandbox) -> None:
    sandbox = sandbox_of_each_parser
    sandbox.reset()
    with socket.create_connection((sandbox.host, sandbox.port)) as client:
        client.sendall(b"POST /v1/customer/X HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    time.sleep(0.2)
    assert sandbox.requests() == []


def test_times_after_and_path_choose_the_calls(api: Api) -> None:
    api.sandbox.fault(kind="status", status=500, times=2, after=1, path="/customer/")
    assert [api.track().status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    api.sandbox.clear_faults()
    api.sandbox.fault(kind="status", status=500, path="/customers/export")
    assert api.track().status_code == 200
    assert api.export([{"identifier_type": "customer_id", "identifier": "john"}]).status_code == 500


def test_a_fault_of_one_customer_spares_the_others(api: Api) -> None:
    api.sandbox.fault(kind="status", status=503, customer_id="john")
    assert api.track(customer_id="jane").status_code == 200
    assert api.track(customer_id="john").status_code == 503
    asked = [{"identifier_type": "customer_id", "identifier": name} for name in ("jane", "john")]
    assert api.export(asked).status_code == 503
    assert api.export(asked[:1]).status_code == 200


def test_a_rate_is_repeatable_under_one_seed(api: Api) -> None:
    def statuses(seed: int) -> list[int]:
        api.sandbox.reset()
        api.sandbox.settings(seed=seed)
        api.sandbox.fault(kind="status", status=503, rate=0.3)
        return [api.track().status_code for _ in range(60)]

    first = statuses(7)
    assert set(first) == {200, 503}
    assert statuses(7) == first
    assert statuses(8) != first


def test_what_the_gate_refuses_uses_up_no_fault(api: Api) -> None:
    api.sandbox.fault(kind="status", status=503, times=1)
    assert api.post(api.track_path, {}, Authorization="Basic x").status_code == 401
    assert api.post(api.track_path, b"{").status_code == 400
    assert api.sandbox.faults()[0]["fired"] == 0
    assert api.track().status_code == 503
    assert api.sandbox.faults()[0]["fired"] == 1


def test_a_list_of_faults_is_taken_and_lifted(api: Api) -> None:
    faults = [{"kind": "status", "status": 500, "times": 1}, {"kind": "status", "status": 502, "times": 1}]
    assert requests.post(api.sandbox.url + "/_sandbox/faults", json=faults, timeout=5).status_code == 200
    assert [api.track().status_code for _ in range(3)] == [500, 502, 200]
    assert [fault["fired"] for fault in api.sandbox.faults()] == [1, 1]
    api.sandbox.clear_faults()
    assert api.sandbox.faults() == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "explode"}, "kind is one of: status, slow, drop_before, drop_after, fail_200"),
        ({}, "kind is one of"),
        ({"kind": "status"}, "needs a status"),
        ({"kind": "status", "status": 99}, "status is a whole number from 200 to 599"),
        ({"kind": "status", "status": True}, "status is a whole number"),
        ({"kind": "slow", "second": 1}, "unknown in a fault: second; known are: kind, status"),
        ({"kind": "slow", "seconds": "1"}, "seconds is a number"),
        ({"kind": "slow", "rate": 2}, "rate is a number from 0 to 1"),
        ({"kind": "slow", "times": -1}, "times is a whole number or null"),
        ({"kind": "slow", "after": 1.5}, "after is a whole number"),
        ({"kind": "slow", "body": "xml"}, "body is one of"),
        ({"kind": "slow", "headers": {"a": 1}}, "headers is an object"),
        ({"kind": "slow", "path": None}, "path is a string"),
    ],
)
def test_a_fault_that_is_described_wrongly_is_refused_with_the_reason(
    api: Api, fault: dict[str, Any], message: str
) -> None:
    with pytest.raises(SandboxRefused, match=message):
        api.sandbox.fault(**fault)
    assert api.sandbox.faults() == []


@pytest.mark.parametrize("status", [204, 302, 304])
def test_a_status_outside_the_documented_ones_is_a_proper_answer_too(
    sandbox_of_each_parser: Sandbox, status: int
) -> None:
    sandbox = sandbox_of_each_parser
    sandbox.reset()
    sandbox.fault(kind="status", status=status, times=1)
    api = Api(sandbox)
    assert api.track().status_code == status
    assert api.track().status_code == 200
