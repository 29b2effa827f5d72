from __future__ import annotations

import time

import pytest

from airflow_provider_moengage.sandbox.window import RateWindow
from tests.sandbox.conftest import Api, error_of
from tests.support.waiting import wait_until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_window_is_fixed_and_opens_with_the_first_unit() -> None:
    clock = Clock()
    window = RateWindow("users", 3, 60.0, clock)
    clock.now += 30
    assert window.reset_seconds == 60
    assert window.spend(2)
    clock.now += 59
    assert window.spend(1)
    assert (window.remaining, window.reset_seconds) == (0, 1)
    assert not window.spend(1)
    clock.now += 1
    assert (window.remaining, window.reset_seconds) == (3, 60)
    assert window.spend(3)
    assert (window.used_total, window.rejected_429) == (6, 1)


def test_a_window_that_has_ended_stays_to_be_seen() -> None:
    clock = Clock()
    window = RateWindow("users", 3, 60.0, clock)
    for units in (2, 2, 1):
        window.spend(units)
    assert window.as_json()["ended"] == []
    clock.now += 60
    window.spend(1)
    clock.now += 90
    ended = window.as_json()["ended"]
    assert [(one["used"], one["rejected_429"]) for one in ended] == [(3, 1), (1, 0)]
    assert all(abs(one["opened"] - time.time()) < 60 for one in ended)


def test_a_call_that_does_not_fit_costs_nothing() -> None:
    window = RateWindow("users", 5, 60.0, Clock())
    assert window.spend(3)
    assert not window.spend(3)
    assert window.remaining == 2


def test_a_lowered_limit_leaves_nothing_rather_than_less() -> None:
    window = RateWindow("users", 5, 60.0, Clock())
    window.spend(4)
    window.limit = 2
    assert window.remaining == 0


def test_every_authenticated_answer_tells_the_window(api: Api) -> None:
    first = api.track()
    assert first.headers["x-ratelimit-limit"] == "10000; w=60"
    assert first.headers["x-ratelimit-remaining"] == "9999"
    assert 58 <= int(first.headers["x-ratelimit-reset"]) <= 60
    refused = api.track(customer_id=5)
    assert refused.status_code == 400
    assert refused.headers["x-ratelimit-remaining"] == "9998"
    assert api.post(api.track_path, b"{").headers["x-ratelimit-remaining"] == "9998"


def test_a_spent_window_is_a_429_and_a_new_one_takes_calls_again(api: Api) -> None:
    api.sandbox.settings(users_per_minute=3, window_seconds=5.0)
    assert [api.track().status_code for _ in range(3)] == [200, 200, 200]
    spent = api.track()
    assert spent.status_code == 429
    error = error_of(spent)
    assert (error["type"], error["message"]) == (
        "Rate Limit Exceeded",
        "Rate Limits for User / Event exceeded",
    )
    assert spent.headers["x-ratelimit-limit"] == "3; w=5"
    assert spent.headers["x-ratelimit-remaining"] == "0"
    assert "retry-after" not in spent.headers
    wait_until(lambda: api.track().status_code == 200, "a new window takes calls")
    assert api.sandbox.users("john")["john"]["updates"] == 4


def test_each_quota_has_its_own_window_and_get_user_costs_one_a_user(api: Api) -> None:
    identifiers = [{"identifier_type": "customer_id", "identifier": f"user{n}"} for n in range(20)]
    exported = api.export(identifiers)
    assert exported.headers["x-ratelimit-limit"] == "1000; w=60"
    assert exported.headers["x-ratelimit-remaining"] == "980"
    assert api.track().headers["x-ratelimit-remaining"] == "9999"
    api.sandbox.settings(get_users_per_minute=30)
    assert api.export(identifiers).status_code == 429
    assert api.export(identifiers[:10]).status_code == 200
    windows = {window["quota"]: window for window in api.sandbox.state()["windows"]}
    assert windows["get_users"]["used_total"] == 30
    assert windows["get_users"]["rejected_429"] == 1
    assert windows["users"]["remaining"] == 9_999


@pytest.mark.parametrize(
    ("style", "limit"), [("semicolon", "5; w=60"), ("comma", "5, 5;w=60"), ("bare", "5"), ("none", None)]
)
def test_the_limit_is_spelled_as_set(api: Api, style: str, limit: str | None) -> None:
    api.sandbox.settings(users_per_minute=5, limit_style=style)
    headers = api.track().headers
    assert headers.get("x-ratelimit-limit") == limit
    assert headers.get("x-ratelimit-remaining") == (None if limit is None else "4")
    assert ("x-ratelimit-reset" in headers) is (limit is not None)


@pytest.mark.parametrize(("style", "reset"), [("ceil", "2"), ("floor", "1")])
def test_the_reset_is_rounded_as_set(api: Api, style: str, reset: str) -> None:
    api.sandbox.settings(window_seconds=1.9, reset_style=style)
    assert api.track().headers["x-ratelimit-reset"] == reset


def test_the_reset_can_be_an_epoch_second(api: Api) -> None:
    api.sandbox.settings(reset_style="epoch")
    before = time.time()
    reset = int(api.track().headers["x-ratelimit-reset"])
    assert before + 59 <= reset <= time.time() + 61
