"""Where users go that were read back: XCom, one file, a table."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any, Protocol

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.conversion import MAX_EXACT_FLOAT
from airflow_provider_moengage.delivery.folders import is_local, whole_file

log = logging.getLogger(__name__)

#: Users held before they are inserted into a table.
INSERT_ROWS = 1_000
#: Users in one row group of a Parquet file, at most.
PARQUET_ROWS = 10_000
#: Gives the users that were spooled, from the first, as often as it is called.
Users = Callable[[], Iterator[dict[str, Any]]]
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

    Users are spooled to a local temporary file first: which columns a CSV or a Parquet file has is known at the end.

    :param url: as ``ObjectStoragePath`` takes it.
    :param columns: what a CSV or a Parquet file has at least.
    :raises MoEngageParameterError: the ending stands for no format that is written.
    """

    def __init__(self, url: str, columns: Sequence[str] = ()) -> None:
        endings = [ending for ending in OUTPUT_FORMATS if url.lower().endswith(ending)]
        if not endings:
            raise MoEngageParameterError(f"output_path {url!r} ends in none of {', '.join(OUTPUT_FORMATS)}")
        self._write = _WRITERS[endings[0]]
        self._url = url
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call; finish and discard close it
        self._columns: dict[str, None] = dict.fromkeys(columns)

    def add(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Take the attributes of some users."""
        for user in users:
            self._columns.update(dict.fromkeys(user))
            self._spool.write(json.dumps(user, ensure_ascii=True).encode() + b"\n")

    def finish(self) -> None:
        """
        Write the file.

        :raises OSError: it cannot be written.
        """
        with tempfile.NamedTemporaryFile(delete=False) as written:
            try:
                self._write(self._users, list(self._columns), written)
                written.flush()
                _publish(written.name, self._url)
            finally:
                os.unlink(written.name)
        self._spool.close()

    def discard(self) -> None:
        """Remove the spool; no file was written yet."""
        self._spool.close()

    def _users(self) -> Iterator[dict[str, Any]]:
        self._spool.seek(0)
        for line in self._spool:
            yield from_json(line)


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
    """

    def __init__(self, conn_id: str, table: str, columns: Sequence[str]) -> None:
        from airflow_provider_moengage._compat import BaseHook

        self._hook = BaseHook.get_connection(conn_id).get_hook()
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
        """Insert what is held."""
        if self._rows:
            self._hook.insert_rows(
                self._table, self._rows, target_fields=self._columns, commit_every=INSERT_ROWS
            )
        self._rows = []

    def discard(self) -> None:
        """Forget what is held; what was inserted before stays."""
        self._rows = []


def write_ids(url: str, name: str, ids: Iterable[str | Mapping[str, str]]) -> None:
    """
    Write ids as NDJSON, ``{"customer_id": …}`` a line, complete or absent.

    :param name: what the ids are: ``customer_id``, ``id`` or ``moengage_id``.
    :param ids: an object is a line as it is.
    :raises OSError: the file cannot be written.
    """
    with tempfile.NamedTemporaryFile(delete=False) as written:
        try:
            for one in ids:
                written.write(json.dumps({name: one} if isinstance(one, str) else one).encode() + b"\n")
            written.flush()
            _publish(written.name, url)
        finally:
            os.unlink(written.name)


def _cell(value: object) -> Any:
    """Give a value a table's cell or a CSV's can hold: arrays and objects as JSON."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _write_ndjson(users: Users, columns: Sequence[str], stream: IO[bytes]) -> None:
    for user in users():
        stream.write(json.dumps(user, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _write_csv(users: Users, columns: Sequence[str], stream: IO[bytes]) -> None:
    with open(stream.name, "w", newline="", encoding="utf-8", errors="backslashreplace") as text:
        writer = csv.writer(text)
        writer.writerow(columns)
        for user in users():
            writer.writerow([_cell(user.get(column)) for column in columns])


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
    with pyarrow.parquet.ParquetWriter(stream.name, schema) as writer:
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


def _publish(local: str, url: str) -> None:
    from airflow_provider_moengage._compat import object_storage_path

    target = object_storage_path(url)
    if is_local(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with open(local, "rb") as source, whole_file(target) as stream:
        shutil.copyfileobj(source, stream)


_WRITERS: Mapping[str, Callable[[Users, Sequence[str], IO[bytes]], None]] = {
    ".ndjson": _write_ndjson,
    ".jsonl": _write_ndjson,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
