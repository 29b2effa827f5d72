"""
Rows fetched in a thread of their own.

A driver written in C neither ends on a signal nor lets Python's handlers run while it waits for its server. So the thread
that is told to end must not be in one: it waits here, where it can be woken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextvars import copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from airflow_provider_moengage.api.errors import MoEngageStopped

log = logging.getLogger(__name__)

#: Seconds that a thread has to end once it was interrupted; then it is left, and ends with the process.
CLOSE_SECONDS = 1.0
#: Seconds after which a waiting thread looks up: Python does not run the handler of a signal that came just before a wait.
LOOK_UP_SECONDS = 0.5

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Given(Generic[Item]):
    item: Item


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None = None


class Fetcher(Generic[Item]):
    """
    A generator that runs in a thread of its own, one step at a time and only when it is asked to.

    :param items: begun, advanced and closed in that thread alone: some drivers insist on it.
    :param interrupt: ends what the thread hangs in; called once at most, from another thread, with an event that
        is set once the thread has ended.
    """

    def __init__(self, items: Generator[Item, None, None], interrupt: Callable[[Event], None]) -> None:
        self._items = items
        self._interrupt = interrupt
        self._interrupting = Lock()
        # SimpleQueue: an exception that a signal's handler raises may interrupt any line of the main thread.
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._given: SimpleQueue[_Given[Item] | _Ended] = SimpleQueue()
        self._exhausted = False
        self._over = Event()
        Thread(target=copy_context().run, args=(self._work,), name="moengage-sql", daemon=True).start()

    def __iter__(self) -> Fetcher[Item]:
        return self

    def __next__(self) -> Item:
        """
        Return the next item.

        :raises MoEngageStopped: :meth:`cancel` was called.
        """
        if self._exhausted:
            raise StopIteration
        self._asked.put(True)
        outcome = self._outcome()
        if isinstance(outcome, _Given):
            return outcome.item
        if outcome.error is not None:
            raise outcome.error
        self._exhausted = True
        raise StopIteration

    def _outcome(self) -> _Given[Item] | _Ended:
        while True:
            try:
                return self._given.get(timeout=LOOK_UP_SECONDS)
            except Empty:
                continue

    def cancel(self) -> None:
        """Wake whoever waits for an item, and end what the thread does; may be called from any thread."""
        self._given.put(_Ended(MoEngageStopped("the task was told to end while its rows were fetched")))
        self._begin_interrupt()

    def close(self) -> None:
        """End the thread; what has not come to its end is interrupted, as drivers may read all the rest otherwise."""
        if not self._exhausted:
            self._begin_interrupt()
        self._asked.put(False)
        if not self._over.wait(CLOSE_SECONDS):
            log.warning("The database does not end the statement; its connection is left as it is")

    def _begin_interrupt(self) -> None:
        # In a thread: it may have to connect to the server, and nobody waits for that.
        if self._interrupting.acquire(blocking=False):
            Thread(
                target=self._interrupt, args=(self._over,), name="moengage-sql-cancel", daemon=True
            ).start()

    def _work(self) -> None:
        try:
            while self._asked.get():
                try:
                    item = next(self._items)
                except StopIteration:
                    self._given.put(_Ended())
                    return
                except BaseException as error:
                    self._given.put(_Ended(error))
                    return
                self._given.put(_Given(item))
        finally:
            self._items.close()
            self._over.set()
