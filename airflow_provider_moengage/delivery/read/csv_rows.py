"""
Rows of a CSV in which any line may be broken.

A quote that is not closed makes one record of all that follows. So a record that spans lines counts only where it is
whole and has as many cells as the header; where not, its first line is no row, and the others are read again, each as
the beginning of a record.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.file_options import FileOptions
from airflow_provider_moengage.delivery.read.lines import LINE_ENDS, bytes_of, lines_of, undecodable
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

QUOTE = '"'
#: What most likely separates cells where a header has but one.
DELIMITERS = ",;\t|"
#: Lines of a record at most: those read on in search of a closing quote are held in memory.
MAX_RECORD_LINES = 100_000

BROKEN = "the line cannot be read as CSV: a quoted cell is followed by something else than a delimiter"
UNCLOSED = "the line cannot be read as CSV: it opens a quote that nothing closes as a cell is closed"
TOO_FAR = "the line cannot be read as CSV: it opens a quote that is not closed within the bytes of a line"


class Split(NamedTuple):
    """
    What a text has between delimiters.

    :param cells: the cells; the first continues another where a quote was open before the text.
    :param open: whether the last is quoted and its quote not closed.
    """

    cells: list[str]
    open: bool


class Inner(NamedTuple):
    """
    A line that was read on in search of a closing quote, as it is while the quote is open.

    :param line: as it stands, or what stands for it.
    :param more: the cells that begin in it.
    :param open: whether a quote is open at its end; None: it is broken.
    :param size: its bytes in UTF-8.
    """

    line: str | Unreadable
    more: int
    open: bool | None
    size: int


def split(text: str, delimiter: str, *, quoted: bool = False) -> Split | None:
    """
    Split a text at its delimiters, as the csv module does when it is strict.

    :param text: without the line's end.
    :param quoted: whether a quote is open before the text.
    :return: None: a quoted cell is followed by something else than a delimiter.
    """
    cells: list[str] = []
    at, end = 0, len(text)
    while True:
        if quoted or text.startswith(QUOTE, at):
            beginning = at if quoted else at + 1
            at = _closing(text, beginning)
            cells.append(text[beginning:at].replace(QUOTE * 2, QUOTE))
            if at == end:
                return Split(cells, open=True)
            at, quoted = at + 1, False
            if at < end and text[at] != delimiter:
                return None
        else:
            beginning, at = at, text.find(delimiter, at)
            at = end if at < 0 else at
            cells.append(text[beginning:at])
        if at == end:
            return Split(cells, open=False)
        at += 1


def _closing(text: str, at: int) -> int:
    """Return where the quote is that closes a cell; two quotes are one of the cell's own."""
    while (at := text.find(QUOTE, at)) >= 0:
        if not text.startswith(QUOTE, at + 1):
            return at
        at += 2
    return len(text)


