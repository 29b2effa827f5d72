"""The body of an answer, read up to a limit: what a server sends, and what that decodes into, is bounded."""

from __future__ import annotations

import zlib
from typing import Any

from urllib3.exceptions import DecodeError, ProtocolError

#: Content codings that are decoded, though none is asked for: a gateway may not care.
CODINGS = ("gzip", "x-gzip", "deflate")
#: How zlib tells gzip from deflate by itself, and what some servers mean by deflate.
ZLIB_OR_GZIP, BARE_DEFLATE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


def read_body(raw: Any, limit: int) -> bytes | None:
    """
    Read a body to its end, decoded.

    :param raw: urllib3's response, unread.
    :param limit: bytes, before and after decoding.
    :return: None where there is more; then the connection is closed.
    :raises urllib3.exceptions.HTTPError: the body broke off, took too long, or cannot be decoded.
    """
    try:
        content = _read(raw, limit)
    except ValueError as error:
        # http.client believes a chunk of a negative size.
        _close(raw)
        raise ProtocolError("the body is framed wrongly", error) from error
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
    # urllib3 does not decode: before 2.6 it decodes whatever it has read at once, to any size.
    content: bytes = raw.read(limit + 1, decode_content=False)
    # A second read is needed to tell a body's end from a connection that broke off.
    while raw.length_remaining != 0 and len(content) <= limit:
        more = raw.read(limit + 1 - len(content), decode_content=False)
        if not more:
            break
        content += more
    return content if len(content) <= limit else None


def _decode(content: bytes, limit: int) -> bytes | None:
    if not content:
        # A gateway's answer without a body, whose headers are those of one with a body.
        return content
    for window in (ZLIB_OR_GZIP, BARE_DEFLATE):
        decoder = zlib.decompressobj(window)
        try:
            decoded = decoder.decompress(content, limit + 1)
        except zlib.error:
            continue
        if len(decoded) > limit:
            return None
        if not decoder.eof:
            raise DecodeError("the compressed body breaks off")
        return decoded
    raise DecodeError("the body is not in the coding that its header names")


def _close(raw: Any) -> None:
    """Give up the connection: the rest of the body is still in it."""
    raw.close()
    raw.release_conn()
