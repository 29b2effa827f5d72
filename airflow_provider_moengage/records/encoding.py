"""Serialises records as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid

_encode = msgspec.json.Encoder().encode


def serialised(fields: Mapping[str, Any]) -> bytes:
    """
    Serialise a record's fields.

    :raises MoEngageRecordInvalid: a string cannot be encoded in UTF-8.
    """
    try:
        return _encode(fields)
    except UnicodeEncodeError:
        return _escaped(fields)


def json_bytes(value: object) -> int:
    """Return the number of bytes of a value as JSON; whether its strings can be encoded is not checked."""
    try:
        return len(_encode(value))
    except UnicodeEncodeError:
        return len(json.dumps(value, separators=(",", ":")))


def _escaped(fields: Mapping[str, Any]) -> bytes:
    """Serialise strings with surrogates: JSON accepts a pair as one character, but not a lone surrogate."""
    body = json.dumps(fields).encode()
    try:
        from_json(body)
    except ValueError:
        raise MoEngageRecordInvalid(
            "encoding", "a text holds half of a surrogate pair, which UTF-8 cannot carry"
        ) from None
    return body
