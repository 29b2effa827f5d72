"""Track User: converts rows to users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import BulkMapping, Operation
from airflow_provider_moengage.delivery.shape.columns import Columns
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_no_id
from airflow_provider_moengage.delivery.shape.left_out import LeftOut
from airflow_provider_moengage.delivery.shape.row_forms import as_row, is_type, own_fields, own_id_column
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat
from airflow_provider_moengage.operations.bulk_endpoint import BULK_USERS, bulk_endpoint, bulk_envelope
from airflow_provider_moengage.parameters import (
    ON_BAD_ATTRIBUTE,
    check_column,
    check_identifiers,
    check_one_of,
    check_switch,
)
from airflow_provider_moengage.records.names import check_customer_id
from airflow_provider_moengage.records.platforms import users_platforms
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms, UnsetRule, User, check_user_id, user_json
from airflow_provider_moengage.records.values import (
    ARRAY_OPERATORS,
    check_array_change,
    check_attribute,
    check_attributes,
)

NULL_POLICIES = ("skip", "unset", "send")
#: What a row in the API's own shape may hold; OpenAPI's schema has ``platforms`` there, every sample in ``attributes``.
USER_KEYS = frozenset(
    {"type", "customer_id", "attributes", "update_existing_only", "unset_attributes", "platforms"}
)
_OUTSIDE_ATTRIBUTES = (
    "the row is in the API's own shape and has {!r} outside 'attributes', which MoEngage would drop; put it inside, or "
    "name the columns of a flat row with attributes="
)

USERS = Quota("users", 10_000)
USER = Envelope({USERS: 1})
BULK_USER = bulk_envelope(BULK_USERS)


@dataclass(frozen=True)
class UserMapping(BulkMapping):
    """
    Converts rows to :class:`~airflow_provider_moengage.records.users.User` records.

    A row is flat, or in the API's own shape: it has a dict under ``attributes``, or ``customer`` under ``type``, unless
    the parameter ``attributes`` names the columns of flat rows.

    :param id_column: the column that identifies the user.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other
        column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a format of ``strptime``.
    :param timezone: IANA name of the time zone of datetimes that carry none; without it they are rejected.
    :param nulls: what a NULL does: ``skip`` leaves the attribute out, ``unset`` unsets it (an early-access feature of
        MoEngage), ``send`` sends a JSON null.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param identifiers: the active identifiers of an Identity Resolution workspace, such as ``moe_mobile``: a row
        that holds one of them needs no id.
    :param add_to_arrays: array attribute → the column that holds what is added to it.
    :param remove_from_arrays: array attribute → the column that holds what is removed from it.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    id_column: str = "customer_id"
    attributes: Mapping[str, str] | Sequence[str] | None = None
    types: Mapping[str, AttributeType | DateFormat] | None = None
    timezone: str | None = None
    nulls: Literal["skip", "unset", "send"] = "skip"
    update_existing_only: bool = False
    identifiers: Sequence[str] = ()
    add_to_arrays: Mapping[str, str] | None = None
    remove_from_arrays: Mapping[str, str] | None = None
    on_bad_attribute: Literal["reject", "drop"] = "reject"
    _columns: Columns = field(init=False, repr=False, compare=False)
    _terms: Terms = field(init=False, repr=False, compare=False)
    _called: str = field(init=False, repr=False, compare=False)
    _operators: Mapping[str, Columns] = field(init=False, repr=False, compare=False)
    _array_columns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _kept_out: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _reads_more: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_one_of("nulls", self.nulls, NULL_POLICIES)
        check_switch("update_existing_only", self.update_existing_only)
        check_one_of("on_bad_attribute", self.on_bad_attribute, ON_BAD_ATTRIBUTE)
        arrays = {
            **_dict("add_to_arrays", self.add_to_arrays),
            **_dict("remove_from_arrays", self.remove_from_arrays),
        }
        columns = Columns(self.attributes, self.types, self.timezone, elsewhere=tuple(arrays))
        object.__setattr__(self, "_columns", columns)
        called = in_column("customer_id", self.id_column)
        terms = Terms(columns.texts, check_identifiers(self.identifiers), {"customer_id": called})
        object.__setattr__(self, "_terms", terms)
        object.__setattr__(self, "_called", called)
        object.__setattr__(self, "_operators", self._checked_operators())
        array_columns = (*(self.add_to_arrays or {}).values(), *(self.remove_from_arrays or {}).values())
        object.__setattr__(self, "_array_columns", array_columns)
        object.__setattr__(self, "_kept_out", (self.id_column, *array_columns))
        object.__setattr__(self, "_reads_more", bool(self.identifiers or array_columns))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        needed = {} if self.identifiers and self.id_column not in columns else {"id_column": self.id_column}
        for parameter, fields in (
            ("add_to_arrays", self.add_to_arrays),
            ("remove_from_arrays", self.remove_from_arrays),
        ):
            for attribute, column in (fields or {}).items():
                needed[f"{parameter}[{attribute!r}]"] = column
        self._columns.check(columns, needed)

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        arrays = {**(self.add_to_arrays or {}), **(self.remove_from_arrays or {})}
        attributes = self._columns.attributes_of(columns, self._kept_out)
        return {"customer_id": self.id_column, **attributes, **arrays}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return self._shaped(row, warnings, USER)

    def element(self, row: object, warnings: RowWarnings, *, own: bool = False) -> Item:
        """
        Return the element of a row; see :class:`~airflow_provider_moengage.delivery.operation.BulkMapping`.

        :param own: the row is in the API's own shape, whatever its content.
        """
        return self._shaped(row, warnings, BULK_USER, own)

    def _shaped(self, row: object, warnings: RowWarnings, envelope: Envelope, own: bool = False) -> Item:
        """
        Pick a row's values, convert them, check them, and serialise the user.

        :param own: the row is in the API's own shape, whatever its content.
        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        row = row if type(row) is dict else as_row(row)
        if own or (("attributes" in row or "type" in row) and self._is_own_shape(row)):
            id_column, kept_out = own_id_column(row, self.id_column), self._array_columns
            if is_no_id(row.get(id_column)) and not self.identifiers:
                raise missing_id(row, id_column, self._called)
            values, fields = self._own(row)
        else:
            id_column, kept_out = self.id_column, self._kept_out
            values, fields = row, {}
        customer_id = id_text(row.get(id_column), warnings, self._called)
        if customer_id is None and not self.identifiers:
            raise missing_id(row, id_column, self._called)
        left_out = None if self.on_bad_attribute == "reject" else LeftOut(self.identifiers)
        attributes, nulls, unchecked = self._columns.values(values, kept_out, left_out)
        if unchecked or fields or self._reads_more:
            for name in self.identifiers:
                self._read_identifier(name, attributes, unchecked, warnings)
            self._normalize_platforms(attributes, unchecked, fields)
            for operator, columns in self._operators.items():
                changes = columns.values(values, (), left_out)[0]
                self._add_array_changes(attributes, unchecked, operator, changes)
            if left_out is not None:
                unchecked = self._drop_bad_attributes(left_out, attributes, unchecked)
        if nulls and self.nulls == "send":
            attributes.update(dict.fromkeys(nulls))
            unchecked += nulls
        elif nulls and self.nulls == "unset":
            self._unset(fields, nulls)
        unset: Sequence[UnsetRule] = ()
        if fields:
            fields.setdefault("update_existing_only", self.update_existing_only)
            user = User.check({**fields, "customer_id": customer_id, "attributes": attributes}, self._terms)
            content, unset = user.to_json(), user.unset_attributes
        else:
            if unchecked:
                check_attributes(attributes, self._terms.texts, unchecked)
            if customer_id is None:
                check_user_id(None, attributes, self._terms)
            else:
                check_customer_id(customer_id, self._called)
            content = user_json(customer_id, attributes, self.update_existing_only)
        whose = customer_id or self._ordering_key(attributes)
        warnings.look_at(whose, attributes, unset, unchecked)
        if left_out is not None:
            warnings.dropped = left_out.dropped
        return (content, whose, envelope)

    def _is_own_shape(self, row: Mapping[Any, Any]) -> bool:
        if isinstance(row.get("attributes"), Mapping):
            return True
        return self.attributes is None and is_type(row.get("type"), "customer")

    def _own(self, row: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
        """Return the attributes of a row in the API's own shape, and its other fields."""
        fields = own_fields(row, USER_KEYS, self.id_column, _OUTSIDE_ATTRIBUTES)
        if is_type(fields.get("type"), "customer"):
            del fields["type"]
        values = fields.pop("attributes", {})
        if not isinstance(values, Mapping):
            raise MoEngageRecordInvalid(
                "attributes_type", f"attributes is of type {type(values).__name__}; it must be an object"
            )
        return values, fields

    def _drop_bad_attributes(
        self, left_out: LeftOut, attributes: dict[str, Any], unchecked: Sequence[str]
    ) -> list[str]:
        """Drop the attributes that break a rule, including single changes to arrays; return those kept of those to check."""
        operators = {name: attributes.pop(name) for name in ARRAY_OPERATORS if name in attributes}
        names = [name for name in unchecked if name not in operators]
        left_out.take_from(
            attributes, lambda name, value: check_attribute(name, value, self._terms.texts), names
        )
        for operator, changes in operators.items():
            if isinstance(changes, dict):
                left_out.take_from(changes, partial(check_array_change, operator))
            if changes:
                attributes[operator] = changes
        return [name for name in unchecked if name in attributes]

    @staticmethod
    def _unset(fields: dict[str, Any], names: Sequence[str]) -> None:
        rules = fields.get("unset_attributes", [])
        if isinstance(rules, list):
            more = [{"type": "equals", "attr": name, "case_sensitive": True} for name in names]
            fields["unset_attributes"] = [*rules, *more]

    @staticmethod
    def _read_identifier(
        name: str, attributes: dict[str, Any], unchecked: list[str], warnings: RowWarnings
    ) -> None:
        if name not in attributes:
            return
        text = identifier_text(name, attributes.pop(name), warnings)
        if name in unchecked:
            unchecked.remove(name)
        if text is not None:
            attributes[name] = text
            unchecked.append(name)

    def _normalize_platforms(
        self, attributes: dict[str, Any], unchecked: list[str], fields: dict[str, Any]
    ) -> None:
        """Move ``platforms`` into the attributes, where every sample of MoEngage has it, in the documented form."""
        if "platforms" in fields:
            if "platforms" in attributes:
                raise MoEngageRecordInvalid(
                    "platforms",
                    "the row has 'platforms' both inside and outside 'attributes'; send one of them",
                )
            attributes["platforms"] = json_value("platforms", fields.pop("platforms"), self._columns.zone)
            unchecked.append("platforms")
        if "platforms" in attributes:
            attributes["platforms"] = users_platforms(attributes["platforms"])

    def _ordering_key(self, attributes: Mapping[str, Any]) -> str:
        """Return the key by which rows of one user keep their order, for a row without an id."""
        return next(f"{name}={attributes[name]}" for name in self.identifiers if name in attributes)

    @staticmethod
    def _add_array_changes(
        attributes: dict[str, Any], unchecked: list[str], operator: str, values: Mapping[str, Any]
    ) -> None:
        """Put values to add to arrays, or to remove from them, under the API's operator."""
        changes = {
            attribute: value if isinstance(value, list) else [value]
            for attribute, value in values.items()
            if value is not None
        }
        own = attributes.get(operator)
        if isinstance(own, dict):
            both = sorted(own.keys() & changes.keys())
            if both:
                raise MoEngageRecordInvalid(
                    "array_operator_clash",
                    f"the row has {both[0]!r} under {operator} itself; send one of them",
                )
            changes = {**own, **changes}
        if changes:
            attributes[operator] = changes
            unchecked.append(operator)

    def _checked_operators(self) -> Mapping[str, Columns]:
        operators = {}
        for parameter, operator, fields in (
            ("add_to_arrays", "addValueToArrayField", self.add_to_arrays),
            ("remove_from_arrays", "removeValueFromArrayField", self.remove_from_arrays),
        ):
            if fields is None:
                continue
            types = {name: kind for name, kind in (self.types or {}).items() if name in fields}
            operators[operator] = Columns(fields, types, self.timezone, parameter=parameter)
        both = set(self.add_to_arrays or ()) & set(self.remove_from_arrays or ())
        if both:
            raise MoEngageParameterError(
                f"add_to_arrays and remove_from_arrays both name {sorted(both)[0]!r}; MoEngage accepts one per request"
            )
        return operators


def _dict(parameter: str, fields: object) -> Mapping[str, str]:
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise MoEngageParameterError(
            f"{parameter} is of type {type(fields).__name__}; use a dict of attribute and column"
        )
    return fields


TRACK_USERS = Operation(
    "track_users",
    "users",
    Endpoint("Track User", "/customer/{app_id}", "path", quotas=(USERS,)),
    mapping=UserMapping,
    bulk=bulk_endpoint(BULK_USERS),
    identity=lambda content, user: user,
)
