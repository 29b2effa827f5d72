"""Rows that a function returns or yields."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from threading import Event
from typing import Any

from airflow_provider_moengage.delivery.read.sources import CheckColumns, Rows
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames


class FunctionError(Exception):
    """
    A function raised an exception, which is the cause of this one.

    :param function: its name.
    """

    def __init__(self, function: str) -> None:
        super().__init__(f"{function}() raised an exception")
        self.function = function


class FunctionRows:
    """
    The rows that a function returns, as a list, or yields, one by one; it is called once they are needed.

    :param call: returns the rows. Those of an iterator are never held all at once, and it is closed at the end.
    :param name: the function's, for the log.
    :param parameter: the operator's parameter that the rows stand for, for the errors.
    :cvar doubt: why a retry needs a copy of the rows.
    """

    doubt = "a function may return other rows"
    #: A function that returns no rows fails before anything is sent, and the length of its list is known from the start.
    must_be_prepared = True

    def __init__(self, call: Callable[[], object], name: str, parameter: str = "rows") -> None:
        self._call = call
        self._name = name
        self._parameter = parameter
        self._names = ColumnNames()
        self._rows: Rows | Iterator[object] | None = None

    def __len__(self) -> int:
        if isinstance(self._rows, Rows):
            return len(self._rows)
        raise TypeError("the number of rows of a function is not known before it has returned a list")

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        return f"rows of {self._name}()"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Call the function; return None, as it may return other rows the next time.

        :raises MoEngageParameterError: it returned no rows.
        :raises FunctionError: it raised an exception.
        """
        self._rows = self._called()
        return None

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Return the rows; each has its own columns, so there is nothing to check before the first.

        :raises MoEngageParameterError: the function returned no rows.
        :raises FunctionError: it raised an exception.
        """
        with closing(self._read(start)) as rows:
            yield from self._names.rows(rows)

    @contextmanager
    def chunks(
        self, check_columns: CheckColumns
    ) -> Iterator[tuple[list[str], Iterator[Iterable[Sequence[Any]]]]]:
        """Call the function; return no columns, and each row as the only value of a chunk of one."""
        with closing(self._read()) as rows:
            yield [], (((row,),) for row in rows)

    def restored(
        self, columns: Sequence[str], values: Iterable[Sequence[Any]]
    ) -> Generator[object, None, None]:
        """Return the rows, from what :meth:`chunks` returns."""
        return self._names.rows(row for (row,) in values)

    def cancel(self) -> None:
        """Do nothing: the function runs in the task's own thread, which signals interrupt."""

    def named(self, names: ColumnNames) -> FunctionRows:
        """Normalize column names from now on; return self."""
        self._names = names
        return self

    def _called(self) -> Rows | Iterator[object]:
        with self._named_errors():
            value = self._call()
        if isinstance(value, Iterator):
            return value
        rows = Rows(value, self._parameter)
        rows.listed()
        return rows

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise FunctionError(self._name) from error

    def _read(self, start: int = 0) -> Generator[object, None, None]:
        # An iterator can be read only once.
        rows, self._rows = self._rows, None
        if rows is None:
            rows = self._called()
        if isinstance(rows, Rows):
            yield from islice(rows.listed(), start, None)
            return
        try:
            with self._named_errors():
                yield from islice(rows, start, None)
        finally:
            close = getattr(rows, "close", None)
            if close is not None:
                close()
