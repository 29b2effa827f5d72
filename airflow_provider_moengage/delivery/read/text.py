"""The text in a file's bytes, whatever they are."""

from __future__ import annotations

import codecs
import gzip
import io
from typing import BinaryIO, cast

from airflow_provider_moengage.api.errors import MoEngageParameterError

DEFAULT_ENCODING = "utf-8"
#: What a file may begin with, and the encoding that it stands for; the longer first, of which the shorter are part.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4
#: Bytes that are decompressed at a time.
BUFFER = 128 * 1024
UNDECODABLE = "airflow_provider_moengage.undecodable"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return a lone surrogate for every byte that is none of the encoding; ``surrogateescape`` takes not all bytes."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(UNDECODABLE, _escaped)


class _Whole(io.RawIOBase):
    """A stream from its first byte on, though its first bytes were read already."""

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
    Open the text of a file; a byte that is none of its encoding spoils its own line and not the ones behind it.

    :param name: the file's; ``.gz`` at its end says that it is compressed.
    :param encoding: of the text where no byte order mark says another; None: UTF-8.
    :raises MoEngageParameterError: the text is UTF-16 or UTF-32, and nothing says so.
    """
    if name.lower().endswith(".gz"):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    first = stream.read(LONGEST_MARK)
    mark, known = next((pair for pair in BYTE_ORDER_MARKS if first.startswith(pair[0])), (b"", encoding))
    if known is None:
        _check_no_wide_text(first)
    rest = io.BufferedReader(_Whole(first[len(mark) :], stream), BUFFER)
    return io.TextIOWrapper(rest, encoding=known or DEFAULT_ENCODING, errors=UNDECODABLE, newline="")


def has_undecodable(text: str) -> bool:
    """Whether a text that was read holds a byte that is none of its file's encoding."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_no_wide_text(first: bytes) -> None:
    """Look for the zeros that two or four bytes a character have among the first four bytes."""
    zeros = "".join("0" if byte == 0 else "x" for byte in first)
    found = {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zeros)
    if found:
        raise MoEngageParameterError(
            f"the text is not UTF-8 but looks like {found.upper()}; say so with encoding={found!r}"
        )
