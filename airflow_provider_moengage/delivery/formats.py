"""Rows from the bytes of a file: NDJSON, CSV, either gzipped, and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.row_codec import decoded

#: Endings and the format they stand for; NDJSON and CSV may carry ``.gz`` behind it.
FORMATS = {"ndjson": "ndjson", "jsonl": "ndjson", "json": "ndjson", "csv": "csv", "parquet": "parquet"}
#: What a line of a folder of refused rows holds, exactly; such a line is unwrapped.
REJECTED_KEYS = frozenset({"position", "reason", "code", "request_id", "row"})
#: How the codes of lines that are no rows begin.
LINE_CODES = "line_"
PARQUET_ROWS = 2_000


@dataclass(frozen=True)
class Unreadable:
    """
    A line that is no row, in the place where the row would be.

    :param text: the line as it stands in the file.
    :param code: the rule, in one stable word.
    :param reason: what is wrong with the line; not what it holds.
    """

    text: Any
    code: str
    reason: str


def format_of(name: str) -> str:
    """
    Tell a file's format by its name.

    :raises MoEngageParameterError: the ending stands for no format that is read.
    """
    parts = name.lower().split(".")
    if parts[-1] == "gz" and len(parts) > 2 and FORMATS.get(parts[-2]) in ("ndjson", "csv"):
        return FORMATS[parts[-2]]
    if len(parts) > 1 and parts[-1] in FORMATS:
        return FORMATS[parts[-1]]
    raise MoEngageParameterError(
        f"path has a file {name!r} of an unknown format; files end in "
        + ", ".join(f".{ending}" for ending in FORMATS)
        + ", all but Parquet also with .gz"
    )


def columns_of(name: str, stream: BinaryIO) -> Sequence[str] | None:
    """Read the columns that all rows of a file share; None for NDJSON, where each row has its own."""
    kind = format_of(name)
    if kind == "csv":
        return next(csv.reader(_text(name, stream)), None)
    if kind == "parquet":
        return list(_parquet(stream).schema_arrow.names)
    return None


def rows_of(name: str, stream: BinaryIO) -> Iterator[object]:
    """Read a file's rows one by one, each a dict or an :class:`Unreadable`."""
    kind = format_of(name)
    if kind == "csv":
        return _csv_rows(_text(name, stream))
    if kind == "parquet":
        return _parquet_rows(_parquet(stream))
    return _ndjson_rows(_text(name, stream))


def _text(name: str, stream: BinaryIO) -> io.TextIOWrapper:
    if name.lower().endswith(".gz"):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    # A byte that is no UTF-8 spoils its own row and not the ones behind it.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _ndjson_rows(lines: io.TextIOWrapper) -> Iterator[object]:
    for line in lines:
        if not line.strip():
            continue
        try:
            row = from_json(line)
        except (ValueError, TypeError):
            # A TypeError: the text holds a byte that is no UTF-8.
            yield Unreadable(line.rstrip("\r\n"), "line_json", "the line is not a JSON object")
            continue
        yield _unwrapped(row) if isinstance(row, dict) and row.keys() == REJECTED_KEYS else row


def _unwrapped(rejected: dict[str, Any]) -> object:
    """Return the row of a line of a folder of rejected rows as it was read from its source."""
    row, code = decoded(rejected["row"]), str(rejected["code"])
    if code.startswith(LINE_CODES) and not isinstance(row, dict):
        # It was no row then, and nobody has made one of it.
        return Unreadable(row, code, str(rejected["reason"]))
    return row


def _csv_rows(lines: io.TextIOWrapper) -> Iterator[object]:
    # strict: a quote that is never closed is an error and not a value that swallows the lines behind it.
    reader = csv.reader(lines, strict=True)
    header = next(reader, None)
    while header is not None:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Unreadable(None, "line_csv", f"the line cannot be read as CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield Unreadable(cells, "line_csv", f"the line has {len(cells)} cells, the header {len(header)}")
            continue
        # CSV has no NULL of its own: an empty cell is one.
        yield {column: cell if cell else None for column, cell in zip(header, cells, strict=True)}


def _parquet(stream: BinaryIO) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MoEngageParameterError(
            "path has a Parquet file, which needs pyarrow: pip install airflow-provider-moengage[parquet]"
        ) from None
    return pyarrow.parquet.ParquetFile(stream)


def _parquet_rows(file: Any) -> Iterator[object]:
    import pyarrow

    # Nanoseconds do not fit into a datetime, and MoEngage takes whole seconds.
    fields = [
        field.with_type(pyarrow.timestamp("us", field.type.tz))
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns"
        else field
        for field in file.schema_arrow
    ]
    schema = pyarrow.schema(fields)
    for batch in file.iter_batches(batch_size=PARQUET_ROWS):
        yield from pyarrow.Table.from_batches([batch]).cast(schema, safe=False).to_pylist()
