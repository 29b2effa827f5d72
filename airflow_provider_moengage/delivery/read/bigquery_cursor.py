"""
Reads BigQuery with Google's own client.

The cursor of Airflow's hook returns most types as texts, TIMESTAMP as a number, and neither arrays nor structs; and nothing
interrupts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

#: Rows per response. Each takes a round trip of a few hundred milliseconds.
PAGE_ROWS = 10_000


class BigQueryConnection:
    """
    A connection whose statement can be interrupted.

    :param connection: a connection of Airflow's ``BigQueryHook``.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._job: Any = None
        self._cancelled = False

    def cursor(self) -> BigQueryCursor:
        """Return a cursor for the one statement of this connection."""
        return BigQueryCursor(self._connection.cursor(), self)

    def began(self, job: Any) -> None:
        """Note the job of the statement."""
        self._job = job
        if self._cancelled:
            job.cancel()

    def cancel(self) -> None:
        """Cancel the job, or keep it from running to its end once it has begun."""
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """Close the hook's connection."""
        self._connection.close()


class BigQueryCursor:
    """
    Runs a statement as the hook's cursor does, with all its settings, but reads the rows with Google's client.

    :param cursor: the hook's cursor.
    """

    def __init__(self, cursor: Any, connection: BigQueryConnection) -> None:
        self._cursor = cursor
        self._hook = _Hook(cursor.hook, connection)
        self._rows: Iterator[Any] = iter(())
        self.description: list[tuple[Any, ...]] = []

    def execute(self, sql: str, parameters: object = None) -> None:
        """Run a statement and wait for its result."""
        self._cursor.hook = self._hook
        self._cursor.execute(sql, *([] if parameters is None else [parameters]))
        result = self._hook.result
        self.description = [
            (field.name, field.field_type, None, None, None, None, None) for field in result.schema
        ]
        self._rows = iter(result)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next rows."""
        return [row.values() for row in islice(self._rows, size)]

    def close(self) -> None:
        """Close the hook's cursor."""
        self._cursor.close()


class _Hook:
    """The hook as its cursor uses it; it keeps the job and its result."""

    def __init__(self, hook: Any, connection: BigQueryConnection) -> None:
        self._hook = hook
        self._connection = connection
        self.result: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hook, name)

    def insert_job(self, **arguments: Any) -> Any:
        """Begin a job and wait for its end, cancellable in between."""
        job = self._hook.insert_job(**{**arguments, "nowait": True})
        self._connection.began(job)
        self.result = job.result(page_size=PAGE_ROWS)
        return job
