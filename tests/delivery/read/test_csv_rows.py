"""Every line of a CSV is in exactly one row or rejected, whatever stands in it."""

from __future__ import annotations

import csv
import io
import re
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read import csv_rows
from airflow_provider_moengage.delivery.read.csv_rows import CsvRows, split
from airflow_provider_moengage.delivery.read.file_options import FileOptions
from airflow_provider_moengage.delivery.read.text import UNDECODABLE, open_text
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

#: Before Python 3.11 the csv module, which says what is expected here, rejects NUL characters.
NUL = "\0" if sys.version_info >= (3, 11) else "0"
LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
FRAGMENTS = [
    '"',
    '""',
    '",',
    ',"',
    ",",
    "\n",
    "\r",
    "\r\n",
    "a",
    "b c",
    " ",
    NUL,
    "\u2028",
    "\x0c",
    "\xa0",
    "é",
    "\ufeff",
]


def reader(content: bytes, delimiter: str = ",", **options: object) -> CsvRows:
    chosen = FileOptions(**options)  # type: ignore[arg-type]
    return CsvRows(open_text("a.csv", io.BytesIO(content), chosen.encoding), delimiter, chosen)


def rows(content: bytes, **options: object) -> list[object]:
    return list(reader(content, **options))


def record_at(lines: list[str], place: int, cells: int, delimiter: str) -> tuple[list[str], int] | None:
    """Read a record with the csv module, and say how many lines it took; None: it cannot be taken."""
    strict = csv.reader(lines[place:], delimiter=delimiter, strict=True)
    try:
        record = next(strict)
    except csv.Error:
        return None
    return (record, strict.line_num) if len(record) == cells else None


def expected(lines: list[str], cells: int, delimiter: str) -> Iterator[tuple[list[str] | None, int, int]]:
    """Read line by line, as slowly as the rule is said: the record or None, its first line, and its lines."""
    place = 0
    while place < len(lines):
        if not lines[place].strip() and delimiter not in lines[place]:
            place += 1
            continue
        found = record_at(lines, place, cells, delimiter)
        count = 1 if found is None else found[1]
        yield (None if found is None else found[0]), place, count
        place += count


@settings(deadline=None)
@given(
    pieces=st.lists(st.sampled_from(FRAGMENTS), max_size=60),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
@example(pieces=['a,"', "b", "\n", "c", ",", "d", "\n", "e", ",", "f"], encoding="utf-8", delimiter=",")
def test_records_are_as_the_csv_module_reads_them_and_other_lines_rejected_alone(
    pieces: list[str], encoding: str, delimiter: str
):
    body = "".join(pieces).replace(",", delimiter)
    found = reader(f"id{delimiter}n\n{body}".encode(encoding), delimiter)
    lines = LINE.findall(body)
    items = iter(found)
    for record, place, count in expected(lines, 2, delimiter):
        item = next(items)
        assert found.line_num == 1 + place + count
        if record is None:
            assert isinstance(item, Unreadable)
            line = lines[place].rstrip("\r\n")
            # The cells are kept where they can be told apart.
            assert item.text == (
                line if isinstance(item.text, str) else next(csv.reader([line], delimiter=delimiter))
            )
        else:
            assert item == {"id": record[0] or None, "n": record[1] or None}
    assert next(items, None) is None
    assert found.line_num == 1 + len(lines)


@settings(deadline=None)
@given(
    content=st.lists(
        st.sampled_from([b'"', b",", b"\n", b"\r\n", b"\r", b"a", b"\xff", b"\xe4", b"\xed\xa0\x80", b"\0"]),
        max_size=60,
    ).map(b"".join)
    | st.binary(max_size=200),
    encoding=st.sampled_from([None, "utf-8", "cp1252", "latin-1", "utf-7", "shift_jis", "utf-16-le"]),
)
def test_every_line_of_arbitrary_bytes_is_in_one_count(content: bytes, encoding: str | None):
    codec = encoding or "utf-8"
    content = content.replace(b"\0", NUL.encode())
    found = reader("id,n\n".encode(codec) + content, encoding=encoding)
    lines = LINE.findall(content.decode(codec, UNDECODABLE))
    settled = 1
    for item in found:
        # Blank lines before an item are in no count; those of the item itself are in one.
        taken = lines[settled - 1 : found.line_num - 1]
        while taken and not taken[0].strip():
            taken.pop(0)
        settled = found.line_num
        whole = "".join(taken).rstrip("\r\n")
        assert whole
        if isinstance(item, Unreadable):
            assert item.text in (whole, whole.split(",")) or item.text == next(csv.reader([whole]))
            assert len(taken) == 1 or item.code == "encoding"
        else:
            assert not re.search("[\ud800-\udfff]", whole)
            assert list(item.values()) == [cell or None for cell in next(csv.reader(taken))]
    assert found.line_num == 1 + len(lines)
    assert not "".join(lines[settled - 1 :]).strip()


@settings(deadline=None)
@given(
    text=st.lists(st.sampled_from(['"', '""', ",", "a", "\t", " ", "é"]), min_size=1, max_size=12).map(
        "".join
    )
)
def test_a_line_is_split_as_the_csv_module_splits_it(text: str):
    found = split(text, ",")
    try:
        assert found is not None
        assert not found.open
        assert found.cells == next(csv.reader([text], strict=True))
    except AssertionError:
        with pytest.raises(csv.Error):
            next(csv.reader([text], strict=True))


@pytest.mark.parametrize("line", ['c,"gold', 'x"",y"z,"', 'x",y"z,"', '"', '",', 'a,"b","'])
@pytest.mark.parametrize("count", [2, 3])
def test_each_line_is_looked_at_once_more_at_most(monkeypatch: pytest.MonkeyPatch, line: str, count: int):
    looked_at = 0

    def counted(text: str, delimiter: str, *, quoted: bool = False) -> csv_rows.Split | None:
        nonlocal looked_at
        looked_at += len(text)
        return split(text, delimiter, quoted=quoted)

    monkeypatch.setattr(csv_rows, "split", counted)
    content = ",".join("abc"[:count]) + "\n" + f"{line}\n" * 5_000
    found = reader(content.encode(), max_line_bytes=1_000)
    assert sum(1 for _ in found) > 0
    assert found.line_num == 5_001
    # As the beginning of a record, as what follows an open quote, and as a part of a record that is taken.
    assert looked_at <= 3 * len(content)


def test_a_quote_that_is_never_closed_holds_no_more_than_a_line_may_have():
    content = b'id,n\na,"gold\n' + b"b,silver and more of it\n" * 60_000
    found = reader(content, max_line_bytes=10_000)
    tracemalloc.start()
    try:
        items = sum(1 for _ in found)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert items == 60_001
    assert most < len(content) / 2


def test_blank_lines_in_an_open_quote_are_bounded_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_rows, "MAX_RECORD_LINES", 10)
    found = rows(b'id,n\na,"' + b"\n" * 9 + b'"\nb,"' + b"\n" * 30 + b'"\nc,d\n')
    assert found[0] == {"id": "a", "n": "\n" * 9}
    assert isinstance(found[1], Unreadable)
    assert found[-1] == {"id": "c", "n": "d"}


