"""Maps columns to attributes and converts a row's values to JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.report import Dropped
from airflow_provider_moengage.delivery.shape.column_names import spelling_hint
from airflow_provider_moengage.delivery.shape.convert import attribute_value
from airflow_provider_moengage.delivery.shape.id_columns import id_column_hint
from airflow_provider_moengage.delivery.shape.typed_text import (
    AttributeType,
    Converter,
    DateFormat,
    converter_of,
)
from airflow_provider_moengage.records.dates import SHORTEST_OTHER_INSTANT
from airflow_provider_moengage.records.names import name_fault
from airflow_provider_moengage.records.quick_values import are_good
from airflow_provider_moengage.records.values import ARRAY_OPERATORS, are_plain

NameFault = Callable[[object], "tuple[str, str] | None"]
#: Maximum number of cached plans: every row of NDJSON may have different columns.
MAX_PLANS = 1_000


class Plan(NamedTuple):
    """
    How rows with the same columns are mapped.

    :param pairs: attribute and column; None: every column that is not kept out, under its own name.
    :param plain: whether only the values have to be checked: no name has rules of its own, and none has a type.
    """

    pairs: Sequence[tuple[str, str]] | None
    plain: bool


class LeftOut:
    """
    The attributes left out of one row because they break a rule.

    :param spared: attributes that are never left out.
    """

    def __init__(self, spared: Collection[str] = ()) -> None:
        self.dropped: list[Dropped] = []
        self._spared = spared

    def leaves_out(self, name: str, error: MoEngageRecordInvalid) -> bool:
        """Whether an attribute that breaks a rule is left out; if so, record it."""
        if name in self._spared:
            return False
        self.dropped.append((str(name), error.reason))
        return True

    def take_from(self, attributes: dict[str, Any], check: Callable[[str, Any], None]) -> None:
        """
        Remove the attributes that break a rule.

        :param attributes: by name; modified in place.
        :param check: raises if an attribute breaks a rule.
        :raises MoEngageRecordInvalid: an attribute that is never left out breaks a rule.
        """
        for name, value in list(attributes.items()):
            try:
                check(name, value)
            except MoEngageRecordInvalid as error:
                if not self.leaves_out(name, error):
                    raise
                del attributes[name]


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
        chosen = self._attributes_of(columns, needed.values())
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

    def good_values(self, row: Mapping[Any, Any], kept_out: tuple[str, ...]) -> dict[str, Any] | None:
        """
        Return a row's attributes if they are valid without conversion, as for nearly all rows; None otherwise.

        :param kept_out: columns that are not attributes.
        :raises MoEngageRecordInvalid: a column is missing.
        """
        plan = self._plans.get((kept_out, *row)) or self._new_plan(row, kept_out)
        if not plan.plain:
            return None
        attributes = self._attributes_in(plan, row, kept_out)
        return attributes if are_good(attributes) else None

    def values(
        self, row: Mapping[Any, Any], kept_out: tuple[str, ...], left_out: LeftOut | None = None
    ) -> tuple[dict[str, Any], Sequence[str]]:
        """
        Return a row's attributes as JSON values, and the names of those that are NULL.

        :param kept_out: columns that are not attributes.
        :param left_out: collects attributes whose values cannot be converted; None: such a value rejects the row.
        :raises MoEngageRecordInvalid: a value cannot be converted, or a column is missing.
        """
        plan = self._plans.get((kept_out, *row)) or self._new_plan(row, kept_out)
        attributes = self._attributes_in(plan, row, kept_out)
        nulls = []
        for attribute, value in list(attributes.items()):
            convert = self._types.get(attribute)
            if convert is None:
                kind = type(value)
                if kind is int or kind is bool or (kind is str and len(value) < SHORTEST_OTHER_INSTANT):
                    # It needs no conversion, like nearly all values.
                    continue
                convert = attribute_value
            try:
                converted = convert(attribute, value, self.zone)
            except MoEngageRecordInvalid as error:
                if left_out is not None and attribute in ARRAY_OPERATORS and isinstance(value, Mapping):
                    attributes[attribute] = self._converted_changes(value, left_out)
                    continue
                if left_out is None or not left_out.leaves_out(attribute, error):
                    raise
                del attributes[attribute]
                continue
            if converted is None:
                nulls.append(attribute)
                del attributes[attribute]
            elif converted is not value:
                attributes[attribute] = converted
        return attributes, nulls

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

    @staticmethod
    def _attributes_in(plan: Plan, row: Mapping[Any, Any], kept_out: tuple[str, ...]) -> dict[str, Any]:
        """Return a row's attributes with their unconverted values."""
        if plan.pairs is not None:
            return {attribute: row[column] for attribute, column in plan.pairs}
        attributes = dict(row)
        for column in kept_out:
            attributes.pop(column, None)
        return attributes

    def _new_plan(self, row: Mapping[Any, Any], kept_out: tuple[str, ...]) -> Plan:
        """Return the plan for a row's columns, and cache it for all rows with the same columns."""
        chosen = self._attributes_of(row, kept_out)
        for attribute, column in chosen.items():
            if column not in row:
                raise MoEngageRecordInvalid(
                    "column_missing",
                    f"the row has no column {column!r}, which {self.parameter} reads {attribute!r} from"
                    + spelling_hint(column, row),
                )
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        pairs = None if self._chosen is None else list(chosen.items())
        plan = Plan(pairs, not self._types and are_plain(chosen))
        columns = (kept_out, *row)
        self._plans[columns] = plan
        return plan

    def _attributes_of(self, columns: Iterable[str], kept_out: Collection[str]) -> Mapping[str, str]:
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
