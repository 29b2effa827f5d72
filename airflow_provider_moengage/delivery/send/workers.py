"""Worker threads that send batches and keep the order of each user's rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from airflow_provider_moengage.delivery.batch import Batch


class Workers:
    """
    Calls ``deliver`` with batches, ``concurrency`` at a time; if it is 1, in the caller's own thread.

    Two batches that share a user never run concurrently or out of order.

    :param deliver: called with each batch, from any thread; its exceptions are raised again in the caller's thread.
    """

    def __init__(self, deliver: Callable[[Batch], None], concurrency: int) -> None:
        self._deliver = deliver
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._users: set[str] = set()
        self._in_flight = 0
        # One more batch is queued per worker, so that none idles while the next rows are read.
        self._max_in_flight = 2 * concurrency
        self._error: BaseException | None = None
        self._concurrency = concurrency
        self._threads: list[threading.Thread] = []

    def submit(self, batch: Batch) -> None:
        """
        Submit a batch; wait while all workers are busy or one of its users is in flight.

        :raises BaseException: whatever ``deliver`` raised for an earlier batch.
        """
        if self._concurrency == 1:
            self._deliver(batch)
            return
        with self._changed:
            while not self._error and (
                self._in_flight >= self._max_in_flight or not self._users.isdisjoint(batch.ids)
            ):
                self._changed.wait()
            if self._error:
                raise self._error
            self._users |= batch.ids
            self._in_flight += 1
            busy = self._in_flight > len(self._threads)
        # Start a thread only when needed: if MoEngage responds fast, few suffice.
        if busy and len(self._threads) < self._concurrency:
            self._threads.append(
                threading.Thread(target=self._work, name=f"moengage-{len(self._threads)}", daemon=True)
            )
            self._threads[-1].start()
        self._queue.put(batch)

    def finish(self) -> None:
        """
        Wait for every submitted batch, and end the threads.

        :raises BaseException: whatever ``deliver`` raised.
        """
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._error:
            raise self._error

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                if not self._error:
                    self._deliver(batch)
            except BaseException as error:
                # Raised again, in the caller's thread.
                self._error = error
            finally:
                with self._changed:
                    self._users -= batch.ids
                    self._in_flight -= 1
                    self._changed.notify()