def test_a_cell_of_any_length_is_read():
    long = "x" * 200_000
    content = f'id,n\na,{long}\nb,"{long}"\nc,"{long}\n{long}"\nd,"{long}"x\n'.encode()
    found = rows(content)
    assert found[:3] == [{"id": "a", "n": long}, {"id": "b", "n": long}, {"id": "c", "n": f"{long}\n{long}"}]
    assert isinstance(found[3], Unreadable)
    assert len(found) == 4


@pytest.mark.parametrize("line", ["é" * 60, "x" * 101, '"' + "x" * 100 + '"', "x" * 5_000, "é" * 5_000])
def test_a_line_that_is_too_long_is_rejected_and_its_beginning_kept(line: str):
    found = rows(f"id,n\na,b\n{line}\r\nc,d\n".encode(), max_line_bytes=100)
    assert (found[0], found[2]) == ({"id": "a", "n": "b"}, {"id": "c", "n": "d"})
    assert len(found) == 3
    assert isinstance(found[1], Unreadable)
    assert found[1].code == "line_length"
    assert "max_line_bytes" in found[1].reason
    assert found[1].text == line[:1_000][: len(found[1].text)]
    assert 0 < len(found[1].text) <= 1_000


def test_a_line_of_just_the_limit_is_read():
    line = "a," + "é" * 49
    assert rows(f"id,n\n{line}\r\n".encode(), max_line_bytes=100) == [{"id": "a", "n": "é" * 49}]


def test_a_record_that_is_longer_than_a_line_may_be_is_read_line_by_line():
    found = rows(b'id,n\na,"' + b"x\n" * 100 + b'"\nb,c\n', max_line_bytes=50)
    assert isinstance(found[0], Unreadable)
    assert found[0].text == 'a,"x'
    assert found[-1] == {"id": "b", "n": "c"}
    assert len(found) == 102


def test_a_long_line_behind_an_open_quote_is_rejected_for_itself():
    found = rows(b'id,n\na,"x\n' + b"y" * 500 + b'\n"\nb,c\n', max_line_bytes=100)
    assert [getattr(one, "code", None) for one in found] == ["line_csv", "line_length", "line_csv", None]


def test_unnamed_columns_are_left_out():
    assert rows(b"id,n,,\na,1,,\nb,2,x,\n") == [{"id": "a", "n": "1"}, {"id": "b", "n": "2"}]
    assert rows(b",id\nx,a\n") == [{"id": "a"}]


def test_words_of_null_values_become_null():
    nulls = ["NULL", "\\N"]
    assert rows(b'id,n\nNULL,"NULL"\n\\N,null\n,x\n', null_values=nulls) == [
        {"id": None, "n": None},
        {"id": None, "n": "null"},
        {"id": None, "n": "x"},
    ]


def test_a_header_behind_blank_lines_and_one_that_spans_lines():
    assert rows(b'\n \n"i\nd",n\na,1\n') == [{"i\nd": "a", "n": "1"}]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'id,"n\na,1\n', ("header", "quote")),
        (b'"id"x,n\na,1\n', ("header", "quoted cell")),
        (b"caf\xe9,n\na,1\n", ("header", "UTF-8", "encoding=")),
        (b"id;n\na;1\n", ("header", "';'", "delimiter=")),
        (b"id\tn\na\t1\n", ("header", "'\\t'", "delimiter=")),
        (b"id|n\na|1\n", ("header", "'|'", "delimiter=")),
        (b"\n\nid;n\na;1\n", ("header", "';'", "delimiter=")),
        (b"x" * 200 + b"\na,1\n", ("header", "max_line_bytes")),
    ],
)
def test_a_wrong_header_is_named(content: bytes, named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        reader(content, max_line_bytes=100).header()
    for words in named:
        assert words in str(caught.value)


def test_a_delimiter_that_is_given_is_believed():
    chosen = FileOptions(delimiter=",")
    text = open_text("a.csv", io.BytesIO(b"id;n\na\n"), None)
    assert list(CsvRows(text, ",", chosen)) == [{"id;n": "a"}]
