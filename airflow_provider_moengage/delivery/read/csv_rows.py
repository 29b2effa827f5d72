"""
A CSV reader in which a malformed line costs one row and not the rest of the file.

An unclosed quote makes one record of everything that follows. So a record that spans lines counts only if it is complete
and has as many cells as the header; otherwise its first line is unreadable, and each of its other lines is read again as
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
#: Delimiters to suggest where a header has only one cell.
DELIMITERS = ",;\t|"
#: Maximum number of lines of a record: lines read in search of a closing quote are held in memory.
MAX_RECORD_LINES = 100_000

BROKEN = "the line cannot be read as CSV: a quoted cell is followed by something other than a delimiter"
UNCLOSED = "the line cannot be read as CSV: it opens a quote that is never properly closed"
TOO_FAR = (
    "the line cannot be read as CSV: it opens a quote that is not closed within the maximum size of a line"
)


class Split(NamedTuple):
    """
    The cells of a text.

    :param cells: the cells; the first one continues an earlier cell where a quote was open before the text.
    :param open: whether the last cell's quote is not closed.
    """

    cells: list[str]
    open: bool


class LookaheadLine(NamedTuple):
    """
    A line that was read in search of a closing quote, split as the continuation of a quoted cell.

    :param line: the line, or its :class:`Unreadable`.
    :param new_cells: how many cells begin in it.
    :param open: whether a quote is open at its end; None: it is malformed.
    :param size: its bytes in UTF-8.
    """

    line: str | Unreadable
    new_cells: int
    open: bool | None
    size: int


def split(text: str, delimiter: str, *, quoted: bool = False) -> Split | None:
    """
    Split a text at its delimiters, as the csv module does when it is strict.

    :param text: without its line ending.
    :param quoted: whether a quote is open before the text.
    :return: None: a quoted cell is followed by something other than a delimiter.
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
    """Return the position of the quote that closes a cell; a doubled quote is part of the cell."""
    while (at := text.find(QUOTE, at)) >= 0:
        if not text.startswith(QUOTE, at + 1):
            return at
        at += 2
    return len(text)


class CsvRows:
    """
    The rows of a CSV, each a dict or an :class:`Unreadable`.

    :param text: opened with ``newline=""``, so that its line endings are unchanged.
    :param delimiter: the character between cells.
    """

    def __init__(self, text: io.TextIOWrapper, delimiter: str, options: FileOptions) -> None:
        self._encoding = text.encoding
        self._delimiter = delimiter
        # The reader gets one line at a time; if that line does not complete a record, the next pop is an IndexError.
        self._pending: list[str] = []
        self._reader = csv.reader(iter(self._pending.pop, None), delimiter=delimiter, strict=True)
        self._options = options
        self._lines = lines_of(text, options.max_line_bytes)
        self._lines_read = 0
        # Each is split once, as the continuation of a quoted cell, which it remains when the lines before it are taken
        # away: so reading stays linear, however many quotes are left open.
        self._ahead: deque[LookaheadLine] = deque()
        self._cells_ahead = self._size_ahead = 0

    @property
    def line_num(self) -> int:
        """Return the number of lines read so far, without those that were only looked at ahead."""
        return self._lines_read - len(self._ahead)

    def header(self) -> list[str] | None:
        """
        Read the column names from the first line; an unnamed column has the name ``""``.

        :return: None: the text is empty.
        :raises MoEngageParameterError: they cannot be read, or the delimiter is the wrong one.
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
                        f"the header has one column, which holds {found!r}; set delimiter= to the character between the "
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
        # CSV has no NULL: an empty cell stands for it.
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

        :param count: the number of cells it must have; None: any number.
        :return: None: the line is blank.
        """
        if isinstance(line, Unreadable):
            return line
        text, cells = line, None
        if QUOTE in line:
            self._pending.append(line)
            try:
                cells = next(self._reader)
            except (csv.Error, IndexError):
                # The csv module rejects long cells and, before Python 3.11, NUL characters.
                record = self._record(line, count)
                if isinstance(record, Unreadable):
                    return record
                text, cells = record
        else:
            cells = line.rstrip(LINE_ENDS).split(self._delimiter)
            if len(cells) == 1 and not cells[0].strip():
                return None
        unreadable = undecodable(text, self._encoding)
        if unreadable is not None:
            return unreadable
        if count is not None and len(cells) != count:
            return Unreadable(cells, "line_csv", _wrong_cell_count("line", len(cells), count))
        return cells

    def _record(self, line: str, count: int | None) -> tuple[str, list[str]] | Unreadable:
        """Read a record that may span lines; where it is malformed, only its first line is unreadable."""
        text = line.rstrip(LINE_ENDS)
        first = split(text, self._delimiter)
        if first is None:
            return Unreadable(text, "line_csv", BROKEN)
        if not first.open:
            return line, first.cells
        fault = self._look_ahead(line, len(first.cells), count)
        if fault:
            return Unreadable(text, "line_csv", fault)
        rest = [str(ahead.line) for ahead in self._ahead]
        self._ahead.clear()
        self._cells_ahead = self._size_ahead = 0
        whole = line + "".join(rest)
        record = split(whole.rstrip(LINE_ENDS), self._delimiter)
        if record is None or record.open:
            # Should not happen: the lines were found to be complete one by one.
            return Unreadable(whole, "line_csv", BROKEN)
        return whole, record.cells

    def _look_ahead(self, line: str, first_cells: int, count: int | None) -> str | None:
        """
        Read ahead to the line that ends a record.

        :param first_cells: the number of cells that begin in its first line.
        :return: why the record is malformed; None: the lines ahead are the rest of it.
        """
        max_bytes, size = self._options.max_line_bytes, bytes_of(line)
        while not self._ahead or self._ahead[-1].open:
            if size + self._size_ahead > max_bytes or len(self._ahead) >= MAX_RECORD_LINES:
                return TOO_FAR
            following = next(self._lines, None)
            if following is None:
                return UNCLOSED
            self._append_ahead(following)
        if self._ahead[-1].open is None:
            return UNCLOSED
        cells = first_cells + self._cells_ahead
        if count is not None and cells != count:
            return _wrong_cell_count("record that the line's open quote begins", cells, count)
        return TOO_FAR if size + self._size_ahead > max_bytes else None

    def _append_ahead(self, line: str | Unreadable) -> None:
        self._lines_read += 1
        ahead = LookaheadLine(line, 0, None, 0)
        if isinstance(line, str):
            parts = split(line.rstrip(LINE_ENDS), self._delimiter, quoted=True)
            new_cells, is_open = (0, None) if parts is None else (len(parts.cells) - 1, parts.open)
            ahead = LookaheadLine(line, new_cells, is_open, bytes_of(line))
        self._ahead.append(ahead)
        self._cells_ahead += ahead.new_cells
        self._size_ahead += ahead.size

    def _next_lines(self) -> Iterator[str | Unreadable]:
        ahead, lines = self._ahead, self._lines
        while True:
            if ahead:
                first = ahead.popleft()
                self._cells_ahead -= first.new_cells
                self._size_ahead -= first.size
                yield first.line
                continue
            line = next(lines, None)
            if line is None:
                return
            self._lines_read += 1
            yield line


def _wrong_cell_count(what: str, cells: int, header: int) -> str:
    return f"the {what} has {cells} cells, the header {header}"
