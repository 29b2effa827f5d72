"""
Checks the values of attributes, as JSON.

MoEngage answers 200 to anything, and then stores wrong dates as strings, truncates long values and drops values of a
wrong type, so everything is checked here. Sources: Track User ("attributes"), docs ("limits").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.dates import SHORTEST_DATE, is_documented_date, is_undocumented_date
from airflow_provider_moengage.records.encoding import json_bytes
from airflow_provider_moengage.records.names import CREATE_ONLY_NAMES, MAX_VALUE_LENGTH, name_fault

MAX_ARRAY_ELEMENTS = 50
MAX_ARRAY_OBJECTS = 100
MAX_OBJECT_BYTES = 25_000
MAX_OBJECT_KEYS = 100
MAX_OBJECT_LEVELS = 2
MAX_KEY_LENGTH = 200
FORBIDDEN_IN_KEYS = "$.%#"
#: MoEngage does not accept objects under these names. Sources: Track User, OpenAPI document ("attributes"), Data API overview.
STANDARD_NAMES = CREATE_ONLY_NAMES | frozenset(
    {
        "name", "first_name", "last_name", "email", "age", "gender", "mobile", "source", "created_time", "last_seen",
        "transactions", "revenue", "moe_unsubscribe",
        "u_n", "u_fn", "u_ln", "u_gd", "u_em", "u_mb", "uid", "u_bd", "moe_wa_subscription", "moe_em_unsub_categories",
        "push_preference", "moe_sub_w", "moe_spam", "moe_hard_bounce", "moe_sms_subscription",
        "moe_email_optin_status",
    }
)  # fmt: skip
ARRAY_OPERATORS = ("addValueToArrayField", "removeValueFromArrayField")
PLATFORMS = ("ANDROID", "iOS", "web")


def check_value(name: str, value: object, *, as_text: bool = False) -> None:
    """
    Check the value of one attribute.

    :param as_text: whether its strings are declared as strings, even if they look like dates.
    :raises MoEngageRecordInvalid: MoEngage would drop or alter it; the reason names the rule, the attribute and the
        value's type.
    """
    kind = type(value)
    if kind is list:
        _check_array(name, "", value, as_text, level=0)  # type: ignore[arg-type]
    elif kind is dict:
        _check_object(name, "", value, as_text, level=1)  # type: ignore[arg-type]
    else:
        _check_scalar(name, "", value, as_text)


def _check_scalar(name: str, path: str, value: object, as_text: bool) -> None:
    """
    Check a scalar value.

    :param path: its path in the attribute, as ``.key``.
    """
    kind = type(value)
    if kind is str:
        size = len(value)  # type: ignore[arg-type]
        if size > MAX_VALUE_LENGTH:
            raise MoEngageRecordInvalid(
                "value_length",
                f"attribute {name + path!r} has a string over {MAX_VALUE_LENGTH} characters, which MoEngage would cut or "
                "drop",
            )
        if size >= SHORTEST_DATE and not as_text and is_undocumented_date(value):  # type: ignore[arg-type]
            raise _wrong_date(name, path)
    elif kind is int or kind is float:
        _check_number(name + path, value)  # type: ignore[arg-type]
    elif kind is not bool:
        raise _wrong_type(name + path, value)


def _wrong_type(name: str, value: object) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        "value_type",
        f"attribute {name!r} has a value of type {type(value).__name__}; MoEngage accepts strings, numbers, booleans, "
        "datetimes, objects, and arrays of one of these",
    )


def _wrong_date(name: str, path: str) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        "date_format",
        f"attribute {name + path!r} has a string that looks like a date but is not a valid YYYY-MM-DDTHH:mm:ssZ or "
        f"YYYY-MM-DD, so MoEngage would store it as text; types={{{name!r}: 'datetime'}} converts YYYY-MM-DD with "
        "a time, 'datetime:%d/%m/%Y %H:%M' and 'date:%d/%m/%Y' other forms, 'string' sends it unchanged",
    )


def _check_number(name: str, value: float) -> None:
    try:
        finite = isfinite(value)
    except OverflowError:
        raise MoEngageRecordInvalid(
            "number_range", f"attribute {name!r} has an integer that no JSON number can hold"
        ) from None
    if not finite:
        raise MoEngageRecordInvalid("value_type", f"attribute {name!r} has a number that is not finite")


def _check_array(name: str, path: str, value: list[Any], as_text: bool, level: int) -> int:
    """Check an array, and return the number of keys of its objects."""
    where = name + path
    if value and all(type(element) is dict for element in value):
        if len(value) > MAX_ARRAY_OBJECTS:
            raise MoEngageRecordInvalid(
                "array_length", f"attribute {where!r} has an array over {MAX_ARRAY_OBJECTS} objects"
            )
        return sum(_check_object(name, path, element, as_text, level + 1) for element in value)
    if len(value) > MAX_ARRAY_ELEMENTS:
        raise MoEngageRecordInvalid(
            "array_length",
            f"attribute {where!r} has an array over {MAX_ARRAY_ELEMENTS} elements, which MoEngage would cut",
        )
    kinds = set()
    for element in value:
        if type(element) not in (str, int, float, bool, dict):
            raise MoEngageRecordInvalid(
                "array_element_type",
                f"attribute {where!r} has an array with an element of type {type(element).__name__}; "
                "arrays hold strings, numbers, booleans, datetimes or objects",
            )
        if type(element) is not dict:
            _check_scalar(name, path, element, as_text)
        kinds.add(_kind(element, as_text))
    if len(kinds) > 1:
        raise MoEngageRecordInvalid(
            "array_mixed",
            f"attribute {where!r} has an array that mixes {' and '.join(sorted(kinds))}; use one type",
        )
    return 0


def _kind(element: object, as_text: bool) -> str:
    if isinstance(element, str):
        return "datetimes" if not as_text and is_documented_date(element) else "strings"
    if isinstance(element, dict):
        return "objects"
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


def _check_object(name: str, path: str, value: dict[Any, Any], as_text: bool, level: int) -> int:
    """Check an object and those inside it, and return their number of keys."""
    where = name + path
    if level > MAX_OBJECT_LEVELS:
        raise MoEngageRecordInvalid(
            "object_levels",
            f"attribute {where!r} has an object nested more than {MAX_OBJECT_LEVELS} levels deep",
        )
    if not value:
        raise MoEngageRecordInvalid(
            "object_empty",
            f"attribute {where!r} has an object without keys, or only with NULLs, which MoEngage does not store; "
            "leave it out",
        )
    keys = len(value)
    for key, inner in value.items():
        _check_key(where, key)
        at = f"{path}.{key}"
        if type(inner) is dict:
            keys += _check_object(name, at, inner, as_text, level + 1)
        elif type(inner) is list:
            keys += _check_array(name, at, inner, as_text, level)
        else:
            _check_scalar(name, at, inner, as_text)
    if level == 1 and keys > MAX_OBJECT_KEYS:
        raise MoEngageRecordInvalid(
            "object_keys", f"attribute {where!r} has an object of more than {MAX_OBJECT_KEYS} keys"
        )
    if level == 1 and json_bytes(value) > MAX_OBJECT_BYTES:
        raise MoEngageRecordInvalid("object_size", f"attribute {where!r} has an object over 25 KB")
    return keys


def _check_key(where: str, key: object) -> None:
    if not isinstance(key, str) or not key.strip():
        raise MoEngageRecordInvalid(
            "object_keys", f"attribute {where!r} has an object with a key that is not a name"
        )
    if len(key) > MAX_KEY_LENGTH:
        raise MoEngageRecordInvalid(
            "object_keys", f"attribute {where!r} has an object with a key over {MAX_KEY_LENGTH} characters"
        )
    if not frozenset(FORBIDDEN_IN_KEYS).isdisjoint(key):
        # The key is not shown: with a dot in it, it may be an email address.
        raise MoEngageRecordInvalid(
            "object_keys",
            f"attribute {where!r} has an object with a key that holds one of {' '.join(FORBIDDEN_IN_KEYS)}, which "
            "MoEngage does not allow in keys",
        )


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


#: Attributes with rules that depend on their names, besides those whose names are invalid.
_SPECIAL_NAMES = frozenset({*_SHAPES, *ARRAY_OPERATORS, *CREATE_ONLY_NAMES})


def is_special(name: object) -> bool:
    """Whether an attribute's name is invalid or has rules of its own, so that its value alone does not decide."""
    return name_fault(name) is not None or name in _SPECIAL_NAMES


