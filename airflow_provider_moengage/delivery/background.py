"""A thread of a run that is started without waiting until it runs."""

from __future__ import annotations

import threading
from _thread import start_new_thread
from collections.abc import Callable


class BackgroundThread:
    """
    A daemon thread; unlike ``threading.Thread``, its start does not wait for the interpreter's lock.

    A run of one row spends a tenth of its time on that wait.

    :param run: what it runs.
    :ivar started: whether :meth:`start` was called and succeeded.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._ended = threading.Event()
        self.started = False

    def start(self) -> None:
        """
        Start the thread.

        :raises RuntimeError: the system allows no more threads.
        """
        start_new_thread(self._run_to_end, ())
        self.started = True

    def join(self, timeout: float | None = None) -> None:
        """
        Wait until a started thread has ended.

        :param timeout: maximum seconds to wait; None: no maximum.
        """
        self._ended.wait(timeout)

    def _run_to_end(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set()
