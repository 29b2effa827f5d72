"""Worker threads that send batches and keep the order of each user's rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.send.held_rows import HeldRows

#: Seconds after which the interpreter makes a thread that computes release its lock (``sys.getswitchinterval``). A worker
#: waits as long each time it needs the lock back, some twenty times a request, while the caller computes.
SWITCH_INTERVAL = 0.005
#: Rows in flight or queued up to which more are taken, in however many batches: while a rate window is spent, they are read
#: ahead. A few megabytes of memory.
READ_AHEAD = 1_000


class Workers:
    """
    Calls ``deliver`` with batches, ``concurrency`` at a time; if it is 1, in the caller's own thread.

    Two batches that share a user never run concurrently or out of order: rows of a user in flight are taken out of
    their batch and held, while its other rows go on. At most ``2 * concurrency`` batches are in flight or queued, or as
    many as have ``read_ahead`` rows; as many rows as the former have, and one batch more, are held. So memory does not grow
    with the rows.

    The caller's thread may be interrupted anywhere, by the task's timeout. So it waits for nothing while it holds the
    lock, and the lock is a plain one: an exception within ``Condition.__enter__`` would leave it locked forever.

    :param deliver: called with each batch, from any thread; its exceptions are raised again in the caller's thread.
    :param read_ahead: rows in flight or queued up to which more are taken.
    """

    def __init__(
        self, deliver: Callable[[Batch], None], concurrency: int, read_ahead: int = READ_AHEAD
    ) -> None:
        self._deliver = deliver
        self._concurrency = concurrency
        self._read_ahead = read_ahead
        # One more batch is queued per worker, so that none idles while the next rows are read.
        self._max_in_flight = 2 * concurrency
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        #: Batches to deliver, whose users are in flight; None ends the threads.
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        #: Wakes the caller, once each time that it waits.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        #: The batches in flight or queued at which the waiting caller is woken; None: it does not wait.
        self._wake_at: int | None = None
        self._in_flight = self._rows_in_flight = 0
        #: The users in flight, but for those of a batch that is alone there: most often nobody asks for them.
        self._users: set[str] = set()
        self._alone: Batch | None = None
        self._held = HeldRows(self._max_in_flight)
        self._batches_until_wait = 0
        self._error: BaseException | None = None

    def submit(self, batch: Batch) -> None:
        """
        Submit a batch; wait while all workers are busy or too many rows are held.

        :raises BaseException: whatever ``deliver`` raised for an earlier batch.
        """
        if self._concurrency == 1:
            self._deliver(batch)
            return
        while not self._has_taken(batch):
            self._wakes.get()
        # To read a single row takes less than to hand its batch over.
        if len(batch) > 1:
            self._wait_for_fast_response()

    def finish(self) -> None:
        """
        Wait for every submitted batch, and end the threads; may be called again if it is interrupted.

        :raises BaseException: whatever ``deliver`` raised.
        """
        self._queue.put(None)
        while self._threads:
            thread = self._threads[-1]
            # A thread whose start was interrupted has nothing to do.
            if thread.is_alive():
                thread.join()
            self._threads.remove(thread)
        if self._error:
            raise self._error

    def _has_taken(self, batch: Batch) -> bool:
        """Queue a batch, but for the rows that are to be held; return whether there was room for it."""
        with self._lock:
            if self._error:
                raise self._error
            is_full = self._in_flight >= self._max_in_flight and self._rows_in_flight >= self._read_ahead
            if is_full or self._held.full:
                # Woken once for a part of the queue, not for each batch.
                self._wake_at = max(self._concurrency + self._concurrency // 2, self._in_flight * 3 // 4)
                return False
            if self._in_flight:
                users = self._users_in_flight()
                if not (users.isdisjoint(batch.ids) and self._held.users.isdisjoint(batch.ids)):
                    batch = self._held.add(batch, users)
                    if not batch:
                        return True
            self._begin(batch)
            self._queue.put(batch)
        # Start a thread only when needed: if MoEngage responds fast, few suffice.
        if len(self._threads) < min(self._in_flight, self._concurrency):
            self._start_thread()
        return True

    def _wait_for_fast_response(self) -> None:
        """
        Wait until no batch is in flight, unless that takes longer than threads take to hand over the interpreter's lock.

        A server that responds as fast as that gets no more requests from more threads, which only compete for the lock.
        After a slower response, the next batches are submitted without a wait.
        """
        if self._batches_until_wait:
            self._batches_until_wait -= 1
            return
        with self._lock:
            self._wake_at = 0 if self._in_flight else None
            waits = self._in_flight > 0
        if waits:
            with suppress(Empty):
                self._wakes.get(timeout=SWITCH_INTERVAL)
            if self._in_flight:
                self._wake_at = None
                self._batches_until_wait = self._concurrency

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"moengage-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            following: Batch | None = batch
            while following is not None:
                try:
                    if not self._error:
                        self._deliver(following)
                except BaseException as error:
                    # Raised again, in the caller's thread.
                    self._error = error
                following = self._next(following)
        # For the next thread.
        self._queue.put(None)

    def _next(self, done: Batch) -> Batch | None:
        """Settle a delivered batch, and return held rows to deliver next; None: there are none whose users are free."""
        with self._lock:
            self._end(done)
            # Held rows go first: their segments cannot complete without them.
            held = self._held.take(self._users_in_flight()) if self._held.users else None
            if held:
                self._begin(held)
            wakes = self._wake_at is not None and (
                self._in_flight <= self._wake_at or self._error is not None
            )
            if wakes:
                self._wake_at = None
        if wakes:
            self._wakes.put(None)
        return held

    def _begin(self, batch: Batch) -> None:
        if self._in_flight:
            self._users |= batch.ids
        else:
            self._alone = batch
        self._in_flight += 1
        self._rows_in_flight += len(batch)

    def _end(self, batch: Batch) -> None:
        if batch is self._alone:
            self._alone = None
        else:
            self._users -= batch.ids
        self._in_flight -= 1
        self._rows_in_flight -= len(batch)

    def _users_in_flight(self) -> set[str]:
        if self._alone is not None:
            self._users |= self._alone.ids
            self._alone = None
        return self._users