class CsvRows:
    """
    The rows of a CSV, each a dict or an :class:`Unreadable`.

    :param text: with its line ends as they are.
    :param delimiter: between cells.
    """

    def __init__(self, text: io.TextIOWrapper, delimiter: str, options: FileOptions) -> None:
        self._encoding = text.encoding
        self._delimiter = delimiter
        # Reads one line at a time; where a line does not end a record there is no other, which is an IndexError.
        self._given: list[str] = []
        self._reader = csv.reader(iter(self._given.pop, None), delimiter=delimiter, strict=True)
        self._options = options
        self._lines = lines_of(text, options.max_line_bytes)
        self._lines_read = 0
        # Every one is what it is while a quote is open before the first, so they stay what they are when the first
        # is taken away: each is looked at once, however many quotes are left open.
        self._ahead: deque[Inner] = deque()
        self._more_ahead = self._size_ahead = 0

    @property
    def line_num(self) -> int:
        """Lines that are in a row, in something unreadable, blank, or in the header."""
        return self._lines_read - len(self._ahead)

    def header(self) -> list[str] | None:
        """
        Read the names of the columns, which come first; an unnamed column has the name ``""``.

        :return: None: the text is empty.
        :raises MoEngageParameterError: they cannot be read, or the delimiter is another one.
        """
        for line in self._next_lines():
            cells = self._cells(line, None)
            if cells is None:
                continue
            if isinstance(cells, Unreadable):
                raise MoEngageParameterError(f"the header cannot be read: {cells.reason}")
            if len(cells) == 1 and self._options.delimiter is None:
                found = next((one for one in DELIMITERS if one in cells[0]), None)
                if found:
                    raise MoEngageParameterError(
                        f"the header has one column, which holds {found!r}; say with delimiter= what stands between the "
                        f"columns, such as delimiter={found!r}"
                    )
            return self._options.names.header(cells) if self._options.names else cells
        return None

    def __iter__(self) -> Iterator[object]:
        header = self.header()
        if header is None:
            return
        count = len(header)
        named = [place for place, name in enumerate(header) if name]
        columns = [header[place] for place in named]
        # CSV has no NULL of its own: an empty cell is one.
        nulls = {"", *(self._options.null_values or ())}
        more_nulls = len(nulls) > 1
        for line in self._next_lines():
            cells = self._cells(line, count)
            if cells is None:
                continue
            if isinstance(cells, Unreadable):
                yield cells
                continue
            if len(named) < count:
                cells = [cells[place] for place in named]
            values = [None if cell in nulls else cell for cell in cells] if more_nulls else cells
            yield dict(zip(columns, [value or None for value in values], strict=True))

    def _cells(self, line: str | Unreadable, count: int | None) -> list[str] | Unreadable | None:
        """
        Read the record that begins with a line.

        :param count: the cells that it must have; None: any number.
        :return: None: the line is blank.
        """
        if isinstance(line, Unreadable):
            return line
        text, cells = line, None
        if QUOTE in line:
            self._given.append(line)
            try:
                cells = next(self._reader)
            except (csv.Error, IndexError):
                # The csv module takes neither long cells nor, before Python 3.11, NULs.
                record = self._record(line, count)
                if isinstance(record, Unreadable):
                    return record
                text, cells = record
        else:
            cells = line.rstrip(LINE_ENDS).split(self._delimiter)
            if len(cells) == 1 and not cells[0].strip():
                return None
        spoilt = undecodable(text, self._encoding)
        if spoilt is not None:
            return spoilt
        if count is not None and len(cells) != count:
            return Unreadable(cells, "line_csv", _wrong_number("line", len(cells), count))
        return cells

    def _record(self, line: str, count: int | None) -> tuple[str, list[str]] | Unreadable:
        """Read a record that may span lines; where it cannot be taken, its first line is no row."""
        text = line.rstrip(LINE_ENDS)
        first = split(text, self._delimiter)
        if first is None:
            return Unreadable(text, "line_csv", BROKEN)
        if not first.open:
            return line, first.cells
        fault = self._look_ahead(line, len(first.cells), count)
        if fault:
            return Unreadable(text, "line_csv", fault)
        inner = [str(one.line) for one in self._ahead]
        self._ahead.clear()
        self._more_ahead = self._size_ahead = 0
        whole = line + "".join(inner)
        record = split(whole.rstrip(LINE_ENDS), self._delimiter)
        if record is None or record.open:
            # It cannot be: line by line it was found to be whole.
            return Unreadable(whole, "line_csv", BROKEN)
        return whole, record.cells

    def _look_ahead(self, line: str, begun: int, count: int | None) -> str | None:
        """
        Read on to the line that ends a record.

        :param begun: the cells that its first line begins.
        :return: why there is no such record; None: what is ahead is the rest of it.
        """
        most, size = self._options.max_line_bytes, bytes_of(line)
        while not self._ahead or self._ahead[-1].open:
            if size + self._size_ahead > most or len(self._ahead) >= MAX_RECORD_LINES:
                return TOO_FAR
            following = next(self._lines, None)
            if following is None:
                return UNCLOSED
            self._keep(following)
        if self._ahead[-1].open is None:
            return UNCLOSED
        cells = begun + self._more_ahead
        if count is not None and cells != count:
            return _wrong_number("record that the line's open quote begins", cells, count)
        return TOO_FAR if size + self._size_ahead > most else None

    def _keep(self, line: str | Unreadable) -> None:
        self._lines_read += 1
        inner = Inner(line, 0, None, 0)
        if isinstance(line, str):
            found = split(line.rstrip(LINE_ENDS), self._delimiter, quoted=True)
            more, is_open = (0, None) if found is None else (len(found.cells) - 1, found.open)
            inner = Inner(line, more, is_open, bytes_of(line))
        self._ahead.append(inner)
        self._more_ahead += inner.more
        self._size_ahead += inner.size

    def _next_lines(self) -> Iterator[str | Unreadable]:
        ahead, lines = self._ahead, self._lines
        while True:
            if ahead:
                inner = ahead.popleft()
                self._more_ahead -= inner.more
                self._size_ahead -= inner.size
                yield inner.line
                continue
            line = next(lines, None)
            if line is None:
                return
            self._lines_read += 1
            yield line


def _wrong_number(what: str, cells: int, header: int) -> str:
    return f"the {what} has {cells} cells, the header {header}"
