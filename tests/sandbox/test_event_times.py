from __future__ import annotations

import time
from typing import Any

import pytest

from tests.sandbox.conftest import Api


@pytest.mark.parametrize(
    ("times", "stored"),
    [
        ({"current_time": 1433837969}, "2015-06-09T08:19:29Z"),
        ({"current_time": "1433837969"}, "2015-06-09T08:19:29Z"),
        ({"current_time": "2020-05-31T16:33:35Z"}, "2020-05-31T16:33:35Z"),
        ({"current_time": "2020-05-31T16:33:35.123456789Z"}, "2020-05-31T16:33:35Z"),
        ({"current_time": "2020-05-31T16:33:35+05:30"}, "2020-05-31T11:03:35Z"),
        ({"current_time": "2020-05-31T16:33:35-0130"}, "2020-05-31T18:03:35Z"),
        ({"current_time": "2020-05-31T16:33:35"}, "2020-05-31T16:33:35Z"),
        ({"current_time": "2020-05-31"}, "2020-05-31T00:00:00Z"),
        ({"current_time": -1}, "1969-12-31T23:59:59Z"),
        ({"current_time": 0}, "1970-01-01T00:00:00Z"),
        ({"user_time": "2020-05-31T16:33:35Z"}, "2020-05-31T16:33:35Z"),
        ({"user_time": "2020-05-31T16:33:35Z", "user_timezone_offset": 19800}, "2020-05-31T11:03:35Z"),
        ({"user_time": 1590942815, "user_timezone_offset": 19800}, "2020-05-31T11:03:35Z"),
        (
            {
                "user_time": "2020-05-31T16:33:35Z",
                "current_time": "2020-05-31T11:03:35Z",
                "user_timezone_offset": 19800,
            },
            "2020-05-31T11:03:35Z",
        ),
        ({"user_time": "0001-01-02", "user_timezone_offset": 54000}, "0001-01-01T09:00:00Z"),
    ],
)
def test_a_time_in_a_documented_form_is_understood(api: Api, times: dict[str, Any], stored: str) -> None:
    api.event({"action": "a", **times})
    assert [event["time"] for event in api.sandbox.events()] == [stored]
    assert api.sandbox.bent() == []


@pytest.mark.parametrize(
    ("times", "named"),
    [
        ({"current_time": "1712567385726"}, ["current_time"]),
        ({"current_time": 1712567385726}, ["current_time"]),
        ({"user_time": "1712567385726"}, ["user_time"]),
        ({"user_time": "1712567385726", "current_time": "1712567385726"}, ["current_time", "user_time"]),
        ({"user_time": 1712567385726, "current_time": 1712567385}, ["user_time"]),
    ],
)
def test_milliseconds_are_understood_and_told(api: Api, times: dict[str, Any], named: list[str]) -> None:
    api.event({"action": "a", **times})
    assert [event["time"] for event in api.sandbox.events()] == ["2024-04-08T09:09:45Z"]
    assert [(bent["attribute"], bent["what"]) for bent in api.sandbox.bent()] == [
        (name, "taken as milliseconds: a time is documented in seconds") for name in named
    ]


def test_a_time_is_told_though_another_is_used(api: Api) -> None:
    api.event({"action": "a", "user_time": "yesterday", "current_time": 1712567385})
    assert [event["time"] for event in api.sandbox.events()] == ["2024-04-08T09:09:45Z"]
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["user_time"]


def test_an_event_without_a_time_happened_when_it_was_received(api: Api) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    api.event("a")
    [event] = api.sandbox.events()
    assert before <= event["time"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@pytest.mark.parametrize(
    "value", ["yesterday", "2020-13-01", "2020-05-31 +05:30", "0001-01-01", "", True, None, [], 10**13, 1e300]
)
def test_a_time_in_no_documented_form_is_ignored(api: Api, value: Any) -> None:
    assert api.event({"action": "a", "current_time": value}).status_code == 200
    assert len(api.sandbox.events()) == 1
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["current_time"]


def test_a_future_event_is_not_accepted_beyond_a_minute(api: Api) -> None:
    now = time.time()
    near, far = {"action": "near", "current_time": now + 50}, {"action": "far", "current_time": now + 120}
    assert api.event(near, far).status_code == 200
    assert [event["action"] for event in api.sandbox.events()] == ["near"]
    [bent] = api.sandbox.bent()
    assert (bent["attribute"], bent["what"]) == ("far", "event not stored: it lies in the future")
