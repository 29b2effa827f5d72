"""How MoEngage stores an attribute's value: its type, and what it silently truncates or drops."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from airflow_provider_moengage.sandbox import names
from airflow_provider_moengage.sandbox.dates import is_datetime, is_undocumented_date

VALUE_CHARACTERS = 512
ARRAY_ELEMENTS = 50
OBJECTS_IN_ARRAY = 100
#: Limits of one object, also of each object in an array.
OBJECT_BYTES = 25 * 1024
OBJECT_KEYS = 100
OBJECT_LEVELS = 2
KEY_CHARACTERS = 200
NOT_IN_KEYS = re.compile("[$.%#]")

PLATFORMS = ("ANDROID", "iOS", "web")

URL = re.compile(r"https?://", re.IGNORECASE)

#: Returned in place of a value that MoEngage does not store.
DROPPED = object()

Note = Callable[[str], None]


def type_of(value: Any) -> str:
    """Return MoEngage's type of a stored value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "datetime" if is_datetime(value) else "string"
    return "array" if isinstance(value, list) else "object"


def kept(name: str, value: Any, *, objects: bool, note: Note) -> Any:
    """
    Return the value that is stored, or ``DROPPED``; report every change to ``note``.

    :param name: the attribute's name.
    :param value: the JSON value as sent.
    :param objects: whether the workspace has the feature of object attributes.
    """
    if name == "platforms" and value is not None:
        return _platforms(value, note)
    if name == "moe_geo_location" and value is not None:
        return _geo_location(value, note)
    if name in names.STANDARD and (isinstance(value, dict) or is_array_of_objects(value)):
        note("dropped: a standard attribute is no object")
        return DROPPED
    return plain(value, objects=objects, note=note)


def plain(value: Any, *, objects: bool, note: Note) -> Any:
    """Return the stored value of an attribute whose name has no special meaning."""
    if isinstance(value, str):
        return _text(value, note)
    if value is None:
        # The meaning of null is not documented; the sandbox leaves the attribute unchanged.
        note("ignored: the meaning of null is not documented")
        return DROPPED
    if isinstance(value, list) and not is_array_of_objects(value):
        return _array(value, note)
    if not isinstance(value, dict | list):
        return value
    if not objects:
        note("dropped: the workspace does not have object attributes")
        return DROPPED
    note = _once(note)
    return _object(value, note) if isinstance(value, dict) else _objects(value, note)


def bent(value: Any) -> Any:
    """Return another value of the same type in place of a string, a number or a boolean, else ``DROPPED``."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "~"
    if isinstance(value, int | float):
        # A large float does not change if 1 is added.
        return value + 1 if value + 1 != value else -value
    return DROPPED


def is_array_of_objects(value: Any) -> bool:
    """Whether a value is an array that contains an object."""
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def max_elements(array: list[Any]) -> int:
    """Return the maximum number of elements of such an array."""
    return OBJECTS_IN_ARRAY if is_array_of_objects(array) else ARRAY_ELEMENTS


def _text(value: str, note: Note) -> Any:
    if len(value) > VALUE_CHARACTERS:
        if URL.match(value):
            note(f"dropped: a URL of over {VALUE_CHARACTERS} characters")
            return DROPPED
        note(f"cut to {VALUE_CHARACTERS} characters")
        return value[:VALUE_CHARACTERS]
    if is_undocumented_date(value):
        note("stored as a string: looks like a date, but is none in a documented form")
    return value


def _array(value: list[Any], note: Note) -> Any:
    types = {"string" if isinstance(item, str) else None if item is None else type_of(item) for item in value}
    if types & {None, "array"}:
        note("dropped: an array holds strings, numbers, booleans, datetimes or objects")
        return DROPPED
    if len(types) > 1:
        note("dropped: an array holds values of one type")
        return DROPPED
    value = _cut(value, note)
    if types == {"string"}:
        value = [text for text in (_text(item, note) for item in value) if text is not DROPPED]
    return value


def _cut(array: list[Any], note: Note) -> list[Any]:
    maximum = max_elements(array)
    if len(array) > maximum:
        note(f"cut to {maximum} elements")
    return array[:maximum]


def _objects(array: list[Any], note: Note) -> Any:
    if not all(item is None or isinstance(item, dict) for item in array):
        note("dropped: an array holds values of one type")
        return DROPPED
    return _ingested(array, _object, note)


def _object(value: dict[str, Any], note: Note) -> Any:
    """Return the stored part of an object; an object over a limit is dropped."""
    try:
        if _levels(value) > OBJECT_LEVELS:
            note(f"dropped: an object of over {OBJECT_LEVELS} levels")
        elif _keys(value) > OBJECT_KEYS:
            note(f"dropped: an object of over {OBJECT_KEYS} keys")
        elif _bytes(value) > OBJECT_BYTES:
            note(f"dropped: an object of over {OBJECT_BYTES} bytes")
        else:
            return _inside_object(value, note)
    except RecursionError:
        note(f"dropped: an object of over {OBJECT_LEVELS} levels")
    return DROPPED


def _inside_object(value: dict[str, Any], note: Note) -> Any:
    stored = {}
    for key, inner in value.items():
        if not key or len(key) > KEY_CHARACTERS or NOT_IN_KEYS.search(key):
            note(f"partially ingested: a key has 1 to {KEY_CHARACTERS} characters, and none of $ . % #")
        elif inner is None:
            note("partially ingested: a NULL inside is left out")
        else:
            inner = _inside(inner, note)
            if inner is not DROPPED:
                stored[key] = inner
    if not stored:
        note("not ingested: an object without a value")
        return DROPPED
    return stored


def _inside(value: Any, note: Note) -> Any:
    """Return the stored part of a value inside an object."""
    if isinstance(value, dict):
        return _inside_object(value, note)
    if is_array_of_objects(value) and all(item is None or isinstance(item, dict) for item in value):
        return _ingested(value, _inside_object, note)
    if isinstance(value, list):
        with_values = [item for item in value if item is not None]
        if len(with_values) < len(value):
            note("partially ingested: a NULL inside is left out")
        return _array(with_values, note)
    return _text(value, note) if isinstance(value, str) else value


def _ingested(array: list[Any], one: Callable[[dict[str, Any], Note], Any], note: Note) -> Any:
    """Return the stored part of an array of objects and NULLs."""
    if None in array:
        note("partially ingested: a NULL inside is left out")
    stored = [one(item, note) for item in _cut(array, note) if item is not None]
    stored = [item for item in stored if item is not DROPPED]
    # An empty array would unset the attribute.
    return stored or DROPPED


def _once(note: Note) -> Note:
    """Return a note function that reports each text once: a large object can break one rule in many places."""
    noted: set[str] = set()

    def first(what: str) -> None:
        if what not in noted:
            noted.add(what)
            note(what)

    return first


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _bytes(value: Any) -> int:
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(compact.encode("utf-8", "replace"))


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
