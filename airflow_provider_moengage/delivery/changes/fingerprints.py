"""Fingerprints of records: what identifies one, and what it was sent as, eight bytes of a hash each."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

#: Bytes of a key or of a content. The chance that any two of ten million ids share a key is 3 in a million.
HALF = 8
#: Bytes of an entry: a key and a content.
ENTRY = 2 * HALF
#: The content of a record of which it is not known what MoEngage has; no record is ever equal to it.
UNKNOWN = bytes(HALF)

#: Returns what identifies a record, given its content and its user.
Identity = Callable[[bytes, str], str]

# Copying one object takes less than making one.
_hash = blake2b(digest_size=HALF)


def key_of(identity: str) -> bytes:
    """Return the key of what identifies a record."""
    return content_of(identity.encode("utf-8", "surrogatepass"))


def content_of(content: bytes) -> bytes:
    """Return the fingerprint of a record's content."""
    copied = _hash.copy()
    copied.update(content)
    return copied.digest()
