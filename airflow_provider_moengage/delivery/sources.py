"""Rows from a list, from SQL, from files; each streams, and each says what its columns are before its first row."""

from __future__ import annotations

import ast
import hashlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from itertools import chain, islice
from threading import Event
from typing import Any, Protocol

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.causes import said_by_database, shown_with
from airflow_provider_moengage.delivery.formats import columns_of, format_of, rows_of

log = logging.getLogger(__name__)

#: Rows fetched from a database at a time.
FETCH_ROWS = 1_000
#: What file systems tell of a file that changes with what is in it, the best first.
KNOWN_BY = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated")
CheckColumns = Callable[[Sequence[str]], None]


class Source(Protocol):
    """Where rows come from."""

    def __len__(self) -> int:
        """Rows in all; TypeError where nobody knows before the end."""
        ...

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Get ready to be read, now and by a later try of the same task.

        :param check_columns: as :meth:`rows` takes it.
        :param halt: ends what takes long, once it is set.
        :return: what the rows are known by: the same text means the same rows in the same order; None: they cannot be
            read again.
        """
        ...

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Give the rows, in the source's order.

        :param check_columns: called with the columns that all rows share, where there are such, before the
            first row is given.
        :param start: the position of the first row to give, from 0.
        """
        ...


class Rows:
    """
    A list of rows that Airflow can neither render, template nor show.

    :param rows: rows, or the JSON text of a list of rows.
    :param parameter: the parameter they came by, for the errors.
    """

    def __init__(self, rows: object, parameter: str = "rows") -> None:
        self._parameter = parameter
        self._rows: object = rows

    def __len__(self) -> int:
        return len(self._listed())

    def __str__(self) -> str:
        try:
            return f"<{len(self)} rows>"
        except MoEngageParameterError:
            return "<no rows>"

    __repr__ = __str__

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Give what the rows are known by: a sum of all that is in them."""
        total = hashlib.sha256()
        for row in self._listed():
            total.update(_as_text(row).encode("utf-8", "backslashreplace") + b"\n")
        return f"rows:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """Give the rows; each has its own columns, so there is nothing to check before the first."""
        yield from islice(self._listed(), start, None)

    def _listed(self) -> Sequence[object]:
        if isinstance(self._rows, str):
            self._rows = self._parse(self._rows)
        if isinstance(self._rows, Mapping):
            self._rows = [self._rows]
        if isinstance(self._rows, (bytes, bytearray)) or not isinstance(
            self._rows, (Sequence, Iterator, AbstractSet)
        ):
            # A data frame would give the names of its columns, and they would be taken for ids.
            frame = (
                "; of a data frame, hand over frame.to_dict('records')"
                if hasattr(self._rows, "to_dict")
                else ""
            )
            raise MoEngageParameterError(
                f"{self._parameter} is of type {type(self._rows).__name__}; use a list of rows, an upstream "
                f"task's output, or a template that renders to a JSON list{frame}"
            )
        if not isinstance(self._rows, Sequence):
            self._rows = list(self._rows)
        return self._rows

    def _parse(self, text: str) -> object:
        try:
            return from_json(text) if text.strip() else []
        except (ValueError, TypeError):
            raise MoEngageParameterError(
                f"{self._parameter} is a text that is not JSON"
                + (", but the Python form of a list" if _is_python_repr(text) else "")
                + f"; hand over the upstream task's output as it is ({self._parameter}=upstream.output), or render "
                "JSON: {{ ti.xcom_pull(task_ids='upstream') | tojson }}"
            ) from None


def _as_text(row: object) -> str:
    try:
        return repr(row)
    except (RecursionError, ValueError):
        # A value nested without end, or an integer of thousands of digits: its row will be refused.
        return type(row).__name__


def _is_python_repr(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text.strip()), (list, tuple, dict))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.lstrip().startswith(("[", "{", "("))


class Guarded:
    """
    Another source's rows, once it is known that they are not too many.

    :param most: rows allowed; so many are held in memory.
    """

    def __init__(self, source: Source, most: int) -> None:
        self._source = source
        self._most = most

    def __len__(self) -> int:
        return len(self._source)

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Get the guarded source ready."""
        return self._source.prepare(check_columns, halt)

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Give the rows.

        :raises MoEngageParameterError: there are more than allowed; none was given.
        """
        with closing(self._source.rows(check_columns)) as rows:
            held = list(islice(rows, self._most + 1))
        if len(held) > self._most:
            raise MoEngageParameterError(
                f"the source has more than max_users={self._most} users; nothing was sent. Raise max_users if all of "
                "them are meant"
            )
        yield from islice(held, start, None)


class SqlSource:
    """
    Rows of one query, read while they are sent: neither client nor worker ever holds the whole result.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param sql: one statement that returns rows, sent as it is written: ``%``, ``:noon`` and ``::jsonb`` are
        nothing special unless there are parameters.
    :param parameters: bound by the driver, in its own style of placeholder.
    :param hook_params: passed to the hook's constructor.
    """

    def __init__(
        self,
        conn_id: str,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        hook_params: Mapping[str, Any] | None = None,
    ) -> None:
        self._conn_id = conn_id
        self._sql = sql
        self._parameters = (tuple(parameters) if isinstance(parameters, list) else parameters) or None
        self._hook_params = dict(hook_params or {})

    def __len__(self) -> int:
        raise TypeError("a query does not tell its number of rows before its end")

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """A query may give other rows the next time, or the same in another order."""
        return None

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Run the query and give its rows as dicts.

        :raises MoEngageParameterError: the connection is no database's, or the statement returns no rows.
        """
        with self.chunks(check_columns) as (columns, chunks):
            for row in islice(chain.from_iterable(chunks), start, None):
                yield dict(zip(columns, row, strict=True))

    @contextmanager
    def chunks(
        self, check_columns: CheckColumns
    ) -> Iterator[tuple[list[str], Iterator[Iterable[Sequence[Any]]]]]:
        """
        Run the query and give its columns and its rows, :data:`FETCH_ROWS` at a time.

        :raises MoEngageParameterError: the connection is no database's, or the statement returns no rows.
        """
        with self._cursor() as (columns, chunks):
            if columns is None:
                raise MoEngageParameterError("sql returns no rows; use one statement that selects some")
            check_columns(columns)
            yield columns, chunks

    @contextmanager
    def _cursor(self) -> Iterator[tuple[list[str] | None, Iterator[Iterable[Sequence[Any]]]]]:
        hook = self._hook()
        connection = hook.get_conn()
        with closing(connection):
            engine = _engine_on(hook, connection)
            if engine is not None:
                with self._engine_cursor(engine) as opened:
                    yield opened
                return
            log.debug("%s has no SQLAlchemy engine; reading with fetchmany", type(hook).__name__)
            with closing(connection.cursor()) as cursor:
                cursor.execute(self._sql, *([self._parameters] if self._parameters else []))
                columns = [column[0] for column in cursor.description] if cursor.description else None
                yield columns, iter(lambda: cursor.fetchmany(FETCH_ROWS), [])

    @contextmanager
    def _engine_cursor(
        self, engine: Any
    ) -> Iterator[tuple[list[str] | None, Iterator[Iterable[Sequence[Any]]]]]:
        from sqlalchemy.exc import ProgrammingError

        with engine.connect() as connection:
            # no_parameters: the driver is not to look for placeholders where there is nothing to bind.
            connection = connection.execution_options(
                stream_results=True, max_row_buffer=FETCH_ROWS, no_parameters=self._parameters is None
            )
            try:
                result = connection.exec_driver_sql(self._sql, self._parameters)
            except ProgrammingError as error:
                raise MoEngageParameterError(
                    f"sql is not one statement that returns rows: {said_by_database(error)}"
                ) from shown_with(error)
            with closing(result):
                yield (
                    (list(result.keys()), result.partitions(FETCH_ROWS))
                    if result.returns_rows
                    else (None, iter(()))
                )

    def _hook(self) -> Any:
        from airflow_provider_moengage._compat import AirflowException, BaseHook

        connection = BaseHook.get_connection(self._conn_id)
        try:
            hook = connection.get_hook(hook_params=self._hook_params)
        except AirflowException as error:
            raise MoEngageParameterError(f"sql_conn_id {self._conn_id!r}: {error}") from error
        if not hasattr(hook, "get_conn") or not hasattr(hook, "get_sqlalchemy_engine"):
            raise MoEngageParameterError(
                f"sql_conn_id {self._conn_id!r} is of type {type(hook).__name__}, which is no database; use a "
                "connection whose hook is a DbApiHook"
            )
        return hook


