"""Reads ClickHouse in blocks: the cursor of its driver holds all rows of a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any
from uuid import uuid4

#: Types whose values hold no text.
WITHOUT_TEXT = (
    "Int", "UInt", "Float", "BFloat", "Decimal", "Bool", "Date", "DateTime", "Time", "UUID", "IPv", "Enum", "Nothing",
)  # fmt: skip


class ClickHouseConnection:
    """
    A connection whose statement can be interrupted.

    :param connection: a connection of Airflow's ``ClickHouseHook``, which is a client of ``clickhouse_connect``.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._query_id = str(uuid4())

    @property
    def kill_statement(self) -> str:
        """Return what another connection executes to end the statement of this one."""
        return f"kill query where query_id = '{self._query_id}' async"

    def cursor(self) -> ClickHouseCursor:
        """Return a cursor for the one statement of this connection."""
        return ClickHouseCursor(self._connection.cursor().client, self._query_id)

    def close(self) -> None:
        """Close the client."""
        self._connection.close()


class ClickHouseCursor:
    """
    Streams the rows of one statement.

    :param client: a client of ``clickhouse_connect``.
    """

    def __init__(self, client: Any, query_id: str) -> None:
        self._client = client
        self._query_id = query_id
        self._stream: Any = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())

    @property
    def description(self) -> list[tuple[Any, ...]]:
        """Return the columns of the result."""
        source = self._stream.source
        columns = zip(source.column_names, source.column_types, strict=True)
        return [(name, kind.name, None, None, None, None, None) for name, kind in columns]

    def execute(self, sql: str, parameters: object = None) -> None:
        """Run a statement."""
        self._stream = self._client.query_column_block_stream(
            sql,
            parameters,
            settings={"query_id": self._query_id},
            # As text the driver returns the hexadecimal digits of what is not UTF-8.
            query_formats={"String": "bytes"},
            # Not naive: those are in UTC, or in the server's time zone.
            tz_mode="aware",
        ).__enter__()
        self._rows = chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[Iterator[tuple[Any, ...]]]:
        changes = [_change(kind) for _, kind, *_ in self.description]
        for columns in self._stream:
            changed = (
                values if change is None else map(change, values)
                for values, change in zip(columns, changes, strict=True)
            )
            yield zip(*changed, strict=True)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next rows."""
        return list(islice(self._rows, size))

    def close(self) -> None:
        """Close the response."""
        if self._stream is not None:
            self._stream.__exit__(None, None, None)


def _change(kind: str) -> Callable[[Any], Any] | None:
    plain = kind.removeprefix("LowCardinality(").removeprefix("Nullable(")
    # The bytes of a FixedString are padded: whether they are a text, the statement has to say.
    return None if plain.startswith(("FixedString", *WITHOUT_TEXT)) else _with_text


def _with_text(value: Any) -> Any:
    """Return a value with its bytes as texts, unless they are not UTF-8."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {_with_text(key): _with_text(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text(element) for element in value]
    return value
