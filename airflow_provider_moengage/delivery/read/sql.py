"""Rows of one query, streamed through Airflow's database hooks."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from threading import Event
from typing import Any, TypeVar

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageStopped
from airflow_provider_moengage.delivery.connections import database_hook
from airflow_provider_moengage.delivery.read.fetching import Fetcher
from airflow_provider_moengage.delivery.read.interruption import Interruption
from airflow_provider_moengage.delivery.read.sources import CheckColumns
from airflow_provider_moengage.delivery.read.sql_drivers import (
    adapted,
    prepare,
    sqlite_fault,
    streaming_cursor,
)
from airflow_provider_moengage.delivery.safe_messages import (
    describe_database_error,
    is_programming_error,
    is_sqlite_error,
    is_unreadable_value,
    unreadable_value,
)
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames

log = logging.getLogger(__name__)

#: Rows fetched from a database at a time.
FETCH_ROWS = 1_000

Chunk = Iterable[Sequence[Any]]
Resource = TypeVar("Resource")


class SqlSource:
    """
    Rows of one query, streamed: neither client nor worker ever holds the whole result.

    :cvar doubt: why a retry needs a copy of the rows.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param sql: one statement that returns rows, sent as it is written: ``%``, ``:noon`` and ``::jsonb`` have no special
        meaning unless there are parameters.
    :param parameters: bound by the driver, in its own style of placeholder.
    :param hook_params: passed to the hook's constructor.
    :param names: how column names are normalized.
    :raises MoEngageParameterError: an argument is of the wrong type.
    """

    doubt = "a query may return other rows"

    def __init__(
        self,
        conn_id: str,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        hook_params: Mapping[str, Any] | None = None,
        names: ColumnNames | None = None,
    ) -> None:
        _check_arguments(sql, parameters, hook_params)
        self._names = names or ColumnNames()
        self._conn_id = conn_id
        self._sql = sql
        self._parameters = (tuple(parameters) if isinstance(parameters, list) else parameters) or None
        self._hook_params = dict(hook_params or {})
        self._cancelled = False
        self._fetcher: Fetcher[Any] | None = None

    def __len__(self) -> int:
        raise TypeError("the number of rows of a query is not known before its end")

    @property
    def description(self) -> str:
        """Return a description of the rows for the log; without the statement, which may contain personal data."""
        return f"sql of connection {self._conn_id!r}"

    def prepare(self, check_columns: CheckColumns, halt: Event) -> str | None:
        """Return None: a query may return other rows the next time, or the same rows in another order."""
        return None

    def cancel(self) -> None:
        """Cancel the query, even if its server does not respond; may be called from any thread."""
        self._cancelled = True
        if self._fetcher is not None:
            self._fetcher.cancel()

    def rows(self, check_columns: CheckColumns, start: int = 0) -> Generator[object, None, None]:
        """
        Run the query and return its rows as dicts.

        :raises MoEngageParameterError: there is no such connection, it is not a database's, or the statement is invalid or
            returns no rows.
        :raises MoEngageUnreadableValue: the driver cannot represent a value.
        :raises MoEngageStopped: :meth:`cancel` was called.
        """
        with self.chunks(check_columns) as (columns, chunks):
            yield from self.restored(columns, islice(chain.from_iterable(chunks), start, None))

    def restored(
        self, columns: Sequence[str], values: Iterable[Sequence[Any]]
    ) -> Generator[object, None, None]:
        """Return rows as dicts, from what :meth:`chunks` returns."""
        for row in values:
            yield dict(zip(columns, row, strict=True))

    @contextmanager
    def chunks(self, check_columns: CheckColumns) -> Iterator[tuple[list[str], Iterator[Chunk]]]:
        """Run the query as :meth:`rows` does; return its columns, and its rows in chunks of :data:`FETCH_ROWS`."""
        hook = database_hook("sql_conn_id", self._conn_id, self._hook_params)
        query = _Query(hook, self._conn_id, self._sql, self._parameters)
        self._fetcher = fetcher = Fetcher(query.columns_and_chunks(), query.interrupt)
        with closing(fetcher):
            if self._cancelled:
                raise MoEngageStopped("the task was told to end before its rows were fetched")
            columns = next(fetcher, None)
            if columns is None:
                raise MoEngageParameterError("sql returns no rows; use one statement that selects some")
            columns = self._names.header(columns)
            self._names.warn()
            check_columns(columns)
            yield columns, fetcher


def _check_arguments(sql: object, parameters: object, hook_params: object) -> None:
    if not isinstance(sql, str):
        raise MoEngageParameterError(
            f"sql is of type {type(sql).__name__}; use the text of one statement that returns rows"
        )
    if parameters is not None and not isinstance(parameters, (list, tuple, Mapping)):
        raise MoEngageParameterError(
            f"parameters is of type {type(parameters).__name__}; use a list or a dict, as the database's driver accepts it"
        )
    if hook_params is not None and not isinstance(hook_params, Mapping):
        raise MoEngageParameterError(
            f"sql_hook_params is of type {type(hook_params).__name__}; use a dict of arguments of the database's hook"
        )


class _Query:
    """
    One execution of a statement; all of it runs in the thread of a :class:`Fetcher`, except :meth:`interrupt`.

    :param hook: a ``DbApiHook``.
    :param conn_id: its connection, for the errors.
    """

    def __init__(
        self, hook: Any, conn_id: str, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None
    ) -> None:
        self._hook = hook
        self._conn_id = conn_id
        self._sql = sql
        self._parameters = parameters
        self._interrupted = False
        self._interruption: Interruption | None = None

    def columns_and_chunks(self) -> Generator[Any, None, None]:
        """Yield the columns and then chunks of rows; nothing if the statement returns no rows."""
        with _closing(adapted(self._hook.get_conn())) as connection:
            self._interruption = interruption = Interruption(connection, self._hook.get_conn)
            try:
                prepare(connection)
                yield from self._fetched(connection)
            finally:
                interruption.release()

    def interrupt(self, over: Event) -> None:
        """Interrupt the statement from another thread; one that is still connecting is stopped before it is executed."""
        self._interrupted = True
        if self._interruption is not None:
            self._interruption(over)

    def _fetched(self, connection: Any) -> Generator[Any, None, None]:
        cursor = streaming_cursor(connection)
        engine = _engine_on(self._hook, connection) if cursor is None else None
        if engine is not None:
            yield from self._with_engine(engine)
            return
        if cursor is None:
            log.debug("%s has no SQLAlchemy engine; reading with fetchmany", type(self._hook).__name__)
            cursor = connection.cursor()
        yield from self._with_cursor(cursor)

    def _with_cursor(self, cursor: Any) -> Generator[Any, None, None]:
        with _closing(cursor):
            with self._executing(cursor):
                cursor.execute(self._sql, *([self._parameters] if self._parameters else []))
            if not cursor.description:
                return
            columns = [column[0] for column in cursor.description]
            yield columns
            with _naming_columns(cursor):
                while rows := cursor.fetchmany(FETCH_ROWS):
                    # The cursors of some hooks return dicts.
                    yield [tuple(row.values()) for row in rows] if isinstance(rows[0], Mapping) else rows

    def _with_engine(self, engine: Any) -> Generator[Any, None, None]:
        with _closing(engine.connect()) as connection:
            # no_parameters: the driver must not look for placeholders if there is nothing to bind.
            connection = connection.execution_options(
                stream_results=True, max_row_buffer=FETCH_ROWS, no_parameters=self._parameters is None
            )
            # In a list: SQLAlchemy 1.4 takes a tuple whose first value is a list for several sets of parameters.
            bound = None if self._parameters is None else [self._parameters]
            with self._executing(connection.connection):
                result = connection.exec_driver_sql(self._sql, bound)
            if not result.returns_rows:
                return
            with _closing(result):
                # Not keys(): the dialects of Oracle and Snowflake convert names to lower case.
                yield [column[0] for column in result.cursor.description]
                with _naming_columns(result.cursor):
                    yield from result.partitions(FETCH_ROWS)

    @contextmanager
    def _executing(self, compiler: Any) -> Iterator[None]:
        """
        Raise an error of an invalid statement, which no retry can fix, as a parameter error that names the connection.

        :param compiler: a cursor or a connection of the driver, for :func:`sqlite_fault`.
        """
        if self._interrupted:
            raise MoEngageStopped("the task was told to end before its rows were fetched")
        try:
            yield
        except Exception as error:
            fault = None
            if is_sqlite_error(error):
                fault = sqlite_fault(compiler, self._sql, self._parameters or ())
            elif is_programming_error(error):
                fault = describe_database_error(error, as_written=self._parameters is None)
            if fault is None:
                raise
            log.debug("The statement could not be run", exc_info=error)
            raise MoEngageParameterError(
                f"sql cannot be run with sql_conn_id={self._conn_id!r}: {fault}"
            ) from None


@contextmanager
def _naming_columns(cursor: Any) -> Iterator[None]:
    driver, description = type(cursor).__module__.partition(".")[0], cursor.description
    try:
        yield
    except Exception as error:
        if not is_unreadable_value(error):
            raise
        raise unreadable_value(error, driver, description) from None


@contextmanager
def _closing(resource: Resource) -> Iterator[Resource]:
    """Close a resource; an error of that is only logged, as all rows were read or the run has failed already."""
    try:
        yield resource
    finally:
        try:
            resource.close()  # type: ignore[attr-defined]
        except Exception:
            log.debug("%s was not closed", type(resource).__name__, exc_info=True)


def _engine_on(hook: Any, connection: Any) -> Any:
    """
    Return a SQLAlchemy engine that uses the hook's own connection; None where the hook has no engine.

    The hook's connection has settings that its URL lacks, such as sslmode, options and the hook's parameters.
    """
    try:
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool
    except ImportError:
        return None
    try:
        engine = hook.get_sqlalchemy_engine(
            engine_kwargs={
                "creator": lambda: connection,
                "poolclass": NullPool,
                # The connection is closed anyway, and a failed rollback must not fail the run.
                "pool_reset_on_return": None,
                "hide_parameters": True,
            }
        )
        driver = engine.dialect.dbapi.__name__.partition(".")[0]
    except (ImportError, NotImplementedError, AttributeError, TypeError, ValueError, SQLAlchemyError):
        return None
    return engine if type(connection).__module__.partition(".")[0] == driver else None
