"""What the log says while requests are being repeated."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.errors import MoEngageNetworkError, MoEngageServerError
from airflow_provider_moengage.api.retry_log import INTERVAL, RetryLog

BROKEN = MoEngageServerError("MoEngage answered 503", status=503, message="user-1 is broken")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_repetition_is_logged_at_once(caplog: pytest.LogCaptureFixture):
    RetryLog(6).failed(BROKEN, 1, 2.04)
    assert messages(caplog) == ["MoEngage answered 503: attempt 2 of 6 in 2.0 s (1 request is repeated)"]


def test_sixteen_threads_make_one_line_an_interval(caplog: pytest.LogCaptureFixture):
    clock = Clock()
    retries = RetryLog(6, clock)
    for _ in range(16):
        retries.failed(BROKEN, 1, 2.0)
    clock.now += INTERVAL
    for _ in range(16):
        retries.failed(BROKEN, 2, 4.1)
    assert messages(caplog)[1:] == [
        "MoEngage answered 503: attempt 3 of 6 in 4.1 s (16 requests are repeated)"
    ]


def test_requests_that_have_ended_are_not_counted_any_more(caplog: pytest.LogCaptureFixture):
    clock = Clock()
    retries = RetryLog(6, clock)
    for _ in range(3):
        retries.failed(BROKEN, 1, 2.0)
    retries.ended(1)
    retries.ended(1)
    # One that was never repeated counts for nothing.
    retries.ended(0)
    clock.now += INTERVAL
    retries.failed(BROKEN, 2, 4.0)
    assert messages(caplog)[-1].endswith("attempt 3 of 6 in 4.0 s (1 request is repeated)")


def test_the_last_failure_is_logged_though_a_repetition_was_just_now(caplog: pytest.LogCaptureFixture):
    retries = RetryLog(6, Clock())
    retries.failed(BROKEN, 5, 2.0)
    for _ in range(16):
        retries.given_up(BROKEN)
    assert messages(caplog)[1:] == ["MoEngage answered 503: a request is given up after 6 attempts"]


def test_of_the_network_it_says_what_happened_and_not_what_to_do(caplog: pytest.LogCaptureFixture):
    error = MoEngageNetworkError(
        "host:1 could not be reached (X): check it",
        maybe_processed=False,
        summary="host:1 could not be reached (X)",
    )
    RetryLog(6).failed(error, 1, 2.0)
    assert messages(caplog) == [
        "host:1 could not be reached (X): attempt 2 of 6 in 2.0 s (1 request is repeated)"
    ]
