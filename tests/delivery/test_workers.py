from __future__ import annotations

import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.batch import Batch, Envelope
from airflow_provider_moengage.delivery.send.workers import Workers
from airflow_provider_moengage.operations.track_users import USERS


def batch(position: int, *users: str) -> Batch:
    batch = Batch()
    for user in users:
        batch.add(b"", user, Envelope({USERS: 1}), position, {})
    return batch


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(1, 8))
def test_two_rows_of_one_user_never_overtake_one_another(users, concurrency):
    done: dict[str, list[int]] = {}
    running: set[str] = set()
    lock = threading.Lock()

    def deliver(one: Batch) -> None:
        (user,) = one.ids
        with lock:
            assert user not in running
            running.add(user)
        time.sleep(random.choice((0, 0.001)))
        with lock:
            running.discard(user)
            done.setdefault(user, []).append(one.positions[0])

    workers = Workers(deliver, concurrency)
    for position, user in enumerate(users):
        workers.submit(batch(position, user))
    workers.finish()
    assert sorted(position for positions in done.values() for position in positions) == list(
        range(len(users))
    )
    assert all(positions == sorted(positions) for positions in done.values())


def test_so_many_run_at_once_and_no_more():
    running = 0
    most = 0
    lock = threading.Lock()
    together = threading.Barrier(4, timeout=10)

    def deliver(one: Batch) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    workers = Workers(deliver, 4)
    for position in range(8):
        workers.submit(batch(position, str(position)))
    workers.finish()
    assert most == 4


def test_with_one_there_are_no_threads():
    names = []
    workers = Workers(lambda one: names.append(threading.current_thread()), 1)
    workers.submit(batch(0, "a"))
    workers.finish()
    assert names == [threading.current_thread()]


def test_what_a_worker_raises_reaches_the_one_who_hands_over():
    def deliver(one: Batch) -> None:
        raise OSError("disk full")

    workers = Workers(deliver, 2)

    def hand_over() -> None:
        for position in range(100):
            workers.submit(batch(position, str(position)))

    with pytest.raises(OSError, match="disk full"):
        hand_over()
    with pytest.raises(OSError, match="disk full"):
        workers.finish()
