"""The protocol of a source of rows, and rows from a list."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from itertools import islice
from threading import Event
from typing import Any, Protocol, TypeGuard

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.shape import not_rows
from airflow_provider_moengage.delivery.shape.canonical import canonical, text_of_row
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames

CheckColumns = Callable[[Sequence[str]], None]


class Source(Protocol):
    """A source of rows."""

    def __len__(self) -> int:
        """Return the number of rows; raise TypeError where it is not known before the end."""
        ...

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Prepare to be read, now and by a later attempt of the same task.

        :param check_columns: as for :meth:`rows`.
        :param halt: cancels the preparation once it is set.
        :return: the fingerprint of the rows: the same text means the same rows in the same order; None: they cannot be
            read again.
        """
        ...

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Return the rows, in the source's order.

        :param check_columns: called with the columns that all rows share, if any, before the first row is returned.
        :param start: the position of the first row to return, from 0.
        """
        ...


def is_source(value: object) -> TypeGuard[Source]:
    """Whether an object is a :class:`Source`: of this package, or a user's own class with its two methods."""
    kind = type(value)
    return callable(getattr(kind, "prepare", None)) and callable(getattr(kind, "rows", None))


def described(source: Source) -> str:
    """Return a description of a source's rows for the log; its type where a user's own class has none."""
    description = getattr(source, "description", None)
    return description if isinstance(description, str) else f"rows of {type(source).__name__}"


class SourceError(Exception):
    """Reading the source raised an exception, which is the cause of this one."""


def wrap_source_errors(rows: Iterable[object]) -> Iterator[object]:
    """
    Return the rows.

    :raises SourceError: the source raised an exception.
    """
    try:
        yield from rows
    except Exception as error:
        raise SourceError from error


class Rows:
    """
    A list of rows that Airflow can neither render, template nor show.

    :param rows: a list of rows, or its JSON text; an empty text means no rows. A dict is an error and not a single row,
        as most dicts are something else (``{"rows": [...]}``, ``frame.to_dict()``).
    :param parameter: the parameter that the rows were passed as, for the errors.
    :param names: how column names are normalized.
    """

    def __init__(self, rows: object, parameter: str = "rows", names: ColumnNames | None = None) -> None:
        self._parameter = parameter
        self._names = names or ColumnNames()
        self._rows: object = rows

    def __len__(self) -> int:
        return len(self.listed())

    def __str__(self) -> str:
        try:
            return f"<{len(self)} rows>"
        except MoEngageParameterError:
            return "<no rows>"

    __repr__ = __str__

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        return f"{counted(len(self), 'row')} of {self._parameter}"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Return the fingerprint of the rows: a hash of their content."""
        total = hashlib.sha256()
        for row in self.listed():
            total.update(text_of_row(row).encode("utf-8", "backslashreplace") + b"\n")
        return f"rows:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """Return the rows; each has its own columns, so there is nothing to check before the first."""
        return self._names.rows(islice(self.listed(), start, None))

    def named(self, names: ColumnNames) -> Rows:
        """Normalize column names from now on; return self, as the rows may be an iterator, which can be read only once."""
        self._names = names
        return self

    def listed(self) -> Sequence[object]:
        """
        Return the rows as they were given.

        :raises MoEngageParameterError: they are no list.
        """
        if isinstance(self._rows, str):
            self._rows = self._parse(self._rows)
        if self._rows is None:
            raise MoEngageParameterError(not_rows.of_nothing(self._parameter))
        if isinstance(self._rows, Mapping):
            raise MoEngageParameterError(not_rows.of_dict(self._parameter, self._rows))
        if isinstance(self._rows, (bytes, bytearray)) or not isinstance(
            self._rows, (Sequence, Iterator, AbstractSet)
        ):
            raise MoEngageParameterError(not_rows.of_another_type(self._parameter, self._rows))
        if isinstance(self._rows, AbstractSet):
            # The order of a set differs between processes.
            self._rows = sorted(self._rows, key=canonical)
        elif not isinstance(self._rows, Sequence):
            self._rows = list(self._rows)
        return self._rows

    def _parse(self, text: str) -> object:
        if not text.strip():
            return []
        # None, rendered by a template without tojson.
        if text.strip() == "None":
            return None
        try:
            parsed = from_json(text)
        except (ValueError, TypeError):
            raise MoEngageParameterError(
                f"{self._parameter} is a text that is not JSON"
                + (", but the Python form of a list" if _is_python_repr(text) else "")
                + f"; pass the upstream task's output as it is ({self._parameter}=upstream.output), or render "
                "JSON: {{ ti.xcom_pull(task_ids='upstream') | tojson }}"
            ) from None
        if isinstance(parsed, str):
            raise MoEngageParameterError(
                f"{self._parameter} is the JSON of a text, not of a list: was it made JSON twice? Leave out json.dumps or "
                "| tojson"
            )
        return parsed


def _is_python_repr(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text.strip()), (list, tuple, dict))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.lstrip().startswith(("[", "{", "("))


class Guarded:
    """
    Another source's rows, with a maximum number.

    :param maximum: number of rows; up to as many are held in memory.
    """

    def __init__(self, source: Source, maximum: int) -> None:
        self._source = source
        self._maximum = maximum

    def __len__(self) -> int:
        return len(self._source)

    @property
    def description(self) -> str:
        """Return a description of the guarded source's rows for the log."""
        return described(self._source)

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Prepare the guarded source."""
        return self._source.prepare(check_columns, halt)

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Return the rows.

        :raises MoEngageParameterError: there are more than the maximum; none is returned.
        """
        with closing(self._source.rows(check_columns)) as rows:
            held = list(islice(rows, self._maximum + 1))
        if len(held) > self._maximum:
            raise MoEngageParameterError(
                f"the source has more than max_users={self._maximum} users; nothing was sent. Raise max_users if all of "
                "them are meant"
            )
        yield from islice(held, start, None)

    def cancel(self) -> None:
        """Cancel the guarded source's query; may be called from any thread."""
        cancel = getattr(self._source, "cancel", None)
        if cancel is not None:
            cancel()


class Named:
    """
    Another source's rows, with normalized column names.

    :param source: a user's own source; those of this package accept ``names`` themselves.
    """

    def __init__(self, source: Source, names: ColumnNames) -> None:
        self._source = source
        self._names = names

    def __len__(self) -> int:
        return len(self._source)

    @property
    def description(self) -> str:
        """Return a description of the source's rows for the log."""
        return described(self._source)

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Prepare the source."""
        return self._source.prepare(self._checking_normalized(check_columns), halt)

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """Return the rows."""
        rows: Any = self._source.rows(self._checking_normalized(check_columns), start)
        try:
            yield from self._names.rows(rows)
        finally:
            # A user's source may return any iterator, and not all of them can be closed.
            if hasattr(rows, "close"):
                rows.close()

    def _checking_normalized(self, check_columns: CheckColumns) -> CheckColumns:
        return lambda columns: check_columns(self._names.header(columns))

    def cancel(self) -> None:
        """Cancel what the source waits for; may be called from any thread."""
        cancel = getattr(self._source, "cancel", None)
        if cancel is not None:
            cancel()
