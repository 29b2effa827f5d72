"""Decodes the text of a file, compressed or not, in any encoding."""

from __future__ import annotations

import codecs
import gzip
import io
from typing import BinaryIO, cast

from airflow_provider_moengage.api.errors import MoEngageParameterError

DEFAULT_ENCODING = "utf-8"
#: The marks a file may begin with and their encodings; longer ones first, as shorter ones are their prefixes.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4
#: Bytes decompressed at a time.
BUFFER = 128 * 1024
UNDECODABLE = "airflow_provider_moengage.undecodable"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return a lone surrogate for every byte that cannot be decoded; ``surrogateescape`` does not cover all bytes."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(UNDECODABLE, _escaped)


class _Whole(io.RawIOBase):
    """A stream whose first bytes were already read, from its beginning."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._first or self._stream.read(len(buffer))
        self._first = b""
        buffer[: len(content)] = content
        return len(content)


def open_text(name: str, stream: BinaryIO, encoding: str | None) -> io.TextIOWrapper:
    """
    Open the text of a file; a byte that cannot be decoded affects only its own line, not the following ones.

    :param name: the file's name; one that ends in ``.gz`` is decompressed.
    :param encoding: of the text, unless a byte order mark names another; None: UTF-8.
    :raises MoEngageParameterError: the text looks like UTF-16 or UTF-32 and neither mark nor encoding says so.
    """
    if name.lower().endswith(".gz"):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    first = stream.read(LONGEST_MARK)
    mark, known = next((pair for pair in BYTE_ORDER_MARKS if first.startswith(pair[0])), (b"", encoding))
    if known is None:
        _check_not_wide(first)
    rest = io.BufferedReader(_Whole(first[len(mark) :], stream), BUFFER)
    return io.TextIOWrapper(rest, encoding=known or DEFAULT_ENCODING, errors=UNDECODABLE, newline="")


def has_undecodable(text: str) -> bool:
    """Whether a text that was read holds a byte that could not be decoded."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_not_wide(first: bytes) -> None:
    """
    Check the first four bytes for the zeros that two or four bytes per character leave there.

    :raises MoEngageParameterError: they are there.
    """
    zeros = "".join("0" if byte == 0 else "x" for byte in first)
    found = {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zeros)
    if found:
        raise MoEngageParameterError(
            f"the text is not UTF-8 but looks like {found.upper()}; set encoding={found!r}"
        )
