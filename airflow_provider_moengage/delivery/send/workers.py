"""Threads that carry batches to MoEngage while the order of each user's rows is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from airflow_provider_moengage.delivery.batch import Batch


class Workers:
    """
    Runs ``deliver`` on batches, ``concurrency`` at a time; with one, in the caller's own thread.

    Two batches that share a user never run at once, and the later one never first.

    :param deliver: called with each batch, from any thread; an exception it raises is raised to the caller.
    """

    def __init__(self, deliver: Callable[[Batch], None], concurrency: int) -> None:
        self._deliver = deliver
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._users: set[str] = set()
        self._in_flight = 0
        # One more batch waits beside each that runs, so that no worker idles while the next row is read.
        self._max_in_flight = 2 * concurrency
        self._error: BaseException | None = None
        self._concurrency = concurrency
        self._threads: list[threading.Thread] = []

    def submit(self, batch: Batch) -> None:
        """
        Hand over a batch; waits while all workers are busy or while one of its users is on the way.

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
        # No more threads than it takes to keep up: where MoEngage answers fast, few do.
        if busy and len(self._threads) < self._concurrency:
            self._threads.append(
                threading.Thread(target=self._work, name=f"moengage-{len(self._threads)}", daemon=True)
            )
            self._threads[-1].start()
        self._queue.put(batch)

    def finish(self) -> None:
        """
        Wait for every batch that was handed over, and end the threads.

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
