"""Lines of a text, none of them longer than it may be, and what stands for a line that is no row."""

from __future__ import annotations

import io
from collections.abc import Iterator

from airflow_provider_moengage.delivery.read.text import has_undecodable
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable

#: Characters that are kept of what is too long.
KEPT_OF_LONG = 1_000
#: Characters that are read at a time of what is passed over.
PASSED_OVER = 64 * 1024
#: Bytes of a character in UTF-8 at most.
MOST_BYTES = 4
LINE_ENDS = "\r\n"


def lines_of(text: io.TextIOWrapper, most: int) -> Iterator[str | Unreadable]:
    """
    Return the lines of a text, with their ends, and in place of one that is too long what stands for it.

    :param most: bytes of a line in UTF-8, without its end.
    """
    read = text.readline
    room, surely_short = most + len(LINE_ENDS), most // MOST_BYTES
    while line := read(room):
        if len(line) <= surely_short or not is_too_long(line.rstrip(LINE_ENDS), most):
            yield line
            continue
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = read(PASSED_OVER)
        yield too_long(line, most)


def is_too_long(text: str, most: int) -> bool:
    """Whether a text has more bytes in UTF-8."""
    if len(text) * MOST_BYTES <= most:
        return False
    return len(text) > most or bytes_of(text) > most


def bytes_of(text: str) -> int:
    """Return the bytes that a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def too_long(beginning: str, most: int, what: str = "line") -> Unreadable:
    """
    Return what stands for something that is too long.

    :param beginning: of its text.
    :param what: what it is.
    """
    return Unreadable(
        beginning[:KEPT_OF_LONG].rstrip(LINE_ENDS),
        "line_length",
        f"the {what} has more than {most} bytes; its beginning alone is kept. Where it is meant, raise [moengage] "
        "max_line_bytes in Airflow's configuration",
    )


def undecodable(text: str, encoding: str, what: str = "line") -> Unreadable | None:
    """
    Return what stands for something with bytes that are none of its file's encoding; None where it has none.

    :param encoding: what the file was read as.
    """
    if not has_undecodable(text):
        return None
    return Unreadable(
        text.rstrip(LINE_ENDS),
        "encoding",
        f"the {what} has bytes that are not {encoding.upper()}; say with encoding= what the file is written in, such as "
        "encoding='cp1252'",
    )
