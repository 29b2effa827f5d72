"""How a statement is ended from outside while the thread that runs it hangs in it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from airflow_provider_moengage.delivery.read.sql_drivers import driver_of

log = logging.getLogger(__name__)

#: Seconds that a server has to end a statement once it was asked to; then its connection is cut.
ASKED_SECONDS = 1.0


class Interruption:
    """
    A way to end a statement from outside while the thread that runs it hangs.

    Made in the thread that has opened the connection: some drivers tell nothing to another one.

    :param reconnect: opens one more connection to the same server.
    """

    def __init__(self, connection: Any, reconnect: Callable[[], Any]) -> None:
        self._connection = connection
        self._reconnect = reconnect
        self._number = _mysql_number_of(connection)
        self._socket = _socket_of(connection)

    def __call__(self, over: Event) -> None:
        """
        End the statement, first gently and then not.

        :param over: set once nothing hangs any more.
        """
        for end in (self._ask, self._cut):
            if over.is_set():
                return
            try:
                end()
            except Exception:
                log.debug("The statement could not be ended by %s", end.__name__, exc_info=True)
            over.wait(ASKED_SECONDS)

    def release(self) -> None:
        """Let go of the connection's socket, which stays open until then."""
        if self._socket is not None:
            self._socket.close()

    def _ask(self) -> None:
        connection = self._connection
        if self._number is not None:
            self._kill(self._number)
        elif hasattr(connection, "cancel_safe"):
            connection.cancel_safe(timeout=ASKED_SECONDS)
        elif hasattr(connection, "cancel"):
            connection.cancel()
        elif hasattr(connection, "interrupt"):
            connection.interrupt()

    def _kill(self, number: int) -> None:
        other = self._reconnect()
        try:
            # The connection and not its statement: of that the client would read all rows to its end.
            other.cursor().execute(f"kill {number:d}")
        finally:
            with suppress(Exception):
                other.close()

    def _cut(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            return
        module = sys.modules.get(type(self._connection).__module__.partition(".")[0])
        # PEP 249: from 2 on, threads may share connections. In other drivers closing one under a thread may crash.
        if getattr(module, "threadsafety", 0) >= 2:
            self._connection.close()


def _mysql_number_of(connection: Any) -> int | None:
    """Return what MySQL and MariaDB know the connection by; None for any other database."""
    driver = driver_of(connection)
    if driver in ("MySQLdb", "pymysql"):
        return int(connection.thread_id())
    return int(connection.connection_id) if driver == "mysql" else None


def _socket_of(connection: Any) -> socket.socket | None:
    """Return the connection's socket by a number of its own: the driver's may be another's once it has closed it."""
    try:
        return socket.socket(fileno=os.dup(connection.fileno()))
    except Exception:
        return None
