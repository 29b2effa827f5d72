"""A fast one-sided check of a row's values: nearly all pass, and the others get the full check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from airflow_provider_moengage.records.dates import BLANKS, MONTHS, WEEKDAYS
from airflow_provider_moengage.records.names import MAX_VALUE_LENGTH

#: What may follow leading digits that are the first part of a date.
_AFTER_DIGITS = (*MONTHS, "st", "nd", "rd", "th", *(f"t{digit}" for digit in range(10)))


def _not_beginning_with(words: Iterable[str], then: str, others: str) -> str:
    """
    Return a pattern that matches unless one of the words follows, in either case.

    :param then: a pattern that may follow a word nevertheless.
    :param others: the character class allowed in place of a word's first character.
    """
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    initials = "".join(rests) + "".join(rests).upper()
    parts = [r"\z", f"[{others}&&[^{initials}]]"]
    for initial, following in rests.items():
        more = then if "" in following else _not_beginning_with(following, then, r"\x00-\x{10ffff}")
        if more:
            parts.append(f"[{initial}{initial.upper()}]{more}")
    return f"(?:{'|'.join(parts)})"


def _good_texts() -> str:
    """
    Build a pattern of strings that, by their beginning, are not dates in an undocumented form.

    The rules are those of :mod:`~airflow_provider_moengage.records.dates`: a string that is rejected there must not
    match here. The 29th of February does not match either, because a pattern cannot know leap years.
    """
    moment = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
    days = "0[1-9]|1[0-9]|2[0-8]"
    day = rf"02-(?:{days})|(?:0[469]|11)-(?:{days}|29|30)|(?:0[13578]|1[02])-(?:{days}|29|3[01])"
    documented = rf"[1-9][0-9]{{3}}-(?:{day})(?:{moment})?\z"
    # A name without a digit after it, or one followed by something that no date has there.
    after_name = rf"(?:[^0-9]*\z|[A-Za-z]*(?:[^{BLANKS}\-/.,A-Za-z]|[.,]+[^{BLANKS}\-/.,]))"
    words = _not_beginning_with((*MONTHS, *WEEKDAYS), after_name, rf"\x00-\x{{10ffff}}&&[^\p{{Nd}}{BLANKS}]")
    ascii_ = rf"\x00-\x7f&&[^0-9{BLANKS}\-/.:]"
    no_digit = r"\x00-\x7f&&[^0-9]"
    separator = r"[\-/.]"
    second = "|".join(
        (
            _not_beginning_with(MONTHS, "", rf"\x00-\x7f&&[^0-9{BLANKS}]"),
            r"[0-9]+\z|[0-9]{3}",
            rf"[0-9]{{1,2}}[{no_digit}&&[^\-/.]]",
        )
    )
    # Three groups of digits are a date only if the last is a year, unlike in a version or an address.
    third = rf"[0-9]{{1,2}}{separator}(?:\z|[{no_digit}]|[0-9]{{1,3}}(?:\z|[{no_digit}])|[0-9]{{5}})"
    digits = "|".join(
        (
            r"[0-9]+" + _not_beginning_with(_AFTER_DIGITS, "", ascii_),
            rf"[0-9]+[{BLANKS}]+" + _not_beginning_with((*MONTHS, "of"), "", rf"\x00-\x7f&&[^0-9{BLANKS}]"),
            rf"(?:[0-9]{{3}}|[0-9]{{5}}[0-9]*){separator}",
            rf"(?:[0-9]{{1,2}}|[0-9]{{4}}){separator}(?:{second})",
            rf"[0-9]{{1,2}}{separator}{third}",
        )
    )
    return rf"\A(?:{words}|{documented}|{digits})"


def _good_values() -> SchemaValidator:
    texts = core_schema.str_schema(strict=True, max_length=MAX_VALUE_LENGTH, pattern=_good_texts())
    # An int passes as a float too, unless it is too large.
    numbers = core_schema.float_schema(strict=True, allow_inf_nan=False)
    value = core_schema.union_schema([texts, numbers, core_schema.bool_schema()], mode="left_to_right")
    return SchemaValidator(core_schema.dict_schema(core_schema.any_schema(), value))


_GOOD_VALUES = _good_values()
_PLAIN_TYPES = frozenset({str, int, bool, float})


def are_good(attributes: Mapping[str, Any]) -> bool:
    """
    Whether MoEngage certainly accepts every value, under names without rules of their own.

    One-sided: True implies that :func:`~.values.check_attributes` passes; False means "not decided".
    """
    # The validator accepts a Decimal as a number too, which JSON does not.
    return _PLAIN_TYPES.issuperset(map(type, attributes.values())) and _GOOD_VALUES.isinstance_python(
        attributes
    )
