from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.batch import Batch, Envelope
from airflow_provider_moengage.delivery.send import workers as workers_module
from airflow_provider_moengage.delivery.send.workers import Workers
from airflow_provider_moengage.operations.track_users import USERS
from tests.support.batches import add_row
from tests.support.interruption import interruptions

ENVELOPES = Envelope({USERS: 1}, b"[", b"]"), Envelope({USERS: 1}, b"{{[", b"]}}")
#: Seconds after which a test fails that waits for a worker.
LIMIT = 10.0


def batch(
    position: int, *users: str, envelope: Envelope = ENVELOPES[0], contents: Sequence[int] = ()
) -> Batch:
    batch = Batch()
    for place, user in enumerate(users):
        content = b"x" * contents[place] if contents else b""
        add_row(batch, content, user, envelope, position + place, {})
    return batch


class Deliveries:
    """Records when each batch starts and ends, and how many run at once."""

    def __init__(self, seconds: Callable[[], float] = lambda: 0.0) -> None:
        self.started: list[Batch] = []
        self.most = 0
        self._seconds = seconds
        self._running: set[str] = set()
        self._now = 0
        self._changed = threading.Condition()

    def __call__(self, one: Batch) -> None:
        with self._changed:
            assert self._running.isdisjoint(one.ids), "two batches of one user run concurrently"
            self._running |= one.ids
            self._now += 1
            self.most = max(self.most, self._now)
            self.started.append(one)
            self._changed.notify_all()
        time.sleep(self._seconds())
        with self._changed:
            self._running -= one.ids
            self._now -= 1

    @property
    def rows(self) -> dict[str, list[int]]:
        """The positions of each user's rows, in the order in which they started."""
        rows: dict[str, list[int]] = {}
        for one in self.started:
            for user, position in zip(one.users, one.positions, strict=True):
                rows.setdefault(user, []).append(position)
        return rows

    def wait_for_users(self, users: set[str]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: users <= self.rows.keys(), LIMIT), self.rows.keys()


class HotUser(Deliveries):
    """Keeps the first batch of the user ``hot`` in flight until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def __call__(self, one: Batch) -> None:
        super().__call__(one)
        if "hot" in one.ids:
            assert self.release.wait(LIMIT)


class Running:
    """Counts the deliveries that run, as a context manager around each."""

    def __init__(self) -> None:
        self.ended = self._now = 0
        self.threads: set[threading.Thread] = set()
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *_: object) -> None:
        self.ended += 1
        self._count(-1)

    def _count(self, more: int) -> None:
        with self._changed:
            self.threads.add(threading.current_thread())
            self._now += more
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Wait until so many run, and check that no more do."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._now == number, LIMIT), self._now
            assert not self._changed.wait_for(lambda: self._now > number, 0.05)


users = st.sampled_from(["", *"abcdefgh"])
rows = st.lists(st.tuples(users, st.integers(0, 9)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(rows, st.sampled_from(ENVELOPES)), max_size=40), st.integers(1, 6), st.randoms())
def test_two_rows_of_one_user_never_overtake_one_another(drawn, concurrency, chance):
    deliveries = Deliveries(lambda: chance.choice((0, 0, 0.0005, 0.002)))
    workers = Workers(deliveries, concurrency)
    submitted = []
    for one, form in drawn:
        position = submitted[-1].end if submitted else 0
        submitted.append(
            batch(position, *(user for user, _ in one), envelope=form, contents=[size for _, size in one])
        )
        workers.submit(submitted[-1])
    workers.finish()
    delivered = deliveries.rows
    assert sorted(position for positions in delivered.values() for position in positions) == list(
        range(submitted[-1].end if submitted else 0)
    )
    for user, positions in delivered.items():
        assert not user or positions == sorted(positions)
    for one in deliveries.started:
        assert one.positions == sorted(one.positions)
        assert len(set(one.envelopes)) == 1
        # No limit of the endpoint is passed.
        assert len(one) <= max(map(len, submitted))
        assert len(one.body) <= max(other.size for other in submitted)
    assert deliveries.most <= concurrency


def test_a_user_in_every_batch_does_not_hold_up_the_other_users():
    deliveries = HotUser()
    workers = Workers(deliveries, 4)
    for number in range(5):
        workers.submit(batch(3 * number, f"a{number}", "hot", f"b{number}"))
    deliveries.wait_for_users({f"{letter}{number}" for letter in "ab" for number in range(5)})
    assert deliveries.rows["hot"] == [1]
    deliveries.release.set()
    workers.finish()
    assert deliveries.rows["hot"] == [1, 4, 7, 10, 13]


def test_held_rows_of_one_user_leave_together():
    deliveries = HotUser()
    workers = Workers(deliveries, 4)
    for number in range(5):
        workers.submit(batch(3 * number, f"a{number}", "hot", f"b{number}"))
    deliveries.release.set()
    workers.finish()
    # As many as one batch holds, then the rest.
    assert [one.positions for one in deliveries.started if one.ids == {"hot"}] == [[4, 7, 10], [13]]


def test_batches_of_one_row_pass_one_that_waits_for_its_user():
    deliveries = HotUser()
    workers = Workers(deliveries, 4)
    for position in range(12):
        workers.submit(batch(position, "hot" if position % 2 == 0 else f"u{position}"))
    deliveries.wait_for_users({f"u{position}" for position in range(1, 12, 2)})
    assert deliveries.rows["hot"] == [0]
    deliveries.release.set()
    workers.finish()
    assert deliveries.rows["hot"] == [0, 2, 4, 6, 8, 10]


def test_no_more_rows_are_held_than_as_many_batches_as_may_be_in_flight():
    deliveries = HotUser()
    workers = Workers(deliveries, 4)
    submitted: list[int] = []
    enough = threading.Event()

    def submit() -> None:
        for position in range(50):
            workers.submit(batch(position, "hot"))
            submitted.append(position)
            if len(submitted) == 1 + 8:
                enough.set()

    reader = threading.Thread(target=submit)
    reader.start()
    assert enough.wait(LIMIT)
    # Give a reader that goes on a chance to show it.
    reader.join(0.05)
    assert len(submitted) == 1 + 8
    deliveries.release.set()
    reader.join(LIMIT)
    workers.finish()
    assert deliveries.rows["hot"] == list(range(50))


def test_a_server_that_responds_at_once_is_served_by_one_thread(monkeypatch):
    monkeypatch.setattr(workers_module, "SWITCH_INTERVAL", LIMIT)
    threads = set()
    workers = Workers(lambda one: threads.add(threading.current_thread()), 4)
    for number in range(20):
        workers.submit(batch(2 * number, f"a{number}", f"b{number}"))
    workers.finish()
    assert len(threads) == 1
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("rows", [1, 2])
def test_so_many_run_at_once_and_no_more(rows: int):
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
        workers.submit(batch(position * rows, *(f"{position}-{row}" for row in range(rows))))
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


def test_an_error_ends_the_run_while_rows_are_held():
    release = threading.Event()

    def deliver(one: Batch) -> None:
        assert release.wait(LIMIT)
        raise OSError("disk full")

    workers = Workers(deliver, 2)
    for position in range(3):
        workers.submit(batch(position, "hot"))
    release.set()
    with pytest.raises(OSError, match="disk full"):
        workers.finish()


class Useful:
    """The number of threads that are of use, as a test sets it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> int:
        return self.number


