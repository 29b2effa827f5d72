"""Reads and decodes a response body up to a maximum size."""

from __future__ import annotations

import zlib
from typing import Any

from urllib3.exceptions import DecodeError, ProtocolError

#: Content codings that are decoded, although none is requested: a gateway may ignore that.
CODINGS = ("gzip", "x-gzip", "deflate")
#: zlib's ``wbits``: detect gzip or zlib automatically; raw deflate, which some servers send as deflate.
ZLIB_OR_GZIP, RAW_DEFLATE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


def read_body(raw: Any, limit: int) -> bytes | None:
    """
    Read a whole body and return it decoded.

    :param raw: urllib3's response, unread.
    :param limit: the maximum number of bytes, before and after decoding.
    :return: the body; None if it exceeds the limit, in which case the connection is closed.
    :raises urllib3.exceptions.HTTPError: the body is incomplete, took too long, or cannot be decoded.
    """
    try:
        content = _read(raw, limit)
    except ValueError as error:
        # http.client accepts a chunk of negative size.
        _close(raw)
        raise ProtocolError("the framing of the body is invalid", error) from error
    if content is not None:
        coding = raw.headers.get("content-encoding")
        if coding and coding.strip().lower() in CODINGS:
            content = _decode(content, limit)
    if content is None:
        _close(raw)
    return content


def _read(raw: Any, limit: int) -> bytes | None:
    if (raw.length_remaining or 0) > limit:
        return None
    # Not decoded by urllib3: before 2.6 it decodes what it has read without a limit of size.
    content: bytes = raw.read(limit + 1, decode_content=False)
    # A second read distinguishes the end of the body from a lost connection.
    while raw.length_remaining != 0 and len(content) <= limit:
        more = raw.read(limit + 1 - len(content), decode_content=False)
        if not more:
            break
        content += more
    return content if len(content) <= limit else None


def _decode(content: bytes, limit: int) -> bytes | None:
    if not content:
        # A gateway may send the headers of a compressed body without a body.
        return content
    for window in (ZLIB_OR_GZIP, RAW_DEFLATE):
        decoder = zlib.decompressobj(window)
        try:
            decoded = decoder.decompress(content, limit + 1)
        except zlib.error:
            continue
        if len(decoded) > limit:
            return None
        if not decoder.eof:
            raise DecodeError("the compressed body is incomplete")
        return decoded
    raise DecodeError("the body is not encoded as its header says")


def _close(raw: Any) -> None:
    """Close the connection, which still holds the rest of the body."""
    raw.close()
    raw.release_conn()
