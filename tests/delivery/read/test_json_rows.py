"""Rows of JSON: a line each, elements of one array, objects that span lines."""

from __future__ import annotations

import io
import json
import re
import tracemalloc
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.read import json_rows
from airflow_provider_moengage.delivery.read.file_formats import rows_of
from airflow_provider_moengage.delivery.read.file_options import FileOptions
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
TEXTS = st.text(st.sampled_from('ab"\\,[]{}\n é'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1_000, 1_000) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def rows(name: str, content: bytes, **options: Any) -> list[object]:
    return list(rows_of(name, io.BytesIO(content), FileOptions(**options)))


def codes(found: list[object]) -> list[str | None]:
    return [getattr(one, "code", None) for one in found]


@settings(deadline=None)
@given(
    content=st.lists(
        st.sampled_from(
            [b'{"a": 1}', b'"', b"{", b"}", b"[", b"1", b"\n", b"\r\n", b"\r", b" ", b"\xff", b"\0", b"\xe9"]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_every_line_is_one_row_or_is_rejected(content: bytes):
    # Behind a first line, so that it does not look like UTF-16.
    found = rows("a.ndjson", b"{}\n" + content)
    lines = [line for line in LINE.findall(content) if line.decode("latin-1").strip(" \r\n")]
    assert len(found) == 1 + len(lines)
    for item, line in zip(found[1:], lines, strict=True):
        if isinstance(item, Unreadable):
            assert item.text == line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        else:
            assert item == json.loads(line)


@settings(deadline=None)
@given(
    values=st.lists(VALUES, max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    separators=st.sampled_from([(",", ":"), (" , ", " : ")]),
    ascii_only=st.booleans(),
    chunk=st.sampled_from([1, 2, 3, 7, 1_000]),
)
def test_the_elements_of_an_array_are_rows(
    values: list[Any], indent: int | None, separators: tuple[str, str], ascii_only: bool, chunk: int
):
    content = json.dumps(values, indent=indent, separators=separators, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "CHUNK", chunk)
        assert rows("a.json", f" \n{content}\n".encode()) == values


@settings(deadline=None)
@given(
    elements=st.lists(
        st.sampled_from(['{"a": 1}', '{"a": }', '{"a": [1}}', "tru", '{"a": "]"}', "}", ""]), max_size=6
    )
)
def test_an_element_that_is_broken_spoils_itself_and_not_the_next(elements: list[str]):
    # An element that is empty stands between two commas.
    found = rows("a.json", ("[" + ",".join([*elements, "1"]) + "]").encode())
    good = {'{"a": 1}': {"a": 1}, '{"a": "]"}': {"a": "]"}}
    assert len(found) == len(elements) + 1
    for item, element in zip(found, elements, strict=False):
        if element in good:
            assert item == good[element]
        else:
            assert isinstance(item, Unreadable)
            assert (item.text, item.code) == (element, "line_json")


@pytest.mark.parametrize("content", [b"[]", b"", b" \n[ ]\n", b"\n\n", b"\xef\xbb\xbf[]"])
def test_a_file_without_rows_is_no_error(content: bytes):
    assert rows("a.json", content) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'[{"a": 1}, {"b": 2}', [{"a": 1}, "line_json"]),
        (b'[{"a": 1}, ', [{"a": 1}]),
        (b'[{"a": 1}, {"b": ', [{"a": 1}, "line_json"]),
        (b'[{"a": 1}, {"b": 2, {"c": 3}]', [{"a": 1}, "line_json"]),
        (b'[{"a": 1}, {"b": "x]}', [{"a": 1}, "line_json"]),
        (b"[", []),
    ],
)
def test_an_array_that_does_not_end_is_an_error_behind_its_rows(content: bytes, found: list[object]):
    read = rows_of("a.json", io.BytesIO(content))
    assert [getattr(one, "code", one) for one in islice(read, len(found))] == found
    with pytest.raises(EOFError, match="does not end"):
        next(read)


def test_an_array_holds_one_element_at_a_time():
    content = b"[" + b",".join(b'{"customer_id": "user", "n": 12345}' for _ in range(60_000)) + b"]"
    tracemalloc.start()
    try:
        count = sum(1 for _ in rows_of("a.json", io.BytesIO(content)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 60_000
    assert most < len(content) / 2


@pytest.mark.parametrize(
    "long", ['{"b": "' + "x" * 500_000 + '"}', "[" * 500_000 + "]" * 500_000, '"' + "é" * 900 + '"']
)
def test_an_element_that_is_too_long_is_rejected_and_its_beginning_kept(long: str):
    found = rows("a.json", f'[{{"a": 1}}, {long}, {{"c": 3}}]'.encode(), max_line_bytes=1_000)
    assert codes(found) == [None, "line_length", None]
    assert found[1].text == long[: len(found[1].text)]  # type: ignore[attr-defined]
    assert len(found[1].text) <= 1_000  # type: ignore[attr-defined]


def test_objects_that_span_lines():
    one, two = {"a": 1, "b": {"c": [1, 2]}}, {"a": '"{'}
    content = "\n".join([json.dumps(one, indent=2), json.dumps(two, indent=2), json.dumps(one), ""])
    assert rows("a.json", content.encode()) == [one, two, one]
    assert rows("a.json", json.dumps(one, indent=2).encode()) == [one]


def test_a_broken_line_of_json_does_not_swallow_those_behind_it():
    content = b'{"a": 1}\n{"b": \n{"c": 3}\n' + b'{"d": 4}\n' * 50
    found = rows("a.json", content)
    assert codes(found) == [None, "line_json", *[None] * 51]
    assert found[1].text == '{"b": '  # type: ignore[attr-defined]


def test_what_stands_behind_an_array_are_rows_too():
    assert rows("a.json", b'[{"a": 1}] \n{"b": 2}\n[3]\n') == [{"a": 1}, {"b": 2}, [3]]
    assert codes(rows("a.json", b'[{"a": 1}] x\n{"b": 2}\n')) == [None, "line_json", None]


def test_an_array_in_a_line_of_ndjson_is_one_row():
    assert rows("a.ndjson", b'[{"a": 1}, {"b": 2}]\n{"c": 3}\n') == [[{"a": 1}, {"b": 2}], {"c": 3}]


def test_lines_that_are_too_long(tmp_path: object):
    content = b'{"a": 1}\n{"b": "' + b"x" * 500 + b'"}\n{"c": 3}\n'
    for name in ("a.ndjson", "a.json"):
        assert codes(rows(name, content, max_line_bytes=100)) == [None, "line_length", None]
    spanning = b'{\n"a": 1,\n"b": "' + b"x" * 500 + b'"\n}\n{"c": 3}\n'
    found = rows("a.json", spanning, max_line_bytes=100)
    assert codes(found) == ["line_json", "line_json", "line_length", "line_json", None]


def test_an_object_of_many_lines_is_bounded():
    content = b"{\n" + b'"a": 1,\n' * 200 + b'"b": 2}\n{"c": 3}\n'
    found = rows("a.json", content, max_line_bytes=100)
    assert found[-1] == {"c": 3}
    assert len(found) == 203


def test_bytes_that_are_no_utf_8_name_the_encoding():
    for name, content in (("a.ndjson", b'{"a": "\xe9"}\n{}\n'), ("a.json", b'[{"a": "\xe9"}, {}]')):
        spoilt, good = rows(name, content)
        assert isinstance(spoilt, Unreadable)
        assert spoilt.code == "encoding"
        assert "UTF-8" in spoilt.reason
        assert "encoding=" in spoilt.reason
        assert good == {}
        assert rows(name, content, encoding="cp1252") == [{"a": "é"}, {}]
