"""What MoEngage makes of an attribute's value: its type, and what is cut or dropped without a word."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

VALUE_CHARACTERS = 512
ARRAY_ELEMENTS = 50
OBJECT_BYTES = 25 * 1024
OBJECT_KEYS = 100
OBJECT_LEVELS = 2

PLATFORMS = ("ANDROID", "iOS", "web")

DATETIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})Z)?")
#: What people mean as a date: it begins like the documented form, or is another common one.
LIKE_A_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*"
    r"|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}( .*)?"
    r"|[0-9]{1,2}[-/][0-9]{1,2}[-/][0-9]{4}( .*)?",
    re.DOTALL,
)
URL = re.compile(r"https?://", re.IGNORECASE)

#: What a value becomes where MoEngage does not keep it.
DROPPED = object()

Note = Callable[[str], None]


def is_datetime(text: str) -> bool:
    """Say whether a text is one of the two documented forms and a date that exists."""
    match = DATETIME.fullmatch(text)
    if match is None:
        return False
    try:
        datetime(*(int(part) for part in match.groups() if part is not None))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def type_of(value: Any) -> str:
    """Give the type under which a stored value is kept."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "datetime" if is_datetime(value) else "string"
    return "array" if isinstance(value, list) else "object"


def kept(name: str, value: Any, *, objects: bool, note: Note) -> Any:
    """
    Give the value that is stored, or ``DROPPED``; every difference from what was sent goes to ``note``.

    :param name: the attribute's name.
    :param value: the JSON value as sent.
    :param objects: whether the workspace has the feature of object attributes.
    """
    if name == "platforms" and value is not None:
        return _platforms(value, note)
    if name == "moe_geo_location" and value is not None:
        return _geo_location(value, note)
    return plain(value, objects=objects, note=note)


def plain(value: Any, *, objects: bool, note: Note) -> Any:
    """Give the value that is stored of an attribute whose name has no meaning to MoEngage."""
    if value is None:
        # What null means is not documented; the sandbox leaves the attribute as it is.
        note("ignored: the meaning of null is not documented")
        return DROPPED
    if isinstance(value, dict):
        return _object(value, objects, note)
    if isinstance(value, list):
        return _array(value, note)
    return _text(value, note) if isinstance(value, str) else value


def _text(value: str, note: Note) -> Any:
    if len(value) > VALUE_CHARACTERS:
        if URL.match(value):
            note(f"dropped: a URL of over {VALUE_CHARACTERS} characters")
            return DROPPED
        note(f"cut to {VALUE_CHARACTERS} characters")
        return value[:VALUE_CHARACTERS]
    if value[:1].isdigit() and LIKE_A_DATE.fullmatch(value) and not is_datetime(value):
        note("stored as a string: looks like a date, but is none in a documented form")
    return value


def _array(value: list[Any], note: Note) -> Any:
    types = {"string" if isinstance(item, str) else None if item is None else type_of(item) for item in value}
    if types & {None, "array", "object"}:
        note("dropped: an array holds strings, numbers, booleans or datetimes")
        return DROPPED
    if len(types) > 1:
        note("dropped: an array holds values of one type")
        return DROPPED
    if len(value) > ARRAY_ELEMENTS:
        note(f"cut to {ARRAY_ELEMENTS} elements")
        value = value[:ARRAY_ELEMENTS]
    if types == {"string"}:
        value = [text for text in (_text(item, note) for item in value) if text is not DROPPED]
    return value


def _object(value: dict[str, Any], objects: bool, note: Note) -> Any:
    if not objects:
        note("dropped: the workspace does not have object attributes")
        return DROPPED
    try:
        if _levels(value) > OBJECT_LEVELS:
            note(f"dropped: an object of over {OBJECT_LEVELS} levels")
        elif _keys(value) > OBJECT_KEYS:
            note(f"dropped: an object of over {OBJECT_KEYS} keys")
        elif len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) > OBJECT_BYTES:
            note(f"dropped: an object of over {OBJECT_BYTES} bytes")
        else:
            return value
    except RecursionError:
        note(f"dropped: an object of over {OBJECT_LEVELS} levels")
    return DROPPED


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _keys(value: Any) -> int:
    own = len(value) if isinstance(value, dict) else 0
    return own + sum(_keys(inner) for inner in _inner(value))


def _levels(value: Any) -> int:
    own = 1 if isinstance(value, dict) else 0
    return own + max((_levels(inner) for inner in _inner(value)), default=0)


def _geo_location(value: Any, note: Note) -> Any:
    if (
        isinstance(value, dict)
        and set(value) == {"lat", "lon"}
        and all(type_of(part) == "number" for part in value.values())
        and abs(value["lat"]) <= 90
        and abs(value["lon"]) <= 180
    ):
        return value
    note('dropped: expected to be {"lat": number, "lon": number}')
    return DROPPED


def _platforms(value: Any, note: Note) -> Any:
    if isinstance(value, list) and all(
        isinstance(item, dict)
        and item.get("platform") in PLATFORMS
        and item.get("active") in ("true", "false")
        for item in value
    ):
        return value
    note('dropped: expected to be a list of {"platform": "ANDROID"|"iOS"|"web", "active": "true"|"false"}')
    return DROPPED
