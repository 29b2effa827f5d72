"""
Fetches rows in a separate thread.

A driver written in C neither returns on a signal nor lets Python run its signal handlers while it waits for its server. So
the main thread, which has to react to signals, does not call the driver: it waits here, where it can be woken.
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

#: Seconds to wait for an interrupted thread; after that it is abandoned, and ends with the process.
CLOSE_SECONDS = 1.0
#: Seconds between wake-ups of a waiting thread: Python does not run the handler of a signal that came just before a wait.
LOOK_UP_SECONDS = 0.5

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Fetched(Generic[Item]):
    item: Item


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None = None


class Fetcher(Generic[Item]):
    """
    Runs a generator in a separate thread, one step per request.

    :param items: started, advanced and closed in that thread only, as some drivers require.
    :param interrupt: interrupts the blocking call of the thread; called at most once, from another thread, with an event
        that is set once the thread has ended.
    :param name: of the thread.
    :param what: what goes on if the thread cannot be ended, for the log.
    """

    def __init__(
        self,
        items: Generator[Item, None, None],
        interrupt: Callable[[Event], None],
        *,
        name: str = "moengage-sql",
        what: str = "The database did not end the statement; its connection is abandoned",
    ) -> None:
        self._items = items
        self._interrupt = interrupt
        self._name, self._what = name, what
        self._interrupting = Lock()
        # SimpleQueue: an exception that a signal's handler raises may interrupt any line of the main thread.
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._outcomes: SimpleQueue[_Fetched[Item] | _Ended] = SimpleQueue()
        self._exhausted = False
        self._over = Event()
        Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True).start()

    def __iter__(self) -> Fetcher[Item]:
        return self

    def __next__(self) -> Item:
        """
        Return the next item.

        :raises MoEngageStopped: :meth:`cancel` was called.
        """
        if self._exhausted:
            raise StopIteration
        self._requests.put(True)
        outcome = self._outcome()
        if isinstance(outcome, _Fetched):
            return outcome.item
        if outcome.error is not None:
            raise outcome.error
        self._exhausted = True
        raise StopIteration

    def _outcome(self) -> _Fetched[Item] | _Ended:
        while True:
            try:
                return self._outcomes.get(timeout=LOOK_UP_SECONDS)
            except Empty:
                continue

    def cancel(self) -> None:
        """Wake the waiting consumer and interrupt the thread; may be called from any thread."""
        self._outcomes.put(_Ended(MoEngageStopped("the task was told to end while its rows were fetched")))
        self._begin_interrupt()

    def close(self) -> None:
        """End the thread; an unfinished query is interrupted, as drivers may otherwise read all remaining rows."""
        if not self._exhausted:
            self._begin_interrupt()
        self._requests.put(False)
        if not self._over.wait(CLOSE_SECONDS):
            log.warning("%s", self._what)

    def _begin_interrupt(self) -> None:
        # In a thread: it may have to connect to the server, which must not block the caller.
        if self._interrupting.acquire(blocking=False):
            Thread(
                target=self._interrupt, args=(self._over,), name=f"{self._name}-cancel", daemon=True
            ).start()

    def _work(self) -> None:
        try:
            while self._requests.get():
                try:
                    item = next(self._items)
                except StopIteration:
                    self._outcomes.put(_Ended())
                    return
                except BaseException as error:
                    self._outcomes.put(_Ended(error))
                    return
                self._outcomes.put(_Fetched(item))
        finally:
            self._items.close()
            self._over.set()
