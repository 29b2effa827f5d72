"""A cancellation flag that is safe to set from a signal handler."""

from __future__ import annotations

from queue import SimpleQueue

#: Seconds that requests in flight have to settle after a cancellation; Airflow 3 kills the task after five.
GRACE = 3.0
#: Seconds between two passes that close the connections of requests that did not settle.
ABORT_INTERVAL = 0.1


class Cancellation:
    """
    Signals a run, from any thread or a signal handler, that it is to end.

    A signal handler may interrupt the main thread while it holds a lock; ``SimpleQueue.put`` is reentrant.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self._signals: SimpleQueue[bool] = SimpleQueue()

    def cancel(self) -> None:
        """Cancel the run."""
        self.cancelled = True
        self._signals.put(True)

    def finish(self) -> None:
        """Wake the waiting thread, since the run has ended."""
        self._signals.put(False)

    def wait(self) -> bool:
        """Wait for the cancellation; return False if the run has ended without one."""
        return self._signals.get()