def test_threads_are_started_and_sleep_as_they_are_of_use():
    useful, released, running = Useful(1), threading.Semaphore(0), Running()

    def deliver(one: Batch) -> None:
        with running:
            assert released.acquire(timeout=LIMIT)

    workers = Workers(deliver, 8, useful)
    for position in range(20):
        workers.submit(batch(position, str(position)))
    running.wait_for(1)
    useful.number = 4
    workers.open()
    running.wait_for(4)
    # Three of them fall asleep.
    useful.number = 1
    released.release(4)
    running.wait_for(1)
    useful.number = 3
    workers.open()
    running.wait_for(3)
    released.release(20)
    workers.finish()
    assert running.ended == 20
    assert {thread.name for thread in running.threads} == {f"moengage-{number}" for number in range(4)}


def test_what_is_queued_at_the_end_is_delivered_by_as_many_threads_as_are_of_use_then():
    useful, released, running = Useful(1), threading.Semaphore(0), Running()

    def deliver(one: Batch) -> None:
        with running:
            assert released.acquire(timeout=LIMIT)

    workers = Workers(deliver, 8, useful)
    for position in range(20):
        workers.submit(batch(position, str(position)))
    finishing = threading.Thread(target=workers.finish)
    finishing.start()
    useful.number = 5
    released.release(1)
    running.wait_for(5)
    released.release(20)
    finishing.join(LIMIT)
    assert not finishing.is_alive()
    assert running.ended == 20
    assert not any(thread.is_alive() for thread in running.threads)


def test_a_caller_that_waits_goes_on_once_more_threads_are_of_use_than_there_are_batches():
    useful, released, running = Useful(1), threading.Semaphore(0), Running()

    def deliver(one: Batch) -> None:
        with running:
            assert released.acquire(timeout=LIMIT)

    workers = Workers(deliver, 8, useful, read_ahead=0)
    caller = threading.Thread(
        target=lambda: [workers.submit(batch(position, str(position))) for position in range(20)]
    )
    caller.start()
    running.wait_for(1)
    useful.number = 8
    released.release(1)
    running.wait_for(8)
    released.release(20)
    caller.join(LIMIT)
    assert not caller.is_alive()
    workers.finish()
    assert running.ended == 20


# Interrupted within Thread.start(), Python itself leaves a thread that ends at once with a KeyError.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [1, 2])
def test_a_caller_interrupted_anywhere_leaves_no_thread_waiting(size: int):
    workers = Workers(lambda batch: time.sleep(0.0001), 2)

    def steps() -> None:
        for position in range(0, 8 * size, size):
            workers.submit(batch(position, *(f"user-{(position + one) % 3}" for one in range(size))))

    seen = 0
    for event in interruptions(steps):
        finishing = threading.Thread(target=workers.finish, daemon=True)
        finishing.start()
        finishing.join(LIMIT)
        assert not finishing.is_alive(), f"interrupted at event {event}"
        workers = Workers(lambda batch: time.sleep(0.0001), 2)
        seen = event
    assert seen > 10


@pytest.mark.parametrize("rows", [1, 400])
def test_rows_are_read_ahead_while_no_request_ends(rows: int):
    """A thousand rows, or two batches for each worker if these have more; then the caller waits."""
    released = threading.Event()
    workers = Workers(lambda _: released.wait(LIMIT), 2)
    taken = threading.Semaphore(0)
    expected = workers_module.READ_AHEAD if rows == 1 else 4

    def submit() -> None:
        for number in range(expected + 1):
            workers.submit(batch(number * rows, *(f"{number}-{row}" for row in range(rows))))
            taken.release()

    caller = threading.Thread(target=submit)
    caller.start()
    assert all(taken.acquire(timeout=LIMIT) for _ in range(expected))
    # The next one waits for a response.
    assert not taken.acquire(timeout=0.1)
    released.set()
    caller.join(LIMIT)
    assert not caller.is_alive()
    workers.finish()
