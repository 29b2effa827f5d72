"""Reads the rows of a file: NDJSON, JSON and CSV, each of them also gzipped, and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.csv_rows import CsvRows
from airflow_provider_moengage.delivery.read.file_options import FileOptions
from airflow_provider_moengage.delivery.read.json_rows import (
    begins_array_of_objects,
    document_rows,
    line_rows,
)
from airflow_provider_moengage.delivery.read.parquet_rows import open_parquet, parquet_rows
from airflow_provider_moengage.delivery.read.text import open_text
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

__all__ = ["FORMATS", "Unreadable", "columns_of", "format_of", "rows_of"]

#: Format by file extension; all but Parquet may be followed by ``.gz``.
FORMATS = {
    "ndjson": "ndjson",
    "jsonl": "ndjson",
    "json": "json",
    "csv": "csv",
    "parquet": "parquet",
    "tsv": "tsv",
    "txt": "csv",
}
#: Default delimiter by format.
DELIMITERS = {"csv": ",", "tsv": "\t"}
DEFAULTS = FileOptions()


def format_of(name: str) -> str:
    """
    Return a file's format by its name.

    :raises MoEngageParameterError: the extension is unknown.
    """
    parts = name.lower().split(".")
    ending = parts[-2] if parts[-1] == "gz" and len(parts) > 2 else parts[-1]
    found = FORMATS.get(ending) if len(parts) > 1 else None
    if found is None or (found == "parquet" and ending != parts[-1]):
        raise MoEngageParameterError(
            f"path has a file {name!r} of an unknown format; files end in "
            + ", ".join(f".{ending}" for ending in FORMATS)
            + ", all but Parquet also with .gz"
        )
    return found


def columns_of(name: str, stream: BinaryIO, options: FileOptions = DEFAULTS) -> Sequence[str] | None:
    """
    Read the columns that all rows of a file share; unnamed ones are left out.

    :return: None for NDJSON and JSON, where each row has its own.
    :raises MoEngageParameterError: the columns cannot be read, or the content is not what the file's name says.
    """
    kind = format_of(name)
    if kind in DELIMITERS:
        header = _csv(name, stream, options).header()
    elif kind == "parquet":
        header = _parquet_names(open_parquet(stream), options)
    else:
        text = open_text(name, stream, options.encoding)
        if kind == "ndjson" and begins_array_of_objects(text):
            raise MoEngageParameterError(
                "the file is one JSON array, but by its name it has one object a line; name it .json, which is read as an "
                "array too, or write one object a line"
            )
        header = None
    return None if header is None else [column for column in header if column]


def rows_of(name: str, stream: BinaryIO, options: FileOptions = DEFAULTS) -> Iterator[object]:
    """Read a file's rows one by one, each a dict or an :class:`Unreadable`."""
    kind = format_of(name)
    if kind in DELIMITERS:
        return iter(_csv(name, stream, options))
    if kind == "parquet":
        file = open_parquet(stream)
        return parquet_rows(file, _parquet_names(file, options))
    text = open_text(name, stream, options.encoding)
    read = document_rows if kind == "json" else line_rows
    rows = read(text, options.max_line_bytes)
    return rows if options.names is None else map(options.names.row, rows)


def _csv(name: str, stream: BinaryIO, options: FileOptions) -> CsvRows:
    delimiter = options.delimiter or DELIMITERS[format_of(name)]
    return CsvRows(open_text(name, stream, options.encoding), delimiter, options)


def _parquet_names(file: object, options: FileOptions) -> list[str]:
    names = list(file.schema_arrow.names)  # type: ignore[attr-defined]
    return names if options.names is None else options.names.header(names)
