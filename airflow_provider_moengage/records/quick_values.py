"""Whether a row's values need no second look, which nearly all do not; one-sided, and quick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from airflow_provider_moengage.records.dates import BLANKS, MONTHS, WEEKDAYS
from airflow_provider_moengage.records.names import MAX_VALUE_LENGTH

#: What may follow the digits that a text begins with, where they are the first part of a date.
_AFTER_DIGITS = (*MONTHS, "st", "nd", "rd", "th", *(f"t{digit}" for digit in range(10)))


def _unlike(words: Iterable[str], then: str, others: str) -> str:
    """
    Return a pattern of what is no beginning of any of the words, in either case.

    :param then: what may follow a word all the same.
    :param others: the class of characters that may stand in place of a word's first.
    """
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    initials = "".join(rests) + "".join(rests).upper()
    parts = [r"\z", f"[{others}&&[^{initials}]]"]
    for initial, following in rests.items():
        more = then if "" in following else _unlike(following, then, r"\x00-\x{10ffff}")
        if more:
            parts.append(f"[{initial}{initial.upper()}]{more}")
    return f"(?:{'|'.join(parts)})"


def _good_texts() -> str:
    """
    Build a pattern of texts that are no dates but documented ones, as far as their beginning says.

    The rules are those of :mod:`~airflow_provider_moengage.records.dates`, so a text that is rejected there must not
    match here. The 29th of February does not match either, because no pattern knows leap years.
    """
    moment = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
    days = "0[1-9]|1[0-9]|2[0-8]"
    day = rf"02-(?:{days})|(?:0[469]|11)-(?:{days}|29|30)|(?:0[13578]|1[02])-(?:{days}|29|3[01])"
    documented = rf"[1-9][0-9]{{3}}-(?:{day})(?:{moment})?\z"
    # A name without a digit behind it, or one that runs into something that no date has there.
    after_name = rf"(?:[^0-9]*\z|[A-Za-z]*(?:[^{BLANKS}\-/.,A-Za-z]|[.,]+[^{BLANKS}\-/.,]))"
    words = _unlike((*MONTHS, *WEEKDAYS), after_name, rf"\x00-\x{{10ffff}}&&[^\p{{Nd}}{BLANKS}]")
    ascii_ = rf"\x00-\x7f&&[^0-9{BLANKS}\-/.:]"
    no_digit = r"\x00-\x7f&&[^0-9]"
    separator = r"[\-/.]"
    second = "|".join(
        (
            _unlike(MONTHS, "", rf"\x00-\x7f&&[^0-9{BLANKS}]"),
            r"[0-9]+\z|[0-9]{3}",
            rf"[0-9]{{1,2}}[{no_digit}&&[^\-/.]]",
        )
    )
    # Three groups of digits are a date where the last is a year: a version or an address has another.
    third = rf"[0-9]{{1,2}}{separator}(?:\z|[{no_digit}]|[0-9]{{1,3}}(?:\z|[{no_digit}])|[0-9]{{5}})"
    digits = "|".join(
        (
            r"[0-9]+" + _unlike(_AFTER_DIGITS, "", ascii_),
            rf"[0-9]+[{BLANKS}]+" + _unlike((*MONTHS, "of"), "", rf"\x00-\x7f&&[^0-9{BLANKS}]"),
            rf"(?:[0-9]{{3}}|[0-9]{{5}}[0-9]*){separator}",
            rf"(?:[0-9]{{1,2}}|[0-9]{{4}}){separator}(?:{second})",
            rf"[0-9]{{1,2}}{separator}{third}",
        )
    )
    return rf"\A(?:{words}|{documented}|{digits})"


def _good_values() -> SchemaValidator:
    texts = core_schema.str_schema(strict=True, max_length=MAX_VALUE_LENGTH, pattern=_good_texts())
    # An int is a float too, unless it is too large to be one.
    numbers = core_schema.float_schema(strict=True, allow_inf_nan=False)
    value = core_schema.union_schema([texts, numbers, core_schema.bool_schema()], mode="left_to_right")
    return SchemaValidator(core_schema.dict_schema(core_schema.any_schema(), value))


_GOOD_VALUES = _good_values()
_PLAIN_TYPES = frozenset({str, int, bool, float})


def are_good(attributes: Mapping[str, Any]) -> bool:
    """
    Whether every value is beyond doubt one that MoEngage takes, under a name without rules of its own.

    True implies that :func:`~.values.check_attributes` passes; False means that it has to be asked.
    """
    # The validator takes a Decimal for a number too, which it is not to JSON.
    return _PLAIN_TYPES.issuperset(map(type, attributes.values())) and _GOOD_VALUES.isinstance_python(
        attributes
    )
