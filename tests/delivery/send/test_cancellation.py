"""When a run is cancelled, and what from: a signal handler, another thread, or before the run began."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from airflow_provider_moengage.api.errors import MoEngageStopped
from airflow_provider_moengage.delivery.send import cancellation as module
from airflow_provider_moengage.delivery.send.cancellation import Cancellation

#: Longer than any of these tests may take.
FOR_EVER = 40.0


def stops(cancellation: Cancellation) -> bool:
    return cancellation.event.wait(FOR_EVER) and isinstance(cancellation.reason, MoEngageStopped)


def test_a_run_that_is_not_cancelled_takes_no_thread():
    before = threading.active_count()
    with Cancellation().watching():
        assert threading.active_count() == before


def test_a_run_is_stopped_while_it_lasts():
    cancellation = Cancellation()
    with cancellation.watching():
        assert not cancellation.event.is_set()
        cancellation.cancel()
        assert stops(cancellation)


def test_a_run_that_was_cancelled_before_it_began_sends_nothing(monkeypatch: pytest.MonkeyPatch):
    # As if the thread that gives requests in flight their time came late.
    monkeypatch.setattr(module, "start_new_thread", lambda *_: None)
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellation.watching():
        assert cancellation.event.is_set()
        assert isinstance(cancellation.reason, MoEngageStopped)


def test_a_run_that_was_cancelled_before_it_began_is_stopped():
    cancellation = Cancellation()
    cancellation.cancel()
    assert not cancellation.event.is_set()
    with cancellation.watching():
        assert stops(cancellation)


def test_a_cancellation_between_two_runs_stops_the_second():
    cancellation = Cancellation()
    with cancellation.watching():
        pass
    cancellation.cancel()
    with cancellation.watching():
        assert stops(cancellation)


@pytest.mark.parametrize(
    "lock",
    [
        # What the main thread may hold when a signal interrupts it: it sets the event, or starts a thread.
        lambda cancellation: cancellation.event._cond,
        lambda cancellation: threading._active_limbo_lock,  # type: ignore[attr-defined]
    ],
)
def test_a_signal_handler_waits_for_no_lock_of_the_thread_it_interrupts(
    lock: Callable[[Cancellation], threading.Lock],
):
    cancellation = Cancellation()
    before = signal.signal(signal.SIGUSR1, lambda *_: cancellation.cancel())
    try:
        with cancellation.watching():
            with lock(cancellation):
                signal.raise_signal(signal.SIGUSR1)
            assert stops(cancellation)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_requests_are_aborted_again_and_again_from_the_end_of_the_grace_period_to_that_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "ABORT_INTERVAL", 0.01)
    aborted = threading.Semaphore(0)
    cancellation = Cancellation(grace=0.01)
    cancellation.on_abort(aborted.release)
    with cancellation.watching():
        cancellation.cancel()
        assert all(aborted.acquire(timeout=FOR_EVER) for _ in range(3))
