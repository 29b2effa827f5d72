"""Maps columns to attributes and converts a row's values to JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from math import isfinite
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.column_names import spelling_hint
from airflow_provider_moengage.delivery.shape.convert import (
    EXACT_TYPES,
    OWN_ERRORS,
    attribute_value,
    unconvertible,
)
from airflow_provider_moengage.delivery.shape.id_columns import id_column_hint
from airflow_provider_moengage.delivery.shape.left_out import LeftOut
from airflow_provider_moengage.delivery.shape.typed_text import (
    AttributeType,
    Converter,
    DateFormat,
    converter_of,
)
from airflow_provider_moengage.records.dates import DATE_WORDS, LETTERS, SHORTEST_DATE, may_begin_date
from airflow_provider_moengage.records.names import MAX_VALUE_LENGTH, name_fault
from airflow_provider_moengage.records.values import ARRAY_OPERATORS, is_accepted, is_special

NameFault = Callable[[object], "tuple[str, str] | None"]
#: Maximum number of cached plans: every row of NDJSON may have different columns.
MAX_PLANS = 1_000
#: JSON numbers hold integers from and up to here; others are checked.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1


class Plan(NamedTuple):
    """
    How rows with the same columns are mapped.

    :param columns: attribute and column; None: every column that is not kept out, under its own name.
    :param converters: those of attributes that have a type or a special name; the others are converted by their values'
        own types.
    """

    columns: Sequence[tuple[str, str]] | None
    converters: Mapping[str, Converter]


@dataclass(frozen=True)
class Columns:
    """
    The columns of rows that become attributes.

    :param attributes: attribute → column, or the columns to send under their own names; None: every other column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a form of ``strptime``.
    :param timezone: IANA name of the zone of naive datetimes; without it they are rejected.
    :param parameter: the parameter that ``attributes`` was passed as, for the errors.
    :param elsewhere: attributes that ``types`` may name although their columns are read elsewhere.
    :param name_fault: returns why an attribute must not have a name.
    :raises MoEngageParameterError: a parameter is invalid; the text names it and what is allowed.
    """

    attributes: Mapping[str, str] | Sequence[str] | None = None
    types: Mapping[str, AttributeType | DateFormat] | None = None
    timezone: str | None = None
    name_fault: NameFault = name_fault
    parameter: str = "attributes"
    elsewhere: Collection[str] = ()
    zone: tzinfo | None = field(init=False)
    texts: frozenset[str] = field(init=False)
    _types: Mapping[str, Converter] = field(init=False, repr=False)
    _chosen: Mapping[str, str] | None = field(init=False, repr=False)
    _plans: dict[tuple[Any, ...], Plan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Derived from the fields; the dataclass is frozen so that threads can share it.
        kinds = _checked_types(self.types)
        types = {name: converter_of(f"types[{name!r}]", kind) for name, kind in kinds.items()}
        object.__setattr__(self, "zone", _checked_zone(self.timezone))
        object.__setattr__(self, "texts", frozenset(name for name, kind in kinds.items() if kind == "string"))
        object.__setattr__(self, "_types", types)
        object.__setattr__(self, "_plans", {})
        object.__setattr__(self, "_chosen", _checked_attributes(self))
        if self._chosen is not None:
            self._check_types(self._chosen)

    def check(self, columns: Sequence[str], needed: Mapping[str, str]) -> None:
        """
        Check a source's columns, once, before the first row is sent.

        :param needed: columns that are not attributes, by the parameter that names them.
        :raises MoEngageParameterError: a column is missing, duplicated, or has a name that MoEngage does not accept.
        """
        duplicated = sorted({column for column in columns if columns.count(column) > 1})
        if duplicated:
            raise MoEngageParameterError(
                f"the source has column {duplicated[0]!r} twice; give each its own name"
            )
        for parameter, column in needed.items():
            if column not in columns:
                raise MoEngageParameterError(
                    f"the source has no column {column!r}; set {parameter}= to the right one of "
                    f"its columns ({', '.join(columns)})"
                    + (
                        spelling_hint(column, columns)
                        or (id_column_hint(columns) if parameter == "id_column" else "")
                    )
                )
        chosen = self.attributes_of(columns, needed.values())
        self._check_types(chosen)
        for attribute, column in chosen.items():
            if column not in columns:
                raise MoEngageParameterError(
                    f"attributes reads {attribute!r} from column {column!r}, which the source does not have; it has "
                    + ", ".join(columns)
                    + spelling_hint(column, columns)
                )
            fault = self.name_fault(attribute)
            if fault:
                fix = {f"account_{attribute}": column}
                raise MoEngageParameterError(
                    f"column {column!r}: {fault[1]}; send it under another name with attributes={fix} and every other "
                    "column you want, or leave it out"
                )

    def values(
        self, row: Mapping[Any, Any], kept_out: tuple[str, ...], left_out: LeftOut | None = None
    ) -> tuple[dict[str, Any], list[str], list[str]]:
        """
        Return a row's attributes as JSON values, the names of those that are NULL, and the names of those to check.

        MoEngage accepts all other values under their names, which is decided here by their types.

        :param kept_out: columns that are not attributes.
        :param left_out: collects attributes whose values cannot be converted; None: such a value rejects the row.
        :raises MoEngageRecordInvalid: a value cannot be converted, or a column is missing.
        """
        columns, converters = self._plans.get((kept_out, *row)) or self._new_plan(row, kept_out)
        if columns is None:
            attributes = dict(row)
            for column in kept_out:
                attributes.pop(column, None)
        else:
            attributes = {attribute: row[column] for attribute, column in columns}
        nulls: list[str] = []
        dropped: list[str] = []
        unchecked: list[str] = []
        for attribute, value in attributes.items():
            kind = None if converters and attribute in converters else type(value)
            # The most frequent types first.
            if kind is str:
                size = len(value)
                if size < SHORTEST_DATE:
                    continue
                # Most strings are not dates, as their first characters show.
                begins_no_date = value[0] in LETTERS and value[:3] not in DATE_WORDS
                if (
                    size <= MAX_VALUE_LENGTH and (begins_no_date or not may_begin_date(value))
                ) or is_accepted(value):
                    continue
            elif kind is int:
                if MIN_INTEGER <= value <= MAX_INTEGER:
                    continue
            elif kind is bool or (kind is float and isfinite(value)):
                continue
            elif value is None:
                nulls.append(attribute)
                continue
            convert = converters[attribute] if kind is None else EXACT_TYPES.get(kind, attribute_value)
            try:
                converted = convert(attribute, value, self.zone)
            except Exception as error:
                invalid = _invalid(attribute, value, error)
                if left_out is None:
                    raise invalid from None
                if attribute in ARRAY_OPERATORS and isinstance(value, Mapping):
                    converted = self._converted_changes(value, left_out)
                elif left_out.leaves_out(attribute, invalid):
                    dropped.append(attribute)
                    continue
                else:
                    raise invalid from None
            if converted is None:
                nulls.append(attribute)
                continue
            attributes[attribute] = converted
            if kind not in EXACT_TYPES:
                unchecked.append(attribute)
        if nulls or dropped:
            for attribute in (*nulls, *dropped):
                del attributes[attribute]
        return attributes, nulls, unchecked

    def _converted_changes(self, changes: Mapping[Any, Any], left_out: LeftOut) -> dict[Any, Any]:
        """Convert additions to arrays, or removals from them, attribute by attribute."""
        converted = dict(changes)

        def convert(name: Any, value: object) -> None:
            converted[name] = attribute_value(name, value, self.zone)

        left_out.take_from(converted, convert)
        return converted

    def typed(self, name: str, value: object) -> Any:
        """
        Return the value of a column that is not an attribute, converted to its type in ``types``, if it has one.

        :raises MoEngageRecordInvalid: the value is not of that type.
        """
        convert = self._types.get(name)
        return value if convert is None else convert(name, value, self.zone)

    def _new_plan(self, row: Mapping[Any, Any], kept_out: tuple[str, ...]) -> Plan:
        """Return the plan for a row's columns, and cache it for all rows with the same columns."""
        chosen = self.attributes_of(row, kept_out)
        for attribute, column in chosen.items():
            if column not in row:
                raise MoEngageRecordInvalid(
                    "column_missing",
                    f"the row has no column {column!r}, which {self.parameter} reads {attribute!r} from"
                    + spelling_hint(column, row),
                )
        converters = {
            attribute: self._types.get(attribute, attribute_value)
            for attribute in chosen
            if attribute in self._types or is_special(attribute)
        }
        plan = Plan(None if self._chosen is None else list(chosen.items()), converters)
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        key = (kept_out, *row)
        self._plans[key] = plan
        return plan

    def attributes_of(self, columns: Iterable[str], kept_out: Collection[str]) -> Mapping[str, str]:
        """Return attribute → column for rows with these columns."""
        if self._chosen is not None:
            return self._chosen
        return {column: column for column in columns if column not in kept_out}

    def _check_types(self, attributes: Iterable[str]) -> None:
        unknown = sorted(set(self._types) - set(attributes) - set(self.elsewhere))
        if unknown:
            raise MoEngageParameterError(
                f"types names {unknown[0]!r}, which is not an attribute; there are {', '.join(attributes)}"
            )


