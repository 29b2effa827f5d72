"""Reads rows from JSON: one object a line, one array of objects, or objects that span lines."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import chain

from pydantic_core import from_json

from airflow_provider_moengage.delivery.read.lines import (
    KEPT_OF_LONG,
    LINE_ENDS,
    bytes_of,
    is_too_long,
    lines_of,
    too_long,
    undecodable,
)
from airflow_provider_moengage.delivery.shape.row_codec import decoded
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

#: The exact keys of a line of a rejected file; such a line is unwrapped.
REJECTED_KEYS = frozenset({"position", "reason", "code", "request_id", "row"})
#: Prefixes of the codes of lines that could not be read as rows.
LINE_CODES = ("line_", "encoding")
#: Characters read at a time from an array.
CHUNK = 64 * 1024
#: Maximum number of lines of an object: they are held in memory until it ends.
MAX_OBJECT_LINES = 100_000


def unwrapped(row: object) -> object:
    """Return the original row of a line of a rejected file; any other row unchanged."""
    if not isinstance(row, dict) or row.keys() != REJECTED_KEYS:
        return row
    inner, code = decoded(row["row"]), str(row["code"])
    if code.startswith(LINE_CODES) and not isinstance(inner, dict):
        # It could not be read as a row then, and was not repaired since.
        return Unreadable(inner, code, str(row["reason"]))
    return inner


def begins_array_of_objects(text: io.TextIOWrapper) -> bool:
    """Whether a text begins an array of objects, instead of one row a line; consumes the first line."""
    first = text.readline(CHUNK)
    while first and not first.strip():
        first = text.readline(CHUNK)
    opened = first.lstrip()
    return opened.startswith("[") and opened[1:].lstrip()[:1] in ("", "{")


def line_rows(text: io.TextIOWrapper, max_bytes: int) -> Iterator[object]:
    """
    Read one row a line, each any JSON value or an :class:`Unreadable`; blank lines are skipped.

    :param max_bytes: maximum bytes of a line.
    """
    return _rows_of_lines(lines_of(text, max_bytes), text.encoding)


def document_rows(text: io.TextIOWrapper, max_bytes: int) -> Iterator[object]:
    """
    Read a file that is one array of rows, one object, several objects, or one row a line.

    :param max_bytes: maximum bytes of a row.
    :raises EOFError: the array is not closed.
    """
    first = text.readline(CHUNK)
    while first and not first.strip():
        first = text.readline(CHUNK)
    lines = _lines_with(first, text, max_bytes)
    if first.lstrip().startswith("["):
        array = ArrayRows(first[first.index("[") + 1 :], text, max_bytes)
        yield from array
        lines = _lines_with(array.rest, text, max_bytes)
    yield from _rows_of_documents(lines, text.encoding, max_bytes)


def _lines_with(beginning: str, text: io.TextIOWrapper, max_bytes: int) -> Iterator[str | Unreadable]:
    """Return the lines of a text, of which the beginning of the first line was already read."""
    if beginning and not beginning.endswith(("\n", "\r")):
        rest = text.readline(max_bytes + len(LINE_ENDS))
        beginning += rest
        while rest and not rest.endswith(("\n", "\r")):
            rest = text.readline(CHUNK)
    if beginning:
        fits = not is_too_long(beginning.rstrip(LINE_ENDS), max_bytes)
        yield beginning if fits else too_long(beginning, max_bytes)
    yield from lines_of(text, max_bytes)


def _rows_of_lines(lines: Iterator[str | Unreadable], encoding: str) -> Iterator[object]:
    for line in lines:
        if isinstance(line, Unreadable):
            yield line
        elif line.strip():
            yield _row(line, encoding, "line")


def _rows_of_documents(lines: Iterator[str | Unreadable], encoding: str, max_bytes: int) -> Iterator[object]:
    for line in lines:
        if isinstance(line, Unreadable):
            yield line
            continue
        if not line.strip():
            continue
        row = _row(line, encoding, "line")
        if isinstance(row, Unreadable) and line.lstrip().startswith("{"):
            object_lines = _lines_of_object(line, lines, max_bytes)
            if len(object_lines) > 1:
                row = _row("".join(one for one in object_lines if isinstance(one, str)), encoding, "object")
                if isinstance(row, Unreadable):
                    # A malformed line, and not an object that spans lines: each of the other lines is a row of its own.
                    yield from _rows_of_lines(chain(object_lines, lines), encoding)
                    return
        yield row


def _lines_of_object(line: str, lines: Iterator[str | Unreadable], max_bytes: int) -> list[str | Unreadable]:
    """Return a line and the lines after it, up to the end of the object that it begins."""
    object_lines: list[str | Unreadable] = [line]
    nesting, size = Nesting(), bytes_of(line)
    nesting.find_end(line, 0)
    while nesting.inside and size <= max_bytes and len(object_lines) < MAX_OBJECT_LINES:
        following = next(lines, None)
        if following is None:
            break
        object_lines.append(following)
        if isinstance(following, Unreadable):
            break
        size += bytes_of(following)
        nesting.find_end(following, 0)
    return object_lines


def _row(text: str, encoding: str, what: str) -> object:
    try:
        return unwrapped(from_json(text))
    except (ValueError, TypeError):
        # A TypeError: the text holds a byte that could not be decoded.
        unreadable = undecodable(text, encoding, what)
        return unreadable or Unreadable(
            text.rstrip(LINE_ENDS), "line_json", f"the {what} is not a JSON object"
        )


class Nesting:
    """Finds the end of an element of a JSON array in a text that comes in pieces, even if the element is malformed."""

    #: Up to the next bracket, past complete strings.
    _INSIDE = re.compile(r'[^][{}"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^][{}"]*)*', re.DOTALL)
    #: Up to a character that may begin or end an element.
    _OUTSIDE = re.compile(r'[^][{},"]*')
    _STRING = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = self._escaped = False

    @property
    def inside(self) -> bool:
        """Whether a bracket or a string is open."""
        return bool(self._depth) or self._quoted

    def find_end(self, text: str, at: int) -> int:
        """Return the position of the comma or bracket that ends the element; the text's length if there is none."""
        while at < len(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                at = self._STRING.match(text, at).end()  # type: ignore[union-attr]
                # A backslash here is the last character of the piece.
                self._escaped = text.startswith("\\", at)
                self._quoted = not text.startswith('"', at)
            else:
                at = (self._INSIDE if self._depth else self._OUTSIDE).match(text, at).end()  # type: ignore[union-attr]
                found = text[at : at + 1]
                if not self._depth and found in (",", "]"):
                    return at
                self._quoted = found == '"'
                # With mismatched brackets only this element is malformed.
                self._depth += (found in ("{", "[")) - (found in ("}", "]") and self._depth > 0)
            at += 1
        return len(text)


class ArrayRows:
    """
    The elements of a JSON array, each a row or an :class:`Unreadable`; one at a time is in memory.

    :param beginning: the text already read after the opening bracket.
    :param max_bytes: maximum bytes of an element.
    """

    def __init__(self, beginning: str, text: io.TextIOWrapper, max_bytes: int) -> None:
        self._text = text
        self._beginning = beginning
        self._max_bytes = max_bytes
        #: The text already read after the closing bracket.
        self.rest = ""

    def __iter__(self) -> Iterator[object]:
        piece, at, number = self._beginning or self._text.readline(CHUNK), 0, 0
        element, nesting = _Element(self._max_bytes), Nesting()
        while piece:
            end = nesting.find_end(piece, at)
            element.add(piece[at:end])
            if end == len(piece):
                piece, at = self._text.readline(CHUNK), 0
                continue
            last = piece[end] == "]"
            if not last or not element.is_blank():
                yield element.row(self._text.encoding)
                number += 1
            if last:
                self.rest = piece[end + 1 :]
                return
            at, element = end + 1, _Element(self._max_bytes)
        if not element.is_blank():
            yield element.cut_off()
        raise EOFError(
            f"the JSON array does not end after its {number} elements: the file is cut off, or a bracket or a quote is "
            "not closed"
        )


class _Element:
    """
    The text of an element; no more of it is kept than shows that it is too long.

    :param max_bytes: maximum bytes of the element.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._text = io.StringIO()
        self._size = 0

    def add(self, piece: str) -> None:
        """Append a piece of its text."""
        if self._size <= self._max_bytes:
            self._text.write(piece)
        self._size += len(piece)

    def is_blank(self) -> bool:
        """Whether it is empty or white space."""
        return not self._text.getvalue().strip()

    def row(self, encoding: str) -> object:
        """Return the row, or an :class:`Unreadable`."""
        text = self._text.getvalue().strip()
        if is_too_long(text, self._max_bytes):
            return too_long(text, self._max_bytes, "element")
        return _row(text, encoding, "element")

    def cut_off(self) -> Unreadable:
        """Return the :class:`Unreadable` of an element that does not end."""
        text = self._text.getvalue().strip()[:KEPT_OF_LONG]
        return Unreadable(text, "line_json", "the element is not a JSON object: it does not end")
