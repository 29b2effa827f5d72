"""
What a user attribute's value may be, once it is JSON.

MoEngage answers 200 to anything and then stores a wrong date as a string, cuts what is long and drops what
is of a wrong type, so everything is checked here. Sources: Track User ("attributes"), docs ("limits").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from math import isfinite
from typing import Any

from pydantic_core import PydanticSerializationError, SchemaValidator, core_schema, to_json

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.api.names import CREATE_ONLY_NAMES, MAX_VALUE_LENGTH, name_fault

#: Shorter texts cannot begin like a date, nor be too long.
DATE_LENGTH = 10
MAX_ARRAY_ELEMENTS = 50
MAX_OBJECT_BYTES = 25_000
MAX_OBJECT_KEYS = 100
MAX_OBJECT_LEVELS = 2
ARRAY_OPERATORS = ("addValueToArrayField", "removeValueFromArrayField")
PLATFORMS = ("ANDROID", "iOS", "web")

_LOOKS_LIKE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DOCUMENTED_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ)?", re.ASCII)


def check_value(name: str, value: object, *, as_text: bool = False) -> None:
    """
    Check one attribute's value.

    :param as_text: the value is known to be a text, even where it begins like a date.
    :raises MoEngageRecordInvalid: MoEngage would drop or bend it; the reason names the rule, the attribute
        and the value's type.
    """
    kind = type(value)
    if kind is str:
        if len(value) >= DATE_LENGTH:  # type: ignore[arg-type]
            _check_text(name, value, as_text)  # type: ignore[arg-type]
    elif kind is bool:
        return
    elif kind is int or kind is float:
        _check_number(name, value)  # type: ignore[arg-type]
    elif kind is list:
        _check_array(name, value, as_text)  # type: ignore[arg-type]
    elif kind is dict:
        _check_object(name, value)  # type: ignore[arg-type]
    else:
        raise _wrong_type(name, value)


def _wrong_type(name: str, value: object) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        "value_type",
        f"attribute {name!r} has a value of type {type(value).__name__}; MoEngage takes strings, numbers, booleans, "
        "datetimes, arrays of one of these, and objects",
    )


def _check_text(name: str, value: str, as_text: bool) -> None:
    if len(value) > MAX_VALUE_LENGTH:
        raise MoEngageRecordInvalid(
            "value_length",
            f"attribute {name!r} has a string over {MAX_VALUE_LENGTH} characters, which MoEngage would cut or drop",
        )
    # The dashes are looked for first: most texts are no dates.
    if (
        value[4] == value[7] == "-"
        and not as_text
        and not is_documented_date(value)
        and _LOOKS_LIKE_DATE.match(value)
    ):
        raise MoEngageRecordInvalid(
            "date_format",
            f"attribute {name!r} has a string that begins like a date but is no valid YYYY-MM-DDTHH:mm:ssZ or "
            f"YYYY-MM-DD, so MoEngage would store it as text; types={{{name!r}: 'datetime'}} converts it, 'string' "
            "lets it pass",
        )


def is_documented_date(text: str) -> bool:
    """Whether MoEngage recognises this text as a datetime: one of its two forms, and a day that exists."""
    if not _DOCUMENTED_DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _check_number(name: str, value: float) -> None:
    try:
        finite = isfinite(value)
    except OverflowError:
        raise MoEngageRecordInvalid(
            "number_range", f"attribute {name!r} has an integer that no JSON number can hold"
        ) from None
    if not finite:
        raise MoEngageRecordInvalid("value_type", f"attribute {name!r} has a number that is not finite")


def _check_array(name: str, value: list[Any], as_text: bool) -> None:
    if len(value) > MAX_ARRAY_ELEMENTS:
        raise MoEngageRecordInvalid(
            "array_length",
            f"attribute {name!r} has an array over {MAX_ARRAY_ELEMENTS} elements, which MoEngage would cut",
        )
    kinds = set()
    for element in value:
        if type(element) not in (str, int, float, bool):
            raise MoEngageRecordInvalid(
                "array_element_type",
                f"attribute {name!r} has an array with an element of type {type(element).__name__}; "
                "arrays hold strings, numbers, booleans or datetimes",
            )
        check_value(name, element, as_text=as_text)
        kinds.add(_kind(element, as_text))
    if len(kinds) > 1:
        raise MoEngageRecordInvalid(
            "array_mixed",
            f"attribute {name!r} has an array that mixes {' and '.join(sorted(kinds))}; use one type",
        )


def _kind(element: object, as_text: bool) -> str:
    if isinstance(element, str):
        return "datetimes" if not as_text and is_documented_date(element) else "strings"
    return "booleans" if isinstance(element, bool) else "numbers"


def _check_platforms(value: object) -> None:
    for element in value if isinstance(value, list) else [value]:
        good = (
            isinstance(value, list)
            and isinstance(element, dict)
            and set(element) == {"platform", "active"}
            and element["platform"] in PLATFORMS
            and element["active"] in ("true", "false")
        )
        if not good:
            raise MoEngageRecordInvalid(
                "platforms",
                "attribute 'platforms' must hold objects like {'platform': 'ANDROID', 'active': 'true'}, with "
                f"platform one of {', '.join(PLATFORMS)} and active the string 'true' or 'false'",
            )


def _check_object(name: str, value: dict[Any, Any]) -> None:
    keys = _check_level(name, value, level=1)
    if keys > MAX_OBJECT_KEYS:
        raise MoEngageRecordInvalid(
            "object_keys", f"attribute {name!r} has an object of more than {MAX_OBJECT_KEYS} keys"
        )
    if _json_bytes(value) > MAX_OBJECT_BYTES:
        raise MoEngageRecordInvalid("object_size", f"attribute {name!r} has an object over 25 KB")


def _json_bytes(value: dict[Any, Any]) -> int:
    try:
        return len(to_json(value))
    except PydanticSerializationError:
        # A text holds surrogates, of which only the whole record tells whether they can be sent.
        return len(json.dumps(value, separators=(",", ":")))


def _check_level(name: str, value: dict[Any, Any], level: int) -> int:
    if level > MAX_OBJECT_LEVELS:
        raise MoEngageRecordInvalid(
            "object_levels",
            f"attribute {name!r} has an object nested more than {MAX_OBJECT_LEVELS} levels deep",
        )
    keys = len(value)
    for key, inner in value.items():
        if not isinstance(key, str) or not key.strip():
            raise MoEngageRecordInvalid(
                "object_keys", f"attribute {name!r} has an object with a key that is no name"
            )
        if type(inner) is dict:
            keys += _check_level(name, inner, level + 1)
        else:
            check_value(f"{name}.{key}", inner)
    return keys


def _check_location(value: object) -> None:
    good = (
        isinstance(value, dict)
        and set(value) == {"lat", "lon"}
        and all(type(number) in (int, float) for number in value.values())
        and abs(value["lat"]) <= 90
        and abs(value["lon"]) <= 180
    )
    if not good:
        raise MoEngageRecordInvalid(
            "moe_geo_location",
            "attribute 'moe_geo_location' must be an object like {'lat': 12.11, 'lon': 123.122}, in degrees",
        )


#: Standard attributes with a documented shape of their own.
_SHAPES: Mapping[str, Callable[[object], None]] = {
    "platforms": _check_platforms,
    "moe_geo_location": _check_location,
}


def _good_values() -> SchemaValidator:
    """
    Compile what nearly all values are: numbers, and texts that are short enough and do not begin like a date.

    It stands for the rules of :func:`check_value` where it says yes, and for none where it says no: the 29th of
    February is such a no, because no pattern knows leap years.
    """
    other = ""
    for expected in reversed(("[0-9]",) * 4 + ("-",) + ("[0-9]",) * 2 + ("-",) + ("[0-9]",) * 2):
        unexpected = r"\P{Nd}" if expected == "[0-9]" else "[^-]"
        other = f"(?:$|{unexpected}|{expected}{other})" if other else f"(?:$|{unexpected})"
    moment = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
    days = "0[1-9]|1[0-9]|2[0-8]"
    day = rf"02-(?:{days})|(?:0[469]|11)-(?:{days}|29|30)|(?:0[13578]|1[02])-(?:{days}|29|3[01])"
    date_ = rf"[1-9][0-9]{{3}}-(?:{day})"
    pattern = rf"(?s)\A(?:{other}|{date_}(?:{moment})?\z)"
    texts = core_schema.str_schema(strict=True, max_length=MAX_VALUE_LENGTH, pattern=pattern)
    # An int is a float too, unless it is too large to be one.
    numbers = core_schema.float_schema(strict=True, allow_inf_nan=False)
    value = core_schema.union_schema([texts, numbers, core_schema.bool_schema()], mode="left_to_right")
    return SchemaValidator(core_schema.dict_schema(core_schema.any_schema(), value))


_GOOD_VALUES = _good_values()
_PLAIN_TYPES = frozenset({str, int, bool, float})


def are_good(attributes: Mapping[str, Any]) -> bool:
    """
    Whether every value is beyond doubt one that MoEngage takes, under a name without rules of its own.

    Where it is not, :func:`check_attributes` knows, and says why.
    """
    # The validator takes a Decimal for a number too, which it is not to JSON.
    return _PLAIN_TYPES.issuperset(map(type, attributes.values())) and _GOOD_VALUES.isinstance_python(
        attributes
    )


def are_plain(names: Iterable[object]) -> bool:
    """Whether attributes may have these names, and there is nothing else to be said of any."""
    special = {*_SHAPES, *ARRAY_OPERATORS, *CREATE_ONLY_NAMES}
    return not any(name_fault(name) or name in special for name in names)


def check_attributes(attributes: Mapping[str, Any], texts: frozenset[str]) -> None:
    """
    Check every attribute of a user: its name, its value, and that array operators do not clash.

    :param texts: names of attributes that are known to be texts, even where they begin like a date.
    :raises MoEngageRecordInvalid: the first rule that is broken.
    """
    operators = {key: attributes[key] for key in ARRAY_OPERATORS if key in attributes}
    if operators:
        attributes = {name: value for name, value in attributes.items() if name not in ARRAY_OPERATORS}
        _check_array_operators(attributes, operators)
    for name, value in attributes.items():
        fault = name_fault(name)
        if fault:
            raise MoEngageRecordInvalid(*fault)
        # Whether a null is sent at all was decided before; what MoEngage makes of it is not documented.
        if value is None:
            continue
        if name in _SHAPES:
            _SHAPES[name](value)
        else:
            check_value(name, value, as_text=name in texts)


def _check_array_operators(attributes: Mapping[str, Any], operators: Mapping[str, Any]) -> None:
    seen: dict[str, str] = dict.fromkeys(attributes, "set")
    for operator, fields in operators.items():
        if not isinstance(fields, dict):
            raise MoEngageRecordInvalid(
                "array_operator", f"{operator} must be an object of attribute and array"
            )
        for name, values in fields.items():
            fault = name_fault(name)
            if fault:
                raise MoEngageRecordInvalid(*fault)
            if name == "platforms" or type(values) is not list:
                raise MoEngageRecordInvalid(
                    "array_operator",
                    f"{operator} has {name!r} with a value of type {type(values).__name__}; it takes arrays, and not "
                    "'platforms'",
                )
            check_value(name, values)
            if name in seen:
                raise MoEngageRecordInvalid(
                    "array_operator_clash",
                    f"attribute {name!r} stands in {operator} and is {seen[name]} in the same record; send one of them",
                )
            seen[name] = f"in {operator}"
