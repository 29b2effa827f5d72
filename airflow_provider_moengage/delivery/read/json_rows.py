"""Rows of JSON: one a line, one array of them, or objects that span lines."""

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

#: What a line of a folder of refused rows holds, exactly; such a line is unwrapped.
REJECTED_KEYS = frozenset({"position", "reason", "code", "request_id", "row"})
#: How the codes of lines that are no rows begin.
LINE_CODES = ("line_", "encoding")
#: Characters that are read at a time of an array.
CHUNK = 64 * 1024
#: Lines of an object at most: they are held in memory until it ends.
MAX_OBJECT_LINES = 100_000


def unwrapped(row: object) -> object:
    """Return the row of a line of a folder of rejected rows as it was read from its source; any other row as it is."""
    if not isinstance(row, dict) or row.keys() != REJECTED_KEYS:
        return row
    inner, code = decoded(row["row"]), str(row["code"])
    if code.startswith(LINE_CODES) and not isinstance(inner, dict):
        # It was no row then, and nobody has made one of it.
        return Unreadable(inner, code, str(row["reason"]))
    return inner


def begins_array_of_objects(text: io.TextIOWrapper) -> bool:
    """Whether a text is an array of rows from its first line on, and not one row a line; that line is read."""
    first = text.readline(CHUNK)
    while first and not first.strip():
        first = text.readline(CHUNK)
    opened = first.lstrip()
    return opened.startswith("[") and opened[1:].lstrip()[:1] in ("", "{")


def line_rows(text: io.TextIOWrapper, most: int) -> Iterator[object]:
    """
    Read one row a line, each whatever JSON it is or an :class:`Unreadable`; blank lines are passed over.

    :param most: bytes of a line.
    """
    return _rows_of_lines(lines_of(text, most), text.encoding)


def document_rows(text: io.TextIOWrapper, most: int) -> Iterator[object]:
    """
    Read a file that is one array of rows, one object, several objects, or one row a line.

    :param most: bytes of a row.
    :raises EOFError: the array does not end.
    """
    first = text.readline(CHUNK)
    while first and not first.strip():
        first = text.readline(CHUNK)
    # So that the lines are those of the whole file again.
    lines = _lines_with(first, text, most)
    if first.lstrip().startswith("["):
        array = ArrayRows(first[first.index("[") + 1 :], text, most)
        yield from array
        lines = _lines_with(array.rest, text, most)
    yield from _rows_of_documents(lines, text.encoding, most)


def _lines_with(beginning: str, text: io.TextIOWrapper, most: int) -> Iterator[str | Unreadable]:
    """Return the lines of a text of which the beginning of the first was read already."""
    if beginning and not beginning.endswith(("\n", "\r")):
        rest = text.readline(most + len(LINE_ENDS))
        beginning += rest
        while rest and not rest.endswith(("\n", "\r")):
            rest = text.readline(CHUNK)
    if beginning:
        fits = not is_too_long(beginning.rstrip(LINE_ENDS), most)
        yield beginning if fits else too_long(beginning, most)
    yield from lines_of(text, most)


def _rows_of_lines(lines: Iterator[str | Unreadable], encoding: str) -> Iterator[object]:
    for line in lines:
        if isinstance(line, Unreadable):
            yield line
        elif line.strip():
            yield _row(line, encoding, "line")


def _rows_of_documents(lines: Iterator[str | Unreadable], encoding: str, most: int) -> Iterator[object]:
    for line in lines:
        if isinstance(line, Unreadable):
            yield line
            continue
        if not line.strip():
            continue
        row = _row(line, encoding, "line")
        if isinstance(row, Unreadable) and line.lstrip().startswith("{"):
            held = _held(line, lines, most)
            if len(held) > 1:
                row = _row("".join(one for one in held if isinstance(one, str)), encoding, "object")
                if isinstance(row, Unreadable):
                    # A broken line, and no object that spans lines: so each of the others is a row of its own.
                    yield from _rows_of_lines(chain(held, lines), encoding)
                    return
        yield row