def _invalid(name: str, value: object, error: Exception) -> MoEngageRecordInvalid:
    """Return the rejection of a value whose conversion raised an error; raise an error that is not the value's."""
    if isinstance(error, MoEngageRecordInvalid):
        return error
    if isinstance(error, OWN_ERRORS):
        raise error
    return unconvertible(name, value, error)


def _checked_types(types: object) -> Mapping[str, str]:
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        raise MoEngageParameterError(
            f"types is of type {type(types).__name__}; use a dict of attribute and type"
        )
    return dict(types)


def _checked_zone(name: object) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(str(name))
    except (OSError, ValueError, LookupError):
        raise MoEngageParameterError(
            f"timezone is {name!r}; use an IANA name such as 'UTC' or 'Asia/Kolkata'"
        ) from None


def _checked_attributes(columns: Columns) -> Mapping[str, str] | None:
    given: object = columns.attributes
    name = columns.parameter
    if given is None:
        return None
    if isinstance(given, Mapping):
        chosen = dict(given)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        invalid = [one for one in given if not isinstance(one, str)]
        if invalid:
            raise MoEngageParameterError(f"{name} holds {invalid[0]!r}; names are strings")
        chosen = {one: one for one in given}
    else:
        raise MoEngageParameterError(
            f"{name} is of type {type(given).__name__}; use a dict of attribute and column, or a list of columns"
        )
    for attribute, column in chosen.items():
        fault = columns.name_fault(attribute)
        if fault:
            raise MoEngageParameterError(f"{name}: {fault[1]}")
        if not isinstance(column, str):
            raise MoEngageParameterError(f"{name}[{attribute!r}] is {column!r}; use a column's name")
    return chosen