def is_accepted(text: str) -> bool:
    """Whether MoEngage stores a string unchanged, under a name without rules of its own."""
    return len(text) <= MAX_VALUE_LENGTH and not is_undocumented_date(text)


def check_attributes(
    attributes: Mapping[str, Any], texts: frozenset[str], names: Iterable[str] | None = None
) -> None:
    """
    Check the attributes of a user: their names, their values, and that array operators do not conflict.

    :param texts: names of attributes that are declared as strings, even if they look like dates.
    :param names: the attributes to check, where the others are known to be accepted; None: all.
    :raises MoEngageRecordInvalid: the first rule that is broken.
    """
    operators = {key: attributes[key] for key in ARRAY_OPERATORS if key in attributes}
    if operators:
        _check_array_operators([name for name in attributes if name not in operators], operators)
    for name in attributes if names is None else names:
        if name not in operators:
            check_attribute(name, attributes[name], texts)


def check_attribute(name: str, value: object, texts: frozenset[str]) -> None:
    """
    Check one attribute of a user: its name and its value.

    :param texts: names of attributes that are declared as strings, even if they look like dates.
    :raises MoEngageRecordInvalid: the first rule that is broken.
    """
    fault = name_fault(name)
    if fault:
        raise MoEngageRecordInvalid(*fault)
    # Whether to send a null was decided before; how MoEngage treats it is not documented.
    if value is None:
        return
    if name in _SHAPES:
        _SHAPES[name](value)
        return
    check_value(name, value, as_text=name in texts)
    if name in STANDARD_NAMES and _holds_objects(value):
        raise MoEngageRecordInvalid(
            "standard_attribute",
            f"attribute {name!r} is a standard attribute, for which MoEngage does not accept objects; give it another name",
        )


