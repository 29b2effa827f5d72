"""Where users go that were read back: XCom, one file, a table."""

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

log = logging.getLogger(__name__)

#: Users held before they are inserted into a table.
INSERT_ROWS = 1_000
#: Users in one row group of a Parquet file, at most.
PARQUET_ROWS = 10_000
#: Gives the users that were spooled, from the first, as often as it is called.
Users = Callable[[], Iterator[dict[str, Any]]]
CsvFormulas = Literal["escape", "keep"]
#: What a spreadsheet takes for the beginning of a formula.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")
OUTPUT_FORMATS = (".ndjson", ".jsonl", ".csv", ".parquet")


class Sink(Protocol):
    """Takes users as they come, in no particular order."""

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Take the attributes of some users."""
        ...

    def finish(self) -> None:
        """Make what was taken visible, all at once where that can be."""
        ...

    def discard(self) -> None:
        """Leave nothing behind of a run that did not reach its end."""
        ...


class ListSink:
    """
    Keeps users in memory, for XCom.

    :param most: more users than that are an error.
    """

    def __init__(self, most: int) -> None:
        self.users: list[dict[str, Any]] = []
        self._most = most

    def check(self, count: int) -> None:
        """
        Check a number of users before the first is read.

        :raises MoEngageParameterError: they are too many for XCom.
        """
        if count > self._most:
            raise MoEngageParameterError(
                f"more than xcom_limit={self._most} users would go into XCom; write them to a file with output_path= "
                "or to a table with output_table=, or raise xcom_limit"
            )

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Take the attributes of some users."""
        self.check(len(self.users) + len(users))
        self.users.extend(dict(user) for user in users)

    def finish(self) -> None:
        """There is nothing to do: what was taken is in :attr:`users`."""

    def discard(self) -> None:
        """Forget what was taken."""
        self.users.clear()


class FileSink:
    """
    Writes one file, NDJSON, CSV or Parquet by its ending, complete or absent.

    Users are spooled to a local temporary file first, which has no name and is gone with this process: which columns a
    CSV or a Parquet file has is known at the end.

    :param url: as ``ObjectStoragePath`` takes it.
    :param columns: what a CSV or a Parquet file has at least.
    :param csv_formulas: texts that a spreadsheet would run as a formula: ``escape`` puts an apostrophe in front of
        them, ``keep`` writes them as they are.
    :raises MoEngageParameterError: the ending stands for no format that is written, the file system is not installed, or its
        connection does not exist.
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
        Take the attributes of some users.

        :raises MoEngageStorageError: the temporary folder does not take them.
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
        with _new_file(self._path, self._url) as stream:
            self._write(self._users, columns, stream)
        self.discard()

    def discard(self) -> None:
        """Remove the spool."""
        spool, self._spool = self._spool, None
        if spool is not None:
            # Closing writes what is held, for which a full disk has no room; it is closed all the same.
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


class _AtDebug(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Logs at DEBUG whatever is logged."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args, **kwargs)


class TableSink:
    """
    Inserts users into a table, a thousand at a time.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param table: the table's name.
    :param columns: attributes that are its columns too; an attribute a user does not have is NULL.
    :raises MoEngageParameterError: there is no such connection, or it is no database's.
    """

    def __init__(self, conn_id: str, table: str, columns: Sequence[str]) -> None:
        self._hook = database_hook("output_conn_id", conn_id)
        self._conn_id = conn_id
        # Where an insert fails, Airflow's database hooks log the rows, as an error.
        self._hook._log = _AtDebug(log)
        self._table = table
        self._columns = list(columns)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Take the attributes of some users."""
        self._rows.extend(tuple(_cell(user.get(column)) for column in self._columns) for user in users)
        if len(self._rows) >= INSERT_ROWS:
            self.finish()

    def finish(self) -> None:
        """
        Insert what is held.

        :raises MoEngageParameterError: there is no such table, or it has no such columns.
        """
        if self._rows:
            try:
                self._hook.insert_rows(
                    self._table, self._rows, target_fields=self._columns, commit_every=INSERT_ROWS
                )
            except Exception as error:
                said = self._said_of_statement(error)
                if said is None:
                    raise
                log.debug("The rows were not inserted", exc_info=error)
                raise MoEngageParameterError(
                    f"output_table {self._table!r} cannot be written with output_conn_id={self._conn_id!r}: {said}"
                ) from None
        self._rows = []

    def _said_of_statement(self, error: Exception) -> str | None:
        """Return what is wrong with the table or its columns; None where it is something else, such as a value."""
        if not is_sqlite_error(error):
            return describe_database_error(error) if is_programming_error(error) else None
        places = ", ".join("?" * len(self._columns))
        insert = f"insert into {self._table} ({', '.join(self._columns)}) values ({places})"
        with closing(self._hook.get_conn()) as connection:
            return sqlite_fault(connection, insert, self._rows[0])

    def discard(self) -> None:
        """Forget what is held; what was inserted before stays."""
        self._rows = []


def write_ids(url: str, name: str, ids: Iterable[str | Mapping[str, str]]) -> None:
    """
    Write ids as NDJSON, ``{"customer_id": …}`` a line, complete or absent.

    :param name: what the ids are: ``customer_id``, ``id`` or ``moengage_id``.
    :param ids: an object is a line as it is.
    :raises MoEngageParameterError: the file system is not installed, or its connection does not exist.
    :raises MoEngageStorageError: the file cannot be written.
    """
    with _new_file(storage_path(url, "missing_path"), url) as stream:
        for one in ids:
            stream.write(json.dumps({name: one} if isinstance(one, str) else one).encode() + b"\n")


def _cell(value: object) -> Any:
    """Give a value a table's cell or a CSV's can hold: arrays and objects as JSON."""
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
    # The file is closed by whoever opened it.
    text.detach()


def _without_formula(value: object) -> Any:
    """Return a text as a spreadsheet shows it and does not run it; any other value as it is."""
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
    # Twice over the users, so that memory does not grow with them: a column's type is known at the end.
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
                    [_held(user.get(name), types[name] == pyarrow.string()) for user in chunk], kind
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
    """Give the type that holds all values of a column; text, and JSON text, where none does."""
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


def _held(value: object, as_text: bool) -> Any:
    if value is None or isinstance(value, str) or not as_text:
        return value
    return json.dumps(value)


@contextmanager
def _new_file(path: Any, url: str) -> Iterator[IO[bytes]]:
    with _writing(url):
        make_folder(path.parent)
        with whole_file(path) as stream:
            yield stream


@contextmanager
def _writing(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MoEngageStorageError(
            f"{place} cannot be written ({type(error).__name__}: {error.strerror or error})"
        ) from error


_WRITERS: Mapping[str, Callable[[Users, Sequence[str], IO[bytes]], None]] = {
    ".ndjson": _write_ndjson,
    ".jsonl": _write_ndjson,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
