"""Writes the users that were read back to XCom, a file or a table."""

from __future__ import annotations

import csv
import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import IO, Any, Literal, Protocol

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageStorageError
from airflow_provider_moengage.delivery.connections import database_hook
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.read.sql_drivers import sqlite_fault
from airflow_provider_moengage.delivery.safe_messages import (
    describe_database_error,
    is_programming_error,
    is_sqlite_error,
)
from airflow_provider_moengage.delivery.shape.convert import MAX_EXACT_FLOAT
from airflow_provider_moengage.delivery.storage import make_folder, whole_file
from airflow_provider_moengage.delivery.storage_errors import described, remedy

log = logging.getLogger(__name__)

#: Number of users that are buffered before they are inserted into a table.
INSERT_ROWS = 1_000
#: Maximum number of users in one row group of a Parquet file.
PARQUET_ROWS = 10_000
#: Iterates over all spooled users, from the first, on each call.
Users = Callable[[], Iterator[dict[str, Any]]]
CsvFormulas = Literal["escape", "keep"]
#: Prefixes that a spreadsheet reads as the beginning of a formula.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")
OUTPUT_FORMATS = (".ndjson", ".jsonl", ".csv", ".parquet")


class Sink(Protocol):
    """Receives users in no particular order."""

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Add the attributes of some users."""
        ...

    def finish(self) -> None:
        """Publish the users, atomically if possible."""
        ...

    def discard(self) -> None:
        """Discard the users of a run that did not complete."""
        ...


class ListSink:
    """
    Keeps users in memory, for XCom.

    :param maximum: more users than that are an error.
    """

    def __init__(self, maximum: int) -> None:
        self.users: list[dict[str, Any]] = []
        self._maximum = maximum

    def check(self, count: int) -> None:
        """
        Check the number of users before the first one is read.

        :raises MoEngageParameterError: they are too many for XCom.
        """
        if count > self._maximum:
            raise MoEngageParameterError(
                f"more than xcom_limit={self._maximum} users would go into XCom; write them to a file with output_path= "
                "or to a table with output_table=, or raise xcom_limit"
            )

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Add the attributes of some users."""
        self.check(len(self.users) + len(users))
        self.users.extend(dict(user) for user in users)

    def finish(self) -> None:
        """Do nothing: the users are in :attr:`users`."""

    def discard(self) -> None:
        """Discard the users."""
        self.users.clear()


class FileSink:
    """
    Writes one file, NDJSON, CSV or Parquet by its suffix, complete or absent.

    Users are first spooled to an anonymous temporary file, because the columns of a CSV or Parquet file are known only
    at the end.

    :param url: an ``ObjectStoragePath`` URL.
    :param columns: the columns that a CSV or Parquet file always has.
    :param csv_formulas: texts that a spreadsheet would run as a formula: ``escape`` prefixes them with an apostrophe,
        ``keep`` writes them unchanged.
    :raises MoEngageParameterError: no format has that suffix, the file system is not installed, or its connection
        does not exist.
    """

    def __init__(self, url: str, columns: Sequence[str] = (), csv_formulas: CsvFormulas = "keep") -> None:
        self._path = storage_path(url, "output_path")
        endings = [ending for ending in OUTPUT_FORMATS if url.lower().endswith(ending)]
        if not endings:
            raise MoEngageParameterError(f"output_path {url!r} ends in none of {', '.join(OUTPUT_FORMATS)}")
        self._write = _WRITERS[endings[0]]
        self._csv_formulas = csv_formulas
        self._url = url
        self._spool: IO[bytes] | None = None
        self._columns: dict[str, None] = dict.fromkeys(columns)

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """
        Add the attributes of some users.

        :raises MoEngageStorageError: the temporary folder cannot be written.
        """
        with _writing("the temporary folder, which TMPDIR names,"):
            if self._spool is None:
                self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - finish and discard close it
            for user in users:
                self._columns.update(dict.fromkeys(user))
                self._spool.write(json.dumps(user, ensure_ascii=True).encode() + b"\n")

    def finish(self) -> None:
        """
        Write the file.

        :raises MoEngageStorageError: it cannot be written.
        """
        columns = list(self._columns)
        if self._csv_formulas == "escape" and self._write is _write_csv:
            columns = [_without_formula(column) for column in columns]
        with _new_file(self._path, self._url, "output_path") as stream:
            self._write(self._users, columns, stream)
        self.discard()

    def discard(self) -> None:
        """Remove the spool."""
        spool, self._spool = self._spool, None
        if spool is not None:
            # Closing flushes the buffer, which fails on a full disk; the file is closed nevertheless.
            with suppress(OSError):
                spool.close()

    def _users(self) -> Iterator[dict[str, Any]]:
        if self._spool is None:
            return
        escape = self._csv_formulas == "escape" and self._write is _write_csv
        self._spool.seek(0)
        for line in self._spool:
            user = from_json(line)
            yield (
                {_without_formula(name): _without_formula(value) for name, value in user.items()}
                if escape
                else user
            )


