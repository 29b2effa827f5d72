"""The cancellation of a run: its reason, an event to wait for, and a grace period for requests in flight."""

from __future__ import annotations

import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_moengage.api.errors import MoEngageStopped

#: Seconds that requests in flight have to settle after a cancellation; Airflow 3 kills the task after five.
GRACE = 3.0
#: Seconds between two passes that close the connections of requests that did not settle.
ABORT_INTERVAL = 0.1
#: The reason of a run that was cancelled.
TOLD_TO_END = "the task was told to end"


class Cancellation:
    """
    Ends a run before all of its rows are sent.

    :param grace: seconds that requests in flight have to settle once :meth:`cancel` was called; None: :data:`GRACE`.
    :ivar cancelled: whether :meth:`cancel` was called.
    :ivar reason: the first error that ended the run; None: nothing has.
    :ivar event: set once no row is to be read and no request to be started any more.
    """

    def __init__(self, grace: float | None = None) -> None:
        self.grace = GRACE if grace is None else grace
        self.cancelled = False
        self.reason: BaseException | None = None
        self.event = threading.Event()
        #: Set at the end of the block of :meth:`watching`; None: outside of it.
        self._ended: threading.Event | None = None
        self._on_stop: list[Callable[[], None]] = []
        self._abort: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Cancel the run, from any thread or a signal handler; its requests in flight are aborted after the grace period."""
        self.cancelled = True
        ended = self._ended
        if ended is not None:
            self._begin(ended)

    def fail(self, error: BaseException) -> None:
        """Keep an error as the reason, unless there is one already; rows that were read are still sent."""
        if self.reason is None:
            self.reason = error

    def stop(self, error: BaseException) -> None:
        """Read no more rows and start no more requests; may be called from any thread, but no signal handler."""
        self.fail(error)
        self.event.set()
        for call in self._on_stop:
            call()
        if not isinstance(error, Exception):
            # A task timeout: requests in flight get no more time than after a cancellation.
            self.cancel()

    def on_stop(self, call: Callable[[], None]) -> None:
        """Call a function, from any thread, whenever the run is stopped: it interrupts what a thread waits for."""
        self._on_stop.append(call)

    def on_abort(self, call: Callable[[], None]) -> None:
        """Call a function that aborts all requests in flight, repeatedly, once the grace period is over."""
        self._abort = call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Stop the run if it was cancelled before, or, from a thread of its own, once it is cancelled within the block."""
        self._ended = ended = threading.Event()
        try:
            if self.cancelled:
                self.stop(MoEngageStopped(TOLD_TO_END))
                self._begin(ended)
            yield
        finally:
            self._ended = None
            ended.set()

    def _begin(self, ended: threading.Event) -> None:
        # Most runs are not cancelled, so they need no thread. A signal handler may interrupt the main thread while it holds
        # a lock, which Thread.start would wait for.
        start_new_thread(self._end, (ended,))

    def _end(self, ended: threading.Event) -> None:
        if ended.is_set():
            return
        self.stop(MoEngageStopped(TOLD_TO_END))
        wait = self.grace
        while not ended.wait(wait):
            if self._abort is not None:
                self._abort()
            # A connection that was still being opened then is closed by the next pass.
            wait = ABORT_INTERVAL
