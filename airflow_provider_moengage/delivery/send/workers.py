"""Worker threads that send batches and keep the order of each user's rows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.send.held_rows import HeldRows

#: Seconds after which the interpreter makes a thread that computes release its lock (``sys.getswitchinterval``). A worker
#: waits as long each time it needs the lock back, some twenty times a request, while the caller computes.
SWITCH_INTERVAL = 0.005


class Workers:
    """
    Calls ``deliver`` with batches, ``concurrency`` at a time; if it is 1, in the caller's own thread.

    Two batches that share a user never run concurrently or out of order: rows of a user in flight are taken out of
    their batch and held, while its other rows go on. At most ``2 * concurrency`` batches are in flight or queued, and
    at most as many rows, and one batch more, are held; so memory does not grow with the rows.

    :param deliver: called with each batch, from any thread; its exceptions are raised again in the caller's thread.
    """

    def __init__(self, deliver: Callable[[Batch], None], concurrency: int) -> None:
        self._deliver = deliver
        self._concurrency = concurrency
        # One more batch is queued per worker, so that none idles while the next rows are read.
        self._max_in_flight = 2 * concurrency
        self._threads: list[threading.Thread] = []
        lock = threading.Lock()
        #: Workers wait for batches, the caller waits for room.
        self._ready, self._room = threading.Condition(lock), threading.Condition(lock)
        self._queue: deque[Batch] = deque()
        self._in_flight = 0
        #: The users in flight, but for those of a batch that is alone there: most often nobody asks for them.
        self._users: set[str] = set()
        self._alone: Batch | None = None
        self._held = HeldRows(self._max_in_flight)
        self._batches_until_wait = 0
        self._finishing = False
        self._error: BaseException | None = None

    def submit(self, batch: Batch) -> None:
        """
        Submit a batch; wait while all workers are busy or too many rows are held.

        :raises BaseException: whatever ``deliver`` raised for an earlier batch.
        """
        if self._concurrency == 1:
            self._deliver(batch)
            return
        with self._room:
            while self._error is None and (self._in_flight >= self._max_in_flight or self._held.full):
                self._room.wait()
            if self._error:
                raise self._error
            if self._in_flight:
                users = self._users_in_flight()
                if not (users.isdisjoint(batch.ids) and self._held.users.isdisjoint(batch.ids)):
                    batch = self._held.add(batch, users)
                    if not batch:
                        return
            self._queue.append(batch)
            self._begin(batch)
            # Start a thread only when needed: if MoEngage responds fast, few suffice.
            if self._in_flight > len(self._threads) and len(self._threads) < self._concurrency:
                self._start_thread()
            self._ready.notify()
            # To read a single row takes less than to hand its batch over.
            if len(batch) > 1:
                self._wait_for_fast_response()

    def finish(self) -> None:
        """
        Wait for every submitted batch, and end the threads.

        :raises BaseException: whatever ``deliver`` raised.
        """
        with self._ready:
            self._finishing = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._error:
            raise self._error

    def _wait_for_fast_response(self) -> None:
        """
        Wait until no batch is in flight, unless that takes longer than threads take to hand over the interpreter's lock.

        A server that responds as fast as that gets no more requests from more threads, which only compete for the lock.
        After a slower response, the next batches are submitted without a wait.
        """
        if self._batches_until_wait:
            self._batches_until_wait -= 1
        elif not self._room.wait_for(lambda: not self._in_flight or self._error, SWITCH_INTERVAL):
            self._batches_until_wait = self._concurrency

    def _start_thread(self) -> None:
        name = f"moengage-{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        batch = None
        while (batch := self._next(batch)) is not None:
            try:
                self._deliver(batch)
            except BaseException as error:
                # Raised again, in the caller's thread.
                self._error = error

    def _next(self, done: Batch | None) -> Batch | None:
        """Settle a delivered batch, and wait for the next; None: there will be none."""
        with self._ready:
            if done is not None:
                self._end(done)
                # Wake the caller once for half the queue, not for each batch.
                if self._error is not None or len(self._queue) <= self._concurrency // 2:
                    self._room.notify()
            while self._error is None:
                # Held rows go first: their segments cannot complete without them.
                if batch := self._held.take(self._users_in_flight()):
                    self._begin(batch)
                    # More of them may be free, and there may be room again.
                    self._ready.notify()
                    self._room.notify()
                    return batch
                if self._queue:
                    return self._queue.popleft()
                if self._finishing and self._in_flight <= 0:
                    break
                self._ready.wait()
            self._ready.notify_all()
            return None

    def _begin(self, batch: Batch) -> None:
        if self._in_flight:
            self._users |= batch.ids
        else:
            self._alone = batch
        self._in_flight += 1

    def _end(self, batch: Batch) -> None:
        if batch is self._alone:
            self._alone = None
        else:
            self._users -= batch.ids
        self._in_flight -= 1

    def _users_in_flight(self) -> set[str]:
        if self._alone is not None:
            self._users |= self._alone.ids
            self._alone = None
        return self._users
