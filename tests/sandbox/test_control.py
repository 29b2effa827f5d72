from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox.client import SandboxRefused
from tests.sandbox.conftest import Api


def test_the_front_page_says_what_this_is(api: Api) -> None:
    page = requests.get(api.sandbox.url, timeout=5)
    assert "MoEngage sandbox" in page.text
    assert "/_sandbox/state" in page.text


def test_the_state_counts_what_happened(api: Api) -> None:
    api.track({"plan": "gold"})
    api.track({"plan": "free"})
    api.track(customer_id=5)
    state = api.sandbox.state()
    assert state["workspace_id"] == "SANDBOX_WORKSPACE"
    assert (state["users"], state["requests"], state["updates"], state["bent"]) == (1, 3, 2, 0)
    assert state["requests_by_status"] == {"200": 2, "400": 1}
    assert state["faults"] == []
    assert state["settings"]["users_per_minute"] == 10_000
    windows = {window["quota"]: window for window in state["windows"]}
    users = windows["users"]
    assert 0 < users.pop("reset_seconds") <= 60
    assert users == {
        "quota": "users",
        "limit": 10_000,
        "remaining": 9_997,
        "used_total": 3,
        "rejected_429": 0,
        "ended": [],
    }
    assert {quota: window["limit"] for quota, window in windows.items()} == {
        "users": 10_000,
        "get_users": 1_000,
        "events": 30_000,
        "devices": 10_000,
        "opt_out_devices": 1_000,
        "bulk_users": 10_000,
        "bulk_events": 30_000,
        "bulk_devices": 10_000,
        "merge_users": 1_000,
        "delete_users": 5_000,
        "cohort_syncs": 300,
    }


def test_users_are_paged_in_the_order_of_their_creation(api: Api) -> None:
    for n in range(5):
        api.track(customer_id=f"user{n}")
    page = requests.get(api.sandbox.url + "/_sandbox/users?offset=1&limit=2", timeout=5).json()
    assert page["total"] == 5
    assert [user["customer_id"] for user in page["users"]] == ["user1", "user2"]
    assert list(api.sandbox.users()) == [f"user{n}" for n in range(5)]
    assert list(api.sandbox.users("user3")) == ["user3"]
    assert api.sandbox.users("nobody") == {}