class _DebugLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Logs every record at DEBUG."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args, **kwargs)


class TableSink:
    """
    Inserts users into a table, a thousand at a time.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param table: the table's name.
    :param columns: attributes, which are its columns too; an attribute that a user lacks is NULL.
    :raises MoEngageParameterError: there is no such connection, or it is not a database's.
    """

    def __init__(self, conn_id: str, table: str, columns: Sequence[str]) -> None:
        self._hook = database_hook("output_conn_id", conn_id)
        self._conn_id = conn_id
        # Airflow's database hooks log the rows of a failed insert as an error: profiles may be logged at DEBUG only.
        self._hook._log = _DebugLogger(log)
        self._table = table
        self._columns = list(columns)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Add the attributes of some users."""
        self._rows.extend(tuple(_cell(user.get(column)) for column in self._columns) for user in users)
        if len(self._rows) >= INSERT_ROWS:
            self.finish()

    def finish(self) -> None:
        """
        Insert the buffered users.

        :raises MoEngageParameterError: there is no such table, or it has no such columns.
        """
        if self._rows:
            try:
                self._hook.insert_rows(
                    self._table, self._rows, target_fields=self._columns, commit_every=INSERT_ROWS
                )
            except Exception as error:
                fault = self._statement_fault(error)
                if fault is None:
                    raise
                log.debug("The rows were not inserted", exc_info=error)
                raise MoEngageParameterError(
                    f"output_table {self._table!r} cannot be written with output_conn_id={self._conn_id!r}: {fault}"
                ) from None
        self._rows = []

    def _statement_fault(self, error: Exception) -> str | None:
        """Return what is wrong with the table or its columns; None if the error has another cause, such as a value."""
        if not is_sqlite_error(error):
            return describe_database_error(error) if is_programming_error(error) else None
        places = ", ".join("?" * len(self._columns))
        insert = f"insert into {self._table} ({', '.join(self._columns)}) values ({places})"
        with closing(self._hook.get_conn()) as connection:
            return sqlite_fault(connection, insert, self._rows[0])

    def discard(self) -> None:
        """Discard the buffered users; those inserted before stay."""
        self._rows = []


def write_ids(url: str, name: str, ids: Iterable[str | Mapping[str, str]]) -> None:
    """
    Write ids as NDJSON, one ``{"customer_id": …}`` per line, complete or absent.

    :param name: what the ids are: ``customer_id``, ``id`` or ``moengage_id``.
    :param ids: an object is written unchanged.
    :raises MoEngageParameterError: the file system is not installed, or its connection does not exist.
    :raises MoEngageStorageError: the file cannot be written.
    """
    with _new_file(storage_path(url, "missing_path"), url, "missing_path") as stream:
        for one in ids:
            stream.write(json.dumps({name: one} if isinstance(one, str) else one).encode() + b"\n")


def _cell(value: object) -> Any:
    """Return a value that a cell of a table or CSV file can hold: arrays and objects as JSON."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _write_ndjson(users: Users, columns: Sequence[str], stream: IO[bytes]) -> None:
    for user in users():
        stream.write(json.dumps(user, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _write_csv(users: Users, columns: Sequence[str], stream: IO[bytes]) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for user in users():
        writer.writerow([_cell(user.get(column)) for column in columns])
    # The caller closes the file.
    text.detach()


def _without_formula(value: object) -> Any:
    """Return a text escaped so that a spreadsheet does not run it as a formula; any other value unchanged."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_BEGINS) else value


def _write_parquet(users: Users, columns: Sequence[str], stream: IO[bytes]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MoEngageParameterError(
            "output_path is a Parquet file, which needs pyarrow: pip install airflow-provider-moengage[parquet]"
        ) from None
    columns = columns or ["customer_id"]
    # Two passes, so that memory does not grow with the users: the first finds the columns' types.
    kinds: dict[str, set[str]] = {column: set() for column in columns}
    for user in users():
        for column in user:
            kinds[column].add(_kind(user[column]))
    types = {column: _column_type(pyarrow, kinds[column]) for column in columns}
    schema = pyarrow.schema(list(types.items()))
    with pyarrow.parquet.ParquetWriter(stream, schema) as writer:
        rows = users()
        while chunk := list(islice(rows, PARQUET_ROWS)):
            arrays = [
                pyarrow.array(
                    [_arrow_value(user.get(name), types[name] == pyarrow.string()) for user in chunk], kind
                )
                for name, kind in types.items()
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _kind(value: object) -> str:
    if value is None or isinstance(value, (bool, str)):
        return type(value).__name__
    if isinstance(value, int):
        return "int" if abs(value) <= MAX_EXACT_FLOAT else "int64" if -(2**63) <= value < 2**63 else "big"
    if isinstance(value, list):
        inner = {_kind(element) for element in value}
        return f"list of {inner.pop() if len(inner) == 1 else 'str' if not inner else 'several'}"
    return type(value).__name__


def _column_type(pyarrow: Any, kinds: set[str]) -> Any:
    """Return the type that holds all values of a column; text, with JSON where needed, if none does."""
    kinds = kinds - {"NoneType"}
    plain = {
        "bool": pyarrow.bool_(),
        "int": pyarrow.int64(),
        "int64": pyarrow.int64(),
        "float": pyarrow.float64(),
        "list of str": pyarrow.list_(pyarrow.string()),
        "list of int": pyarrow.list_(pyarrow.int64()),
        "list of float": pyarrow.list_(pyarrow.float64()),
        "list of bool": pyarrow.list_(pyarrow.bool_()),
    }
    if len(kinds) == 1:
        return plain.get(next(iter(kinds)), pyarrow.string())
    if kinds == {"int", "int64"}:
        return pyarrow.int64()
    return pyarrow.float64() if kinds == {"int", "float"} else pyarrow.string()


def _arrow_value(value: object, as_text: bool) -> Any:
    if value is None or isinstance(value, str) or not as_text:
        return value
    return json.dumps(value)


@contextmanager
def _new_file(path: Any, url: str, parameter: str) -> Iterator[IO[bytes]]:
    with _writing(f"{parameter} {url!r}"):
        make_folder(path.parent)
        with whole_file(path) as stream:
            yield stream


@contextmanager
def _writing(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MoEngageStorageError(
            f"{place} cannot be written ({described(error)})"
            + (remedy(error, "write there") or "; a retry reads and writes all users again")
        ) from error


_WRITERS: Mapping[str, Callable[[Users, Sequence[str], IO[bytes]], None]] = {
    ".ndjson": _write_ndjson,
    ".jsonl": _write_ndjson,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
