"""An order to end that a signal handler may give."""

from __future__ import annotations

from queue import SimpleQueue

#: Seconds that requests in flight have to settle once a task was told to end; Airflow 3 kills it after five.
GRACE = 3.0


class Cancellation:
    """
    Carries the order to end from wherever it is given to the run.

    A signal's handler may interrupt any line of the main thread, one that holds a lock too; a ``SimpleQueue`` is made
    to be filled there.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self._orders: SimpleQueue[bool] = SimpleQueue()

    def cancel(self) -> None:
        """Tell the run to end."""
        self.cancelled = True
        self._orders.put(True)

    def finish(self) -> None:
        """Tell whoever waits for the order that the run has ended."""
        self._orders.put(False)

    def wait(self) -> bool:
        """Wait for the order; False where the run has ended without one."""
        return self._orders.get()