def _engine_on(hook: Any, connection: Any) -> Any:
    """
    Give a SQLAlchemy engine that runs on the hook's own connection, or None where the hook has none.

    The hook's connection carries what its URL does not, such as sslmode, options and the hook's parameters.
    """
    try:
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool
    except ImportError:
        return None
    try:
        engine = hook.get_sqlalchemy_engine(
            engine_kwargs={"creator": lambda: connection, "poolclass": NullPool, "hide_parameters": True}
        )
        driver = engine.dialect.dbapi.__name__.partition(".")[0]
    except (ImportError, NotImplementedError, AttributeError, TypeError, ValueError, SQLAlchemyError):
        return None
    return engine if type(connection).__module__.partition(".")[0] == driver else None


class FileSource:
    """
    Rows of a file, of all files below a folder, or of those that a glob matches.

    :param url: as ``ObjectStoragePath`` takes it; the connection may stand in it
        (``s3://conn_id@bucket/key``).
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def __len__(self) -> int:
        raise TypeError("files do not tell their number of rows before their end")

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """
        Give what the rows are known by: the files' names, and their sizes and times or what their store knows them by.

        :raises MoEngageParameterError: there is no such file, or one whose format is unknown.
        """
        total = hashlib.sha256()
        for file in self._files():
            info = file.fs.info(file.path)
            known_by = next((info[name] for name in KNOWN_BY if info.get(name) is not None), None)
            total.update(f"{file} {info.get('size')} {known_by}\n".encode("utf-8", "backslashreplace"))
        return f"files:{total.hexdigest()}"

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Read the files one after another, by name.

        :raises MoEngageParameterError: there is no such file, or one whose format is unknown.
        """
        with closing(self._rows(check_columns)) as rows:
            yield from islice(rows, start, None)

    def _rows(self, check_columns: CheckColumns) -> Generator[object, None, None]:
        files = self._files()
        # All headers before the first row: a fault in the last file must not show after the first was sent.
        for file in files:
            with file.open("rb") as stream:
                columns = columns_of(file.name, stream)
            if columns is not None:
                check_columns(columns)
        for file in files:
            with file.open("rb") as stream:
                yield from rows_of(file.name, stream)

    def _files(self) -> list[Any]:
        from airflow_provider_moengage._compat import object_storage_path

        folder, pattern = self._split()
        path = object_storage_path(folder)
        if pattern:
            found = [file for file in path.glob(pattern) if file.is_file()]
        elif path.is_dir():
            found = list(_files_below(path))
        elif path.is_file():
            found = [path]
        else:
            raise MoEngageParameterError(f"path {self._url!r} does not exist")
        for file in found:
            format_of(file.name)
        return sorted(found, key=str)

    def _split(self) -> tuple[str, str]:
        """Cut a URL before the first segment that holds a wildcard."""
        segments = self._url.split("/")
        wild = next((place for place, segment in enumerate(segments) if set(segment) & set("*?[")), None)
        if wild is None:
            return self._url, ""
        return "/".join(segments[:wild]) or "/", "/".join(segments[wild:])


def _files_below(folder: Any) -> Iterator[Any]:
    for path in folder.iterdir():
        # Markers such as _SUCCESS and .crc, and whatever a writer has not finished.
        if path.name.startswith(("_", ".")):
            continue
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path