def test_more_users_than_one_page_come_back_whole(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_moengage.sandbox.client.PAGE", 2)
    for n in range(5):
        api.track(customer_id=f"user{n}")
    assert len(api.sandbox.users()) == 5
    assert len(api.sandbox.requests()) == 5


@pytest.mark.parametrize("query", ["offset=-1", "limit=x"])
def test_a_page_that_cannot_be_is_a_400(api: Api, query: str) -> None:
    for what in ("users", "requests", "events", "devices", "cohorts"):
        assert requests.get(f"{api.sandbox.url}/_sandbox/{what}?{query}", timeout=5).status_code == 400


def test_requests_are_recorded_in_their_order_with_all_that_was_sent(api: Api) -> None:
    before = time.time()
    api.track({"plan": "gold"}, path=api.track_path + "?project_code=p1")
    answered = api.post("/v1/nothing", b"no json", method="PUT").json()
    first, second = api.sandbox.requests()
    assert first["method"] == "POST"
    assert first["path"] == api.track_path
    assert first["query"] == {"project_code": "p1"}
    assert first["headers"]["moe-appkey"] == "SANDBOX_WORKSPACE"
    assert first["body"] == {"type": "customer", "customer_id": "john", "attributes": {"plan": "gold"}}
    assert (first["status"], first["fault"]) == (200, None)
    assert before <= first["at"] <= second["at"] <= time.time()
    assert (second["method"], second["body"], second["status"]) == ("PUT", "no json", 404)
    assert second["request_id"] == answered["error"]["request_id"]


def test_the_oldest_requests_are_forgotten(api: Api) -> None:
    api.sandbox.settings(requests_kept=3)
    for n in range(5):
        api.track({"n": n})
    assert [request["body"]["attributes"]["n"] for request in api.sandbox.requests()] == [2, 3, 4]
    assert api.sandbox.state()["requests"] == 5


def test_a_reset_clears_everything_and_restores_the_settings(api: Api) -> None:
    api.sandbox.settings(users_per_minute=1, latency_seconds=0.01)
    api.sandbox.fault(kind="slow", seconds=0)
    api.track({"moe_x": 1})
    api.sandbox.settings(users_per_minute=9)
    api.event("a")
    api.device()
    api.sandbox.reset()
    state = api.sandbox.state()
    assert (state["events"], state["devices"]) == (0, 0)
    assert (state["users"], state["requests"], state["updates"], state["bent"]) == (0, 0, 0, 0)
    assert (state["requests_by_status"], state["faults"]) == ({}, [])
    assert {window["used_total"] for window in state["windows"]} == {0}
    assert state["settings"]["users_per_minute"] == 10_000
    assert state["settings"]["latency_seconds"] == 0
    assert api.track().headers["x-ratelimit-remaining"] == "9999"


def test_settings_change_one_by_one(api: Api) -> None:
    assert api.sandbox.settings(window_seconds=2)["window_seconds"] == 2
    assert api.sandbox.settings(users_per_minute=7)["window_seconds"] == 2
    assert api.sandbox.settings()["users_per_minute"] == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_per_minute": 5}, "unknown settings: user_per_minute; known are: users_per_minute, "),
        ({"users_per_minute": "5"}, "users_per_minute is of type int"),
        ({"users_per_minute": True}, "users_per_minute is of type int"),
        ({"users_per_minute": -1}, "users_per_minute is at least 0"),
        ({"window_seconds": 0}, "window_seconds is above 0"),
        ({"limit_style": "spaces"}, "limit_style is one of: semicolon, comma, bare, none"),
        ({"allowed_ips": "1.2.3.4"}, "allowed_ips is a list of strings"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_reason(
    api: Api, changes: dict[str, Any], message: str
) -> None:
    before = api.sandbox.settings()
    with pytest.raises(SandboxRefused, match=message):
        api.sandbox.settings(**changes)
    assert api.sandbox.settings() == before


@pytest.mark.parametrize("path", ["settings", "faults"])
def test_a_control_body_that_is_no_json_is_a_400(api: Api, path: str) -> None:
    for body in (b"{", b"\xff", b"7"):
        assert requests.post(f"{api.sandbox.url}/_sandbox/{path}", data=body, timeout=5).status_code == 400


def test_latency_delays_the_api_and_not_the_control_endpoints(api: Api) -> None:
    api.sandbox.settings(latency_seconds=0.3)
    started = time.monotonic()
    api.track()
    assert time.monotonic() - started >= 0.3
    api.sandbox.settings(latency_seconds=60)
    started = time.monotonic()
    api.sandbox.state()
    assert time.monotonic() - started < 60


def test_no_fault_befalls_the_control_endpoints_and_they_are_not_recorded(api: Api) -> None:
    api.sandbox.fault(kind="drop_before")
    api.sandbox.state()
    assert requests.get(api.sandbox.url + "/_sandbox/nothing", timeout=5).status_code == 404
    assert requests.get(api.sandbox.url + "/_sandbox/reset", timeout=5).status_code == 405
    assert api.sandbox.requests() == []
    assert api.sandbox.faults()[0]["fired"] == 0


def test_any_unicode_comes_back_as_it_was_sent(api: Api) -> None:
    body = json.dumps(
        {"type": "customer", "customer_id": "jörg ✓", "attributes": {"odd": "\ud800", "é": "日本"}}
    )
    assert api.post(api.track_path, body.encode()).status_code == 200
    assert api.stored("jörg ✓") == {"odd": "\ud800", "é": "日本"}
