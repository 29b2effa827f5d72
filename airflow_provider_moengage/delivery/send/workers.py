"""Worker threads that send batches and keep the order of each user's rows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from airflow_provider_moengage.api.rate_limit.waits import SIGNAL_INTERVAL
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.send.held_rows import HeldRows

#: Seconds after which the interpreter makes a thread that computes release its lock (``sys.getswitchinterval``). A worker
#: waits as long each time it needs the lock back, some twenty times a request, while the caller computes.
SWITCH_INTERVAL = 0.005
#: Batches that are queued at most, beyond those of which a thread delivers one, unless they have few rows.
MAX_QUEUED = 16
#: Rows in flight or queued up to which more are taken, in however many batches: while a rate window is spent, they are read
#: ahead. A few megabytes of memory.
READ_AHEAD = 1_000


class Workers:
    """
    Calls ``deliver`` with batches, up to ``concurrency`` at a time; if that is 1, in the caller's own thread.

    Threads are started when they are of use, and sleep while they are not. Two batches that share a user never run
    concurrently or out of order: rows of a user in flight are taken out of their batch and held, while its other rows go
    on. At most two batches for each thread of use, and no more than :data:`MAX_QUEUED` above one for each, are in flight
    or queued, or as many as have ``read_ahead`` rows; as many rows as the former have, and one batch more, are held. So
    memory does not grow with the rows.

    The caller's thread may be interrupted anywhere, by the task's timeout. So it waits for nothing while it holds the
    lock, and the lock is a plain one: an exception within ``Condition.__enter__`` would leave it locked forever.

    :param deliver: called with each batch, from any thread; its exceptions are raised again in the caller's thread.
    :param concurrency: the maximum number of threads.
    :param useful: returns the number of threads that are of use now, at least 1; None: all. If it grows while no batch
        ends, :meth:`open` has to be called.
    :param read_ahead: rows in flight or queued up to which more are taken.
    """

    def __init__(
        self,
        deliver: Callable[[Batch], None],
        concurrency: int,
        useful: Callable[[], int] | None = None,
        read_ahead: int = READ_AHEAD,
    ) -> None:
        self._deliver = deliver
        self._concurrency = concurrency
        self._useful = useful or (lambda: concurrency)
        self._read_ahead = read_ahead
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        #: Batches to deliver, whose users are in flight.
        self._queue: deque[Batch] = deque()
        #: What the sleeping threads wait for, the last one to fall asleep last: it is woken first.
        self._sleepers: list[threading.Lock] = []
        #: Threads that do not sleep, and those of them that have not looked for a batch yet.
        self._active = self._coming = 0
        self._finishing = False
        #: Wakes the caller, once each time that it waits.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        #: The batches in flight or queued at which the waiting caller is woken; None: it does not wait.
        self._wake_at: int | None = None
        self._in_flight = self._rows_in_flight = 0
        #: The users in flight, but for those of a batch that is alone there: most often nobody asks for them.
        self._users: set[str] = set()
        self._alone: Batch | None = None
        self._held = HeldRows()
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
            with suppress(Empty):
                self._wakes.get(timeout=SIGNAL_INTERVAL)
        # To read a single row takes less than to hand its batch over.
        if len(batch) > 1:
            self._wait_for_fast_response()

    def finish(self) -> None:
        """
        Wait for every submitted batch, and end the threads; may be called again if it is interrupted.

        :raises BaseException: whatever ``deliver`` raised.
        """
        with self._lock:
            self._finishing = True
            while self._sleepers:
                self._wake()
        # A thread that is not alive was interrupted before it started, or is about to be started by one that is.
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            alive[-1].join(SIGNAL_INTERVAL)
        if self._error:
            raise self._error

    def open(self) -> None:
        """Wake or start threads, as many as are of use for what is queued; may be called from any thread."""
        while True:
            with self._lock:
                if len(self._queue) <= self._coming or self._active >= self._useful():
                    return
                if self._sleepers:
                    self._wake()
                    continue
                self._active += 1
                self._coming += 1
            thread = threading.Thread(target=self._work, name=f"moengage-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _wake(self) -> None:
        self._active += 1
        self._coming += 1
        self._sleepers.pop().release()

    def _has_taken(self, batch: Batch) -> bool:
        """Queue a batch, but for the rows that are to be held; return whether there was room for it."""
        with self._lock:
            if self._error:
                raise self._error
            useful = self._useful()
            queued = min(useful, MAX_QUEUED)
            is_full = self._in_flight >= useful + queued and self._rows_in_flight >= self._read_ahead
            if is_full or self._held.is_full(useful + queued):
                # Woken once for a part of the queue, not for each batch.
                self._wake_at = max(useful + queued // 2, self._in_flight * 3 // 4)
                return False
            if self._in_flight:
                users = self._users_in_flight()
                if not (users.isdisjoint(batch.ids) and self._held.users.isdisjoint(batch.ids)):
                    batch = self._held.add(batch, users)
                    if not batch:
                        return True
            self._begin(batch)
            self._queue.append(batch)
        self.open()
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
                self._batches_until_wait = self._useful()

    def _work(self) -> None:
        sleeper = threading.Lock()
        sleeper.acquire()
        batch, ends = self._next(None, sleeper)
        while not ends:
            if batch is None:
                sleeper.acquire()
            else:
                try:
                    if not self._error:
                        self._deliver(batch)
                except BaseException as error:
                    # Raised again, in the caller's thread.
                    self._error = error
            batch, ends = self._next(batch, sleeper)

    def _next(self, done: Batch | None, sleeper: threading.Lock) -> tuple[Batch | None, bool]:
        """
        Settle a delivered batch; return what to deliver next, or None and whether the thread is to end or to sleep.

        :param done: the delivered batch; None: the thread has just started, or was woken.
        :param sleeper: what it waits for if it is to sleep.
        """
        with self._lock:
            if done is None:
                self._coming -= 1
            else:
                self._end(done)
            useful = self._useful()
            # Held rows go first: their segments cannot complete without them.
            batch = self._held.take(self._users_in_flight()) if self._held.users else None
            if batch:
                self._begin(batch)
            elif self._queue and self._active <= useful:
                batch = self._queue.popleft()
            else:
                batch = None
                self._active -= 1
                if not self._finishing:
                    self._sleepers.append(sleeper)
            ends = batch is None and self._finishing
            opens = self._active < useful
            wakes = self._wake_at is not None and (
                self._in_flight <= self._wake_at
                or self._error is not None
                # More threads are of use than there are batches.
                or (self._wake_at > 0 and opens and not self._queue)
            )
            if wakes:
                self._wake_at = None
        if wakes:
            self._wakes.put(None)
        if opens:
            self.open()
        return batch, ends

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
