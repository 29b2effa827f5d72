"""Lines of a text, with a maximum length; a line that is too long or undecodable becomes an :class:`Unreadable`."""

from __future__ import annotations

import io
from collections.abc import Iterator

from airflow_provider_moengage.delivery.read.text import has_undecodable
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

#: Characters kept of a line that is too long.
KEPT_OF_LONG = 1_000
#: Characters read at a time while the rest of a line is skipped.
SKIPPED = 64 * 1024
#: Maximum number of bytes of a character in UTF-8.
MAX_CHARACTER_BYTES = 4
LINE_ENDS = "\r\n"


def lines_of(text: io.TextIOWrapper, max_bytes: int) -> Iterator[str | Unreadable]:
    """
    Return the lines of a text with their line endings; a line that is too long becomes an :class:`Unreadable`.

    :param max_bytes: maximum bytes of a line in UTF-8, without its line ending.
    """
    read = text.readline
    limit, surely_short = max_bytes + len(LINE_ENDS), max_bytes // MAX_CHARACTER_BYTES
    while line := read(limit):
        if len(line) <= surely_short or not is_too_long(line.rstrip(LINE_ENDS), max_bytes):
            yield line
            continue
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = read(SKIPPED)
        yield too_long(line, max_bytes)


def is_too_long(text: str, max_bytes: int) -> bool:
    """Whether a text has more than ``max_bytes`` bytes in UTF-8."""
    if len(text) * MAX_CHARACTER_BYTES <= max_bytes:
        return False
    return len(text) > max_bytes or bytes_of(text) > max_bytes


def bytes_of(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def too_long(beginning: str, max_bytes: int, what: str = "line") -> Unreadable:
    """
    Return the :class:`Unreadable` of a line, or of something else, that is too long.

    :param beginning: the beginning of its text.
    :param what: what it is called in the reason.
    """
    return Unreadable(
        beginning[:KEPT_OF_LONG].rstrip(LINE_ENDS),
        "line_length",
        f"the {what} has more than {max_bytes} bytes; only its beginning is kept. If it is valid, raise [moengage] "
        "max_line_bytes in Airflow's configuration",
    )


def undecodable(text: str, encoding: str, what: str = "line") -> Unreadable | None:
    """
    Return the :class:`Unreadable` of a text with bytes that its file's encoding cannot decode; None if there are none.

    :param encoding: the encoding the file was read with.
    """
    if not has_undecodable(text):
        return None
    return Unreadable(
        text.rstrip(LINE_ENDS),
        "encoding",
        f"the {what} has bytes that are not {encoding.upper()}; set encoding= to the file's encoding, such as "
        "encoding='cp1252'",
    )
