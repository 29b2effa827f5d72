"""Interrupts a statement while the thread that runs it is blocked in the driver."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from airflow_provider_moengage.delivery.read.sql_drivers import kill_statement

log = logging.getLogger(__name__)

#: Seconds to wait for a server to cancel a statement before its connection is cut.
CANCEL_SECONDS = 1.0


class Interruption:
    """
    Interrupts the statement of a connection from another thread.

    Create it in the thread that opened the connection, as some drivers require.

    :param reconnect: opens another connection to the same server.
    """

    def __init__(self, connection: Any, reconnect: Callable[[], Any]) -> None:
        self._connection = connection
        self._reconnect = reconnect
        self._kill_statement = kill_statement(connection)
        self._socket = _socket_of(connection)

    def __call__(self, over: Event) -> None:
        """
        Cancel the statement and, if that does not help, cut the connection.

        :param over: set once the thread is no longer blocked.
        """
        for interrupt in (self._cancel, self._cut):
            if over.is_set():
                return
            try:
                interrupt()
            except Exception:
                log.debug("The statement could not be interrupted by %s", interrupt.__name__, exc_info=True)
            over.wait(CANCEL_SECONDS)

    def release(self) -> None:
        """Close the duplicate of the connection's socket."""
        if self._socket is not None:
            self._socket.close()

    def _cancel(self) -> None:
        connection = self._connection
        if self._kill_statement is not None:
            self._kill(self._kill_statement)
        elif hasattr(connection, "cancel_safe"):
            connection.cancel_safe(timeout=CANCEL_SECONDS)
        elif hasattr(connection, "cancel"):
            connection.cancel()
        elif hasattr(connection, "interrupt"):
            connection.interrupt()

    def _kill(self, statement: str) -> None:
        other = self._reconnect()
        try:
            other.cursor().execute(statement)
        finally:
            with suppress(Exception):
                other.close()

    def _cut(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            return
        module = sys.modules.get(type(self._connection).__module__.partition(".")[0])
        # PEP 249: from 2 on, threads may share connections. In other drivers closing one that is in use may crash.
        if getattr(module, "threadsafety", 0) >= 2:
            self._connection.close()


def _socket_of(connection: Any) -> socket.socket | None:
    """Return the connection's socket under a duplicated descriptor: the driver's may be reused once it is closed."""
    try:
        return socket.socket(fileno=os.dup(connection.fileno()))
    except Exception:
        return None