def _holds_objects(value: object) -> bool:
    return type(value) is dict or (type(value) is list and any(type(element) is dict for element in value))


def _check_array_operators(attributes: Iterable[str], operators: Mapping[str, Any]) -> None:
    seen: dict[str, str] = dict.fromkeys(attributes, "set")
    for operator, fields in operators.items():
        if not isinstance(fields, dict):
            raise MoEngageRecordInvalid(
                "array_operator", f"{operator} must be an object of attribute and array"
            )
        for name, values in fields.items():
            check_array_change(operator, name, values)
            if name in seen:
                raise MoEngageRecordInvalid(
                    "array_operator_clash",
                    f"attribute {name!r} is in {operator} and {seen[name]} in the same record; send only one of them",
                )
            seen[name] = f"in {operator}"


def check_array_change(operator: str, name: str, values: object) -> None:
    """
    Check the values to add to an array or to remove from it.

    :param operator: one of :data:`ARRAY_OPERATORS`.
    :raises MoEngageRecordInvalid: the first rule that is broken.
    """
    fault = name_fault(name)
    if fault:
        raise MoEngageRecordInvalid(*fault)
    if name == "platforms" or type(values) is not list:
        raise MoEngageRecordInvalid(
            "array_operator",
            f"{operator} has {name!r} with a value of type {type(values).__name__}; it accepts arrays, but not "
            "'platforms'",
        )
    if _holds_objects(values):
        raise MoEngageRecordInvalid(
            "array_operator",
            f"{operator} has {name!r} with an array of objects; it accepts strings, numbers, booleans or datetimes",
        )
    check_value(name, values)
