"""Writes rows into each medium, and says with which parameters the operator reads them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tests.end_to_end.ugly.kinds import ID, Raw
from tests.end_to_end.ugly.rows import Part, Row, utc

#: How what has no type of its own there becomes a value, in every medium that has the column.
TYPES = {
    "local": "datetime",
    "phone": "string",
    "clock": "string",
    "host": "string",
    "stamp": "string",
    "flag": "boolean",
    "epoch": "datetime",
    "renews": "datetime:%d/%m/%Y %H:%M",
    "starts": "date:%d.%m.%Y",
}
#: What else a CSV, which holds texts alone, and a database whose JSON is a text have to be told.
JSON_TYPES = dict.fromkeys(("tags", "moments", "box", "orders", "mapped"), "json")
CSV_TYPES = {
    **JSON_TYPES,
    "seen": "datetime",
    "joined": "date",
    "amount": "number",
    "score": "number",
    "visits": "number",
    "active": "boolean",
}


def types_of(columns: Iterable[str], more: Mapping[str, str] = {}) -> dict[str, str]:
    """The types of the columns that are there."""
    return {column: kind for column, kind in {**TYPES, **more}.items() if column in columns}


@dataclass(frozen=True)
class Medium:
    """
    A place for rows.

    :param parts: its files or tables; each takes as many of the rows, one part after the other.
    :param write: writes rows, a list for each part, and returns the operator's parameters.
    """

    name: str
    parts: Sequence[Part]
    write: Callable[[Sequence[list[Row]], Path], Mapping[str, Any]]


# Lists ---------------------------------------------------------------------------------------------------------------
def named(row: Row) -> dict[str, Any]:
    """A row that carries the names of its columns."""
    return {row.keys.get(column, column): value for column, value in row.cells.items()}


LIST = Part(
    ("list",),
    json=lambda look: look.value,
    spell={"seen": lambda moment: moment.replace(tzinfo=timezone.utc)},
)


def write_list(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
    (rows,) = parts
    return {"users": [named(row) for row in rows], "types": types_of(LIST.columns())}


# NDJSON --------------------------------------------------------------------------------------------------------------
NDJSON = Part(
    ("ndjson_lines", "ndjson"),
    json=lambda look: look.value,
    spell={
        "joined": date.isoformat,
        "seen": lambda moment: moment.isoformat() + "Z",
        "local": lambda moment: moment.isoformat(" "),
        "amount": float,
    },
)
JSON_ARRAY = replace(NDJSON, keys=("ndjson_array", "ndjson"))


def write_ndjson(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
    lines, array, zipped = ([_json_line(row) for row in rows] for rows in parts)
    (folder / "a.ndjson").write_bytes(_bytes("".join(line + "\n" for line in lines)))
    (folder / "b.json").write_bytes(_bytes("[" + ",\n".join(array) + "]"))
    # The last line of a file may lack its end.
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(_bytes("\r\n".join(zipped)), 1))
    return {"path": folder.as_uri(), "types": types_of(NDJSON.columns())}


def _json_line(row: Row) -> str:
    line = json.dumps(named(row), ensure_ascii=False)
    return row.breaks(line) if row.breaks else line


def _bytes(text: str) -> bytes:
    # The bytes that are no UTF-8 stand in it as surrogates.
    return text.encode("utf-8", "surrogateescape")


# CSV -----------------------------------------------------------------------------------------------------------------
CSV = Part(
    ("csv",),
    json=lambda look: look.text,
    spell={
        "joined": date.isoformat,
        "seen": utc,
        "local": lambda moment: moment.isoformat(" "),
        "amount": str,
        "score": str,
        "visits": str,
        "active": lambda truth: "true" if truth else "false",
        "tags": json.dumps,
    },
)
CSV_UTF8 = replace(CSV, keys=("csv_utf8", "csv"))
CSV_CP1252 = replace(CSV, encoding="cp1252")
#: Not sent: what stands there costs nothing.
MEMO = "memo"


def write_csv(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
    utf8, utf16, tabs, zipped = parts
    (folder / "a.csv").write_bytes(_bytes(_csv(utf8, ",", header=_padded)))
    (folder / "b.csv").write_bytes(_csv(utf16, ",", end="\r\n").encode("utf-16"))
    (folder / "c.tsv").write_bytes(_csv(tabs, "\t").encode("utf-8-sig"))
    (folder / "d.csv.gz").write_bytes(gzip.compress(_bytes(_csv(zipped, ",")).rstrip(b"\n"), 1))
    return {"path": folder.as_uri(), **_csv_parameters()}


def write_excel(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
    (rows,) = parts
    (folder / "a.csv").write_bytes(_csv(rows, ";", end="\r\n").encode("cp1252"))
    return {"path": folder.as_uri() + "/*.csv", "encoding": "cp1252", "delimiter": ";", **_csv_parameters()}


def _csv_parameters() -> Mapping[str, Any]:
    columns = CSV.columns()
    return {
        "attributes": [column for column in columns if column not in (ID, MEMO)],
        "types": types_of(columns, CSV_TYPES),
        "null_values": ["NULL", r"\N"],
    }


def _padded(columns: Sequence[str]) -> list[str]:
    """A header as people write it, with two columns that have no name."""
    blanks = ("{}", " {}", "{} ", "\u00a0{}", "{}\u200b")
    return [blanks[place % len(blanks)].format(name) for place, name in enumerate(columns)] + ["", ""]


def _csv(
    rows: Iterable[Row],
    delimiter: str,
    *,
    end: str = "\n",
    header: Callable[[Sequence[str]], Sequence[str]] = list,
) -> str:
    columns = CSV.columns()
    names = header(columns)
    more = [""] * (len(names) - len(columns))
    text = io.StringIO()
    text.write(delimiter.join(names) + end)
    for row in rows:
        cells = [_csv_cell(row.cells.get(column), delimiter) for column in columns] + more
        if row.breaks:
            cells = row.breaks(cells)
            row.lines += sum(cell.count("\n") for cell in cells)
        text.write(delimiter.join(cells) + end)
    return text.getvalue()


def _csv_cell(cell: str | None, delimiter: str) -> str:
    if cell is None or isinstance(cell, Raw):
        return cell or ""
    if any(special in cell for special in (delimiter, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


# Parquet -------------------------------------------------------------------------------------------------------------
PARQUET = Part(("parquet",), spell={"seen": lambda moment: moment.replace(tzinfo=timezone.utc)})
PARQUET_NUMBERS = replace(PARQUET, numbers_as_ids=True)
_NANOSECONDS = pa.timestamp("ns", "UTC")
SCHEMA = {
    ID: pa.string(),
    "plan": pa.dictionary(pa.int32(), pa.string()),
    "joined": pa.date32(),
    "seen": _NANOSECONDS,
    "local": pa.timestamp("us"),
    "amount": pa.decimal128(24, 4),
    "score": pa.float64(),
    "visits": pa.int64(),
    "active": pa.bool_(),
    "tags": pa.list_(pa.string()),
    "photo": pa.binary(),
    "noon": pa.time64("us"),
    "clock": pa.time64("us"),
    "stamp": _NANOSECONDS,
    "moments": pa.list_(_NANOSECONDS),
    "lapse": pa.duration("us"),
    "orders": pa.list_(pa.struct({"sku": pa.string(), "qty": pa.int64(), "at": _NANOSECONDS})),
    "box": pa.struct(
        {"a": pa.int64(), "b": pa.string(), "c": pa.struct({"d": pa.int64(), "e": pa.string()})}
    ),
    "mapped": pa.map_(pa.string(), pa.string()),
    "phone": pa.float64(),
    "host": pa.string(),
    "flag": pa.float64(),
    "note": pa.large_string(),
    "renews": pa.string(),
    "starts": pa.string(),
    "epoch": pa.int64(),
}


def write_parquet(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
    columns = PARQUET.columns()
    for name, part, rows in zip(("a", "b"), (PARQUET, PARQUET_NUMBERS), parts, strict=True):
        schema = {**SCHEMA, ID: pa.float64() if part.numbers_as_ids else pa.string()}
        table = pa.table({column: _array(schema[column], rows, column) for column in columns})
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet", row_group_size=5_000)
    return {"path": folder.as_uri(), "types": types_of(columns)}


MICROSECOND = timedelta(microseconds=1)


def _array(type_: pa.DataType, rows: Iterable[Row], column: str) -> pa.Array:
    values = [row.cells.get(column) for row in rows]
    if pa.types.is_map(type_):
        values = [None if value is None else list(value.items()) for value in values]
    if pa.types.is_date(type_):
        values = [(value - date(1970, 1, 1)).days if isinstance(value, date) else value for value in values]
    if pa.types.is_timestamp(type_) and type_.unit == "us":
        values = [
            (value - datetime(1970, 1, 1)) // MICROSECOND if isinstance(value, datetime) else value
            for value in values
        ]
    return pa.array(values, type_)


FILES = (
    Medium("list", (LIST,), write_list),
    Medium("csv", (CSV_UTF8, CSV, CSV, CSV_UTF8), write_csv),
    Medium("csv-excel", (CSV_CP1252,), write_excel),
    Medium("ndjson", (NDJSON, JSON_ARRAY, NDJSON), write_ndjson),
    Medium("parquet", (PARQUET, PARQUET_NUMBERS), write_parquet),
)
