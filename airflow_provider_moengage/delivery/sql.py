"""Rows of one query, streamed through Airflow's own database hooks."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from threading import Event
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.causes import said_by_database, shown_with
from airflow_provider_moengage.delivery.column_names import ColumnNames
from airflow_provider_moengage.delivery.sources import CheckColumns

log = logging.getLogger(__name__)

#: Rows fetched from a database at a time.
FETCH_ROWS = 1_000


class SqlSource:
    """
    Rows of one query, read while they are sent: neither client nor worker ever holds the whole result.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param sql: one statement that returns rows, sent as it is written: ``%``, ``:noon`` and ``::jsonb`` are
        nothing special unless there are parameters.
    :param parameters: bound by the driver, in its own style of placeholder.
    :param hook_params: passed to the hook's constructor.
    :param names: how the columns are called.
    """

    def __init__(
        self,
        conn_id: str,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        hook_params: Mapping[str, Any] | None = None,
        names: ColumnNames | None = None,
    ) -> None:
        self._names = names or ColumnNames()
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
            columns = self._names.header(columns)
            self._names.warn()
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
