from __future__ import annotations

import gzip
import io
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.file_formats import columns_of, format_of, rows_of
from airflow_provider_moengage.delivery.read.file_options import FileOptions
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable


def rows(name, content):
    return list(rows_of(name, io.BytesIO(content)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ndjson", "ndjson"),
        ("a.jsonl", "ndjson"),
        ("A.JSON", "json"),
        ("a.json.gz", "json"),
        ("a.tsv", "tsv"),
        ("a.txt.gz", "csv"),
        ("a.b.csv.gz", "csv"),
        ("a.ndjson.gz", "ndjson"),
        ("a.parquet", "parquet"),
    ],
)
def test_a_format_is_told_by_its_ending(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize("name", ["a.xml", "a", "csv", "txt.gz", "a.gz", "a.parquet.gz", "a.xlsx"])
def test_an_unknown_ending_is_an_error_that_names_the_known_ones(name):
    with pytest.raises(
        MoEngageParameterError, match=r"\.ndjson, \.jsonl, \.json, \.csv, \.parquet, \.tsv, \.txt"
    ):
        format_of(name)


def test_a_broken_line_spoils_itself_and_not_the_next():
    found = rows("a.ndjson", b'{"a": 1}\n\n{"a": \n[1]\n"\xff"\n{"a": "\xe2\x80\xa8"}\r\n')
    assert found[0] == {"a": 1}
    assert isinstance(found[1], Unreadable)
    assert (found[1].code, found[1].text) == ("line_json", '{"a": ')
    assert found[2] == [1]
    assert found[4] == {"a": "\u2028"}
    assert len(found) == 5


def test_a_line_of_refused_rows_is_unwrapped_and_only_an_exact_one():
    line = b'{"position": 1, "reason": "r", "code": "c", "request_id": null, "row": {"a": 1}}'
    assert rows("a.ndjson", line) == [{"a": 1}]
    more = line.replace(b'{"position"', b'{"more": 1, "position"')
    assert rows("a.ndjson", more)[0]["row"] == {"a": 1}


def test_csv_cells_are_texts_and_empty_ones_null():
    assert rows("a.csv", b'\xef\xbb\xbfid,name,n\r\n007,"Doe, ""J""\nx",\r\n\r\n') == [
        {"id": "007", "name": 'Doe, "J"\nx', "n": None}
    ]


def test_a_csv_line_with_too_few_or_too_many_cells_is_no_row():
    found = rows("a.csv", b"id,name\na\nb,c,d\ne,f\n")
    assert [getattr(row, "code", None) for row in found] == ["line_csv", "line_csv", None]
    assert found[0].reason == "the line has 1 cells, the header 2"
    assert found[1].text == ["b", "c", "d"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("given", [None, "cp1252", "utf-8"])
def test_a_byte_order_mark_is_followed(encoding, given):
    options = FileOptions(encoding=given)
    content = "id,n\nannä,1\n".encode(encoding)
    assert list(rows_of("a.csv", io.BytesIO(content), options)) == [{"id": "annä", "n": "1"}]
    assert list(columns_of("a.csv", io.BytesIO(content), options)) == ["id", "n"]
    lines = '{"id": "annä"}\n'.encode(encoding)
    assert list(rows_of("a.ndjson", io.BytesIO(lines), options)) == [{"id": "annä"}]
    packed = gzip.compress(content)
    assert list(rows_of("a.csv.gz", io.BytesIO(packed), options)) == [{"id": "annä", "n": "1"}]


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "utf-16-le", "utf-16-be", "shift_jis", "gb18030", "cp500"]
)
def test_an_encoding_is_followed(encoding):
    options = FileOptions(encoding=encoding)
    name = "annä" if encoding in ("cp1252", "latin-1", "cp500") else "アン"
    if encoding.startswith("utf"):
        name = "アン"
    content = f"id,n\n{name},1\n".encode(encoding)
    assert list(rows_of("a.csv", io.BytesIO(content), options)) == [{"id": name, "n": "1"}]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "id,n\na,1\n"), ("a.ndjson", '{"a": 1}\n'), ("a.json", "[{}]")]
)
def test_wide_text_that_says_nothing_of_itself_is_an_error_before_the_first_row(encoding, name, text):
    with pytest.raises(MoEngageParameterError, match=f"encoding='{encoding}'"):
        columns_of(name, io.BytesIO(text.encode(encoding)))
    assert list(rows_of(name, io.BytesIO(text.encode(encoding)), FileOptions(encoding=encoding)))


