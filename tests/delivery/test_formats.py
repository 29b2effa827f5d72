from __future__ import annotations

import gzip
import io
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.formats import Unreadable, columns_of, format_of, rows_of


def rows(name, content):
    return list(rows_of(name, io.BytesIO(content)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ndjson", "ndjson"),
        ("a.jsonl", "ndjson"),
        ("A.JSON", "ndjson"),
        ("a.b.csv.gz", "csv"),
        ("a.ndjson.gz", "ndjson"),
        ("a.parquet", "parquet"),
    ],
)
def test_a_format_is_told_by_its_ending(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize("name", ["a.txt", "a", "csv", "a.gz", "a.parquet.gz", "a.xlsx"])
def test_an_unknown_ending_is_an_error_that_names_the_known_ones(name):
    with pytest.raises(MoEngageParameterError, match=r"\.ndjson, \.jsonl, \.json, \.csv, \.parquet"):
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


def test_a_csv_cell_that_is_too_large_spoils_its_line_only():
    found = rows("a.csv", b"id,name\na," + b"x" * 200_000 + b"\nb,c\n")
    assert isinstance(found[0], Unreadable)
    assert found[-1] == {"id": "b", "name": "c"}


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