def _held(line: str, lines: Iterator[str | Unreadable], most: int) -> list[str | Unreadable]:
    """Return a line and those behind it, up to where the object ends that it begins."""
    held: list[str | Unreadable] = [line]
    nesting, size = Nesting(), bytes_of(line)
    nesting.find_end(line, 0)
    while nesting.inside and size <= most and len(held) < MAX_OBJECT_LINES:
        following = next(lines, None)
        if following is None:
            break
        held.append(following)
        if isinstance(following, Unreadable):
            break
        size += bytes_of(following)
        nesting.find_end(following, 0)
    return held


def _row(text: str, encoding: str, what: str) -> object:
    try:
        return unwrapped(from_json(text))
    except (ValueError, TypeError):
        # A TypeError: the text holds a byte that is none of its encoding.
        spoilt = undecodable(text, encoding, what)
        return spoilt or Unreadable(text.rstrip(LINE_ENDS), "line_json", f"the {what} is not a JSON object")


class Nesting:
    """Finds where an element of a JSON array ends in a text that comes in pieces, however broken it is inside."""

    #: Up to the next bracket, over whole strings.
    _INSIDE = re.compile(r'[^][{}"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^][{}"]*)*', re.DOTALL)
    #: Up to what may begin or end an element.
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
        """Return where the comma or the bracket stands that ends the element; the text's length: not in this piece."""
        while at < len(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                at = self._STRING.match(text, at).end()  # type: ignore[union-attr]
                # A backslash here is the piece's last character.
                self._escaped = text.startswith("\\", at)
                self._quoted = not text.startswith('"', at)
            else:
                at = (self._INSIDE if self._depth else self._OUTSIDE).match(text, at).end()  # type: ignore[union-attr]
                found = text[at : at + 1]
                if not self._depth and found in (",", "]"):
                    return at
                self._quoted = found == '"'
                # Of brackets that do not match the element is broken, and nothing but it.
                self._depth += (found in ("{", "[")) - (found in ("}", "]") and self._depth > 0)
            at += 1
        return len(text)


class ArrayRows:
    """
    The elements of a JSON array, each a row or an :class:`Unreadable`, one at a time in memory.

    :param beginning: what was read behind the opening bracket.
    :param most: bytes of an element.
    """

    def __init__(self, beginning: str, text: io.TextIOWrapper, most: int) -> None:
        self._text = text
        self._beginning = beginning
        self._most = most
        #: What was read behind the closing bracket.
        self.rest = ""

    def __iter__(self) -> Iterator[object]:
        piece, at, number = self._beginning or self._text.readline(CHUNK), 0, 0
        element, nesting = _Element(self._most), Nesting()
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
            at, element = end + 1, _Element(self._most)
        if not element.is_blank():
            yield element.cut_off()
        raise EOFError(
            f"the JSON array does not end behind its {number} elements: the file is cut off, or a bracket or a quote is "
            "not closed"
        )


class _Element:
    """
    The text of an element, of which not more is held than is needed to see that it is too long.

    :param most: its bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._text = io.StringIO()
        self._size = 0

    def add(self, piece: str) -> None:
        """Take what follows of it."""
        if self._size <= self._most:
            self._text.write(piece)
        self._size += len(piece)

    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self._text.getvalue().strip()

    def row(self, encoding: str) -> object:
        """Return the row that it is."""
        text = self._text.getvalue().strip()
        if is_too_long(text, self._most):
            return too_long(text, self._most, "element")
        return _row(text, encoding, "element")

    def cut_off(self) -> Unreadable:
        """Return what stands for it where it does not end."""
        text = self._text.getvalue().strip()[:KEPT_OF_LONG]
        return Unreadable(text, "line_json", "the element is not a JSON object: it does not end")
