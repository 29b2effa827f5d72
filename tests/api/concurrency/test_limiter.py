"""The limiter of requests in flight, across threads and rate windows."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_moengage.api.concurrency.limit import START
from airflow_provider_moengage.api.concurrency.limiter import ConcurrencyLimiter
from airflow_provider_moengage.api.errors import MoEngageStopped, MoEngageWindowSpent
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.limiter import Permit, RateLimiter
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.operations.track_users import USERS

#: Seconds after which a test fails that waits for a thread.
LIMIT = 10.0
ONE = {USERS: 1}


def windows(units: int = 10**6) -> RateLimiter:
    return RateLimiter(Workspace(app_id="APP", api_key="KEY", data_center="01", limits={"users": units}))


def end(limiter: ConcurrencyLimiter, permit: Permit, began: float, *, failed: bool = False) -> None:
    permit.settle(RateHeaders(), 503 if failed else 200)
    limiter.release(ONE, began, None if failed else 0.01, failed=failed)


class Askers:
    """Threads that each ask for a permit, and what they got."""

    def __init__(self, limiter: ConcurrencyLimiter, halt: threading.Event, count: int) -> None:
        self.got = threading.Semaphore(0)
        self.permits: list[Permit] = []
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._ask, args=(limiter, halt)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self, limiter: ConcurrencyLimiter, halt: threading.Event) -> None:
        try:
            self.permits.append(limiter.acquire(ONE, halt))
            self.got.release()
        except BaseException as error:
            self.errors.append(error)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.got.acquire(timeout=LIMIT)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(LIMIT)
            assert not thread.is_alive()


def first_request(limiter: ConcurrencyLimiter) -> None:
    end(limiter, limiter.acquire(ONE, threading.Event()), time.monotonic())


def test_no_more_requests_are_in_flight_than_the_limit_and_each_end_lets_one_in():
    limiter = ConcurrencyLimiter(windows(), 2)
    first_request(limiter)
    askers = Askers(limiter, threading.Event(), 4)
    for number in (2, 1, 1):
        askers.wait_for(number)
        assert not askers.got.acquire(timeout=0.05)
        end(limiter, askers.permits.pop(0), time.monotonic())
    askers.wait_for(0)
    end(limiter, askers.permits.pop(0), time.monotonic())
    askers.join()
    assert limiter.peak == 2


def test_a_stopped_run_lets_no_thread_wait():
    limiter, halt = ConcurrencyLimiter(windows(), 1), threading.Event()
    permit = limiter.acquire(ONE, halt)
    askers = Askers(limiter, halt, 5)
    halt.set()
    limiter.stop()
    askers.join()
    assert [type(error) for error in askers.errors] == [MoEngageStopped] * 5
    end(limiter, permit, time.monotonic())


def test_only_one_thread_waits_for_a_spent_window():
    rate_limiter = windows(1)
    limiter, halt = ConcurrencyLimiter(rate_limiter, 8), threading.Event()
    first_request(limiter)
    askers = Askers(limiter, halt, 8)
    deadline = time.monotonic() + LIMIT
    while rate_limiter.resets_in is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert len(rate_limiter.window(USERS)._sleepers) == 1
    halt.set()
    rate_limiter.wake()
    limiter.stop()
    askers.join()
    assert len(askers.errors) == 8


def test_a_window_that_is_not_waited_for_leaves_the_turn_to_the_next_thread():
    limiter = ConcurrencyLimiter(windows(1), 4)
    first_request(limiter)
    for _ in range(3):
        with pytest.raises(MoEngageWindowSpent):
            limiter.acquire(ONE, threading.Event(), None, 1.0)


def test_a_thread_that_pauses_makes_another_one_useful():
    limiter = ConcurrencyLimiter(windows(), 64)
    called = []
    limiter.on_pause(lambda: called.append(limiter.threads))
    assert limiter.threads == START
    began = time.monotonic()
    permits = [limiter.acquire(ONE, threading.Event())]
    end(limiter, permits[0], began, failed=True)
    before = limiter.threads
    assert before < START
    with limiter.pausing():
        assert limiter.threads == before + 1
    assert called == [before + 1]
    assert limiter.threads == before
