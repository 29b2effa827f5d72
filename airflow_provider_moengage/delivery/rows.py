"""A row becomes a record: which column is which attribute, what a NULL means, in which zone a datetime is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.api.names import name_fault
from airflow_provider_moengage.api.records import User
from airflow_provider_moengage.delivery.batches import Item
from airflow_provider_moengage.delivery.conversion import CONVERTERS, customer_id_text, json_value

NULL_POLICIES = ("skip", "unset", "send")
#: What a row in the API's own shape may hold beside its attributes.
DOCUMENTED_KEYS = frozenset({"type", "customer_id", "attributes", "update_existing_only", "unset_attributes"})


@dataclass(frozen=True)
class UserMapping:
    """
    How rows become :class:`~airflow_provider_moengage.api.records.User` records.

    A row is flat, or in the API's own shape, which a dict under ``attributes`` gives away.

    :param id_column: the column that identifies the user.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other
        column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date`` or ``json``.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param nulls: what a NULL does: ``skip`` leaves it out, ``unset`` unsets the attribute (an early-access
        feature at MoEngage), ``send`` sends a JSON null.
    :param update_existing_only: do not create users that MoEngage does not know.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    id_column: str = "customer_id"
    attributes: Mapping[str, str] | Sequence[str] | None = None
    types: Mapping[str, str] | None = None
    timezone: str | None = None
    nulls: Literal["skip", "unset", "send"] = "skip"
    update_existing_only: bool = False
    _zone: tzinfo | None = field(init=False, repr=False, compare=False, default=None)
    _columns: Mapping[str, str] | None = field(init=False, repr=False, compare=False, default=None)
    _texts: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        if not isinstance(self.id_column, str) or not self.id_column:
            raise MoEngageParameterError(f"id_column is {self.id_column!r}; use the name of a column")
        if self.nulls not in NULL_POLICIES:
            raise MoEngageParameterError(f"nulls is {self.nulls!r}; use one of {', '.join(NULL_POLICIES)}")
        if not isinstance(self.update_existing_only, bool):
            raise MoEngageParameterError(
                f"update_existing_only is {self.update_existing_only!r}; use True or False"
            )
        types = _checked_types(self.types)
        texts = frozenset(name for name, kind in types.items() if kind == "string")
        # The dataclass is frozen so that one mapping can serve many threads; these are derived from its
        # fields.
        object.__setattr__(self, "types", types)
        object.__setattr__(self, "_zone", _checked_zone(self.timezone))
        object.__setattr__(self, "_columns", _checked_attributes(self.attributes))
        object.__setattr__(self, "_texts", texts)
        if self._columns is not None:
            self._check_types(self._columns)

    @property
    def zone(self) -> tzinfo | None:
        """The zone of datetimes that carry none."""
        return self._zone

    def check_columns(self, columns: Sequence[str]) -> None:
        """
        Say once, before the first row is sent, what is wrong with a source's columns.

        :raises MoEngageParameterError: a column is missing, stands twice or has a name that MoEngage does
            not take.
        """
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise MoEngageParameterError(f"the source has column {twice[0]!r} twice; give each its own name")
        if self.id_column not in columns:
            raise MoEngageParameterError(
                f"the source has no column {self.id_column!r}; say with id_column= which of its columns "
                f"({', '.join(columns)}) identifies the user"
            )
        plan = self._plan(columns)
        self._check_types(plan)
        for attribute, column in plan.items():
            if column not in columns:
                raise MoEngageParameterError(
                    f"attributes takes {attribute!r} from column {column!r}, which the source does not have; it has "
                    + ", ".join(columns)
                )
            fault = name_fault(attribute)
            if fault:
                mend = {f"account_{attribute}": column}
                raise MoEngageParameterError(
                    f"column {column!r}: {fault[1]}; send it under another name with attributes={mend} and every other "
                    "column you want, or leave it out"
                )

    def _check_types(self, attributes: Iterable[str]) -> None:
        unknown = sorted(set(self.types or ()) - set(attributes))
        if unknown:
            raise MoEngageParameterError(
                f"types names {unknown[0]!r}, which is no attribute; there are {', '.join(attributes)}"
            )

    def item(self, row: object) -> tuple[User, Item]:
        """
        Build the record of one row, and what is sent of it.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        record = self.record(row)
        return record, Item(record.to_json(), record.customer_id, {"users": 1})

    def record(self, row: object) -> User:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        if not isinstance(row, Mapping):
            raise MoEngageRecordInvalid(
                "row_type", f"a row is of type {type(row).__name__}; it must be a dict of column and value"
            )
        try:
            return self._record(row)
        except RecursionError:
            raise MoEngageRecordInvalid("object_levels", "the row has a value nested without end") from None

    def _record(self, row: Mapping[Any, Any]) -> User:
        own_shape = isinstance(row.get("attributes"), Mapping)
        values = row["attributes"] if own_shape else row
        fields: dict[str, Any] = _own_fields(row, self.id_column) if own_shape else {}
        attributes, nulls = self._attributes(values, own_shape)
        unset = [{"type": "equals", "attr": name, "case_sensitive": True} for name in nulls]
        id_column = self.id_column if self.id_column in row or not own_shape else "customer_id"
        fields["customer_id"] = customer_id_text(row.get(id_column))
        fields["attributes"] = attributes
        fields.setdefault("update_existing_only", self.update_existing_only)
        if unset and isinstance(rules := fields.get("unset_attributes", []), list):
            fields["unset_attributes"] = [*rules, *unset]
        return User.check(fields, texts=self._texts)

    def _attributes(self, values: Mapping[Any, Any], own_shape: bool) -> tuple[dict[str, Any], list[str]]:
        attributes: dict[str, Any] = {}
        nulls = []
        types = self.types or {}
        for attribute, column in self._plan(values, keep_id=own_shape).items():
            if column not in values:
                raise MoEngageRecordInvalid(
                    "column_missing",
                    f"the row has no column {column!r}, which attributes takes {attribute!r} from",
                )
            convert = CONVERTERS[types[attribute]] if attribute in types else json_value
            value = convert(attribute, values[column], self._zone)
            if value is not None or self.nulls == "send":
                attributes[attribute] = value
            elif self.nulls == "unset":
                nulls.append(attribute)
        return attributes, nulls

    def _plan(
        self, columns: Sequence[str] | Mapping[Any, Any], *, keep_id: bool = False
    ) -> Mapping[str, str]:
        """Attribute → column for rows of these columns."""
        if self._columns is not None:
            return self._columns
        return {column: column for column in columns if keep_id or column != self.id_column}


def _own_fields(row: Mapping[Any, Any], id_column: str) -> dict[str, Any]:
    unknown = [key for key in row if key not in DOCUMENTED_KEYS and key != id_column]
    if unknown:
        raise MoEngageRecordInvalid(
            "unknown_key",
            f"the row has {unknown[0]!r} beside 'attributes', which MoEngage would drop; put it inside",
        )
    return {key: row[key] for key in DOCUMENTED_KEYS - {"attributes", "customer_id"} if key in row}


def _checked_types(types: object) -> Mapping[str, str]:
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        raise MoEngageParameterError(
            f"types is of type {type(types).__name__}; use a dict of attribute and type"
        )
    for attribute, kind in types.items():
        if not isinstance(kind, str) or kind not in CONVERTERS:
            raise MoEngageParameterError(
                f"types[{attribute!r}] is {kind!r}; use one of {', '.join(CONVERTERS)}"
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


def _checked_attributes(attributes: object) -> Mapping[str, str] | None:
    if attributes is None:
        return None
    if isinstance(attributes, Mapping):
        columns = dict(attributes)
    elif isinstance(attributes, Sequence) and not isinstance(attributes, str):
        strange = [name for name in attributes if not isinstance(name, str)]
        if strange:
            raise MoEngageParameterError(f"attributes holds {strange[0]!r}; names are strings")
        columns = {name: name for name in attributes}
    else:
        raise MoEngageParameterError(
            f"attributes is of type {type(attributes).__name__}; use a dict of attribute and column, or a list of columns"
        )
    for attribute, column in columns.items():
        fault = name_fault(attribute)
        if fault or not isinstance(column, str):
            raise MoEngageParameterError(
                f"attributes: {fault[1]}"
                if fault
                else f"attributes[{attribute!r}] is {column!r}; use a column's name"
            )
    return columns