def test_names_of_columns_are_read_as_they_are_meant():
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    options = FileOptions(names=ColumnNames("lower"))
    table = io.BytesIO()
    parquet.write_table(pyarrow.table({"ID ": ["a"], "N": ["1"]}), table)
    for name, content in (
        ("a.csv", "\ufeffID,\u200b N \na,1\n".encode()),
        ("a.ndjson", b'{"ID ": "a", "N": "1"}\n'),
        ("a.json", b'[{"ID ": "a", "N": "1"}]'),
        ("a.parquet", table.getvalue()),
    ):
        assert list(rows_of(name, io.BytesIO(content), options)) == [{"id": "a", "n": "1"}]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"encoding": "utf-9"}, ("encoding", "'utf-9'", "cp1252")),
        ({"encoding": ""}, ("encoding", "''")),
        ({"encoding": "rot13"}, ("encoding", "'rot13'")),
        ({"encoding": "base64"}, ("encoding", "'base64'")),
        ({"encoding": "idna"}, ("encoding", "'idna'")),
        ({"encoding": "a\0b"}, ("encoding",)),
        ({"encoding": 8}, ("encoding", "8")),
        ({"delimiter": ""}, ("delimiter", "one character")),
        ({"delimiter": ";;"}, ("delimiter", "';;'")),
        ({"delimiter": '"'}, ("delimiter",)),
        ({"delimiter": "\n"}, ("delimiter",)),
        ({"delimiter": 1}, ("delimiter", "1")),
        ({"null_values": "NULL"}, ("null_values", "'NULL'", "list")),
        ({"null_values": [None]}, ("null_values", "list of texts")),
        ({"null_values": {"NULL"}}, ("null_values",)),
        ({"max_line_bytes": 0}, ("max_line_bytes", "from 1")),
        ({"max_line_bytes": True}, ("max_line_bytes", "True")),
        ({"max_line_bytes": "9"}, ("max_line_bytes", "'9'")),
    ],
)
def test_wrong_options_are_named(wrong, named):
    with pytest.raises(MoEngageParameterError) as caught:
        FileOptions(**wrong)
    for words in named:
        assert words in str(caught.value)


def test_gzip_is_read_as_it_streams():
    assert rows("a.csv.gz", gzip.compress(b"id\na\n")) == [{"id": "a"}]
    assert rows("a.ndjson.gz", gzip.compress(b'{"id": "a"}\n')) == [{"id": "a"}]


def test_columns_are_known_before_the_first_row_where_a_file_has_some():
    assert columns_of("a.csv", io.BytesIO(b"id,name\n")) == ["id", "name"]
    assert columns_of("a.csv", io.BytesIO(b"")) is None
    assert rows("a.csv", b"") == []
    assert columns_of("a.ndjson", io.BytesIO(b'{"id": 1}')) is None


def test_parquet_keeps_its_types():
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table(
        {
            "id": pyarrow.array(["a"]),
            "ltv": pyarrow.array([Decimal("1.50")]),
            "seen": pyarrow.array([1_700_000_000_123_456_789], pyarrow.timestamp("ns", "UTC")),
            "tags": pyarrow.array([["x", "y"]]),
        }
    )
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    assert columns_of("a.parquet", io.BytesIO(stream.getvalue())) == ["id", "ltv", "seen", "tags"]
    assert rows("a.parquet", stream.getvalue()) == [
        {
            "id": "a",
            "ltv": Decimal("1.50"),
            "seen": datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=timezone.utc),
            "tags": ["x", "y"],
        }
    ]
