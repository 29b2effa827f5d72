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
from airflow_provider_moengage.delivery.shape.columns import Columns, LeftOut
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_no_id
from airflow_provider_moengage.delivery.shape.row_forms import as_row, is_type, own_fields, own_id_column
from airflow_provider_moengage.delivery.shape.row_warnings import MAX_USER_ATTRIBUTES, RowWarnings
from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat
from airflow_provider_moengage.operations.bulk_endpoint import BULK_USERS, bulk_endpoint, bulk_envelope
from airflow_provider_moengage.parameters import (
    ON_BAD_ATTRIBUTE,
    check_column,
    check_identifiers,
    check_one_of,
    check_switch,
)
from airflow_provider_moengage.records.names import BLOCKED_CUSTOMER_IDS, MAX_VALUE_LENGTH, check_customer_id
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
    _has_more: bool = field(init=False, repr=False, compare=False)

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
        object.__setattr__(self, "_has_more", bool(array_columns or self.identifiers))

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

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        content, user = self._shaped(row, warnings)
        return (content, user, USER)

    def element(self, row: object, warnings: RowWarnings, *, own: bool = False) -> Item:
        """
        Return the element of a row; see :class:`~airflow_provider_moengage.delivery.operation.BulkMapping`.

        :param own: the row is in the API's own shape, whatever its content.
        """
        content, user = self._shaped(row, warnings, own=own)
        return (content, user, BULK_USER)

    def _shaped(self, row: object, warnings: RowWarnings, *, own: bool = False) -> tuple[bytes, str]:
        """Return the content of a row and its user."""
        row = row if type(row) is dict else as_row(row)
        if own or (("attributes" in row or "type" in row) and self._is_own_shape(row)):
            id_column, kept_out = own_id_column(row, self.id_column), self._array_columns
            customer_id = row.get(id_column)
            if is_no_id(customer_id) and not self.identifiers:
                raise missing_id(row, id_column, self._called)
            values, fields = self._own(row)
        else:
            id_column, kept_out = self.id_column, self._kept_out
            customer_id = row.get(id_column)
            values, fields = row, {}
        # Fast path: nearly all ids are plain texts and pass this test.
        if (
            type(customer_id) is not str
            or not customer_id.isascii()
            or customer_id.strip() is not customer_id
        ):
            customer_id = id_text(customer_id, warnings, self._called)
            if not customer_id and not self.identifiers:
                raise missing_id(row, id_column, self._called)
        attributes = self._columns.good_values(values, kept_out)
        if attributes is None or fields or not customer_id or self._has_more:
            return self._shaped_by_value(customer_id or None, values, kept_out, fields, warnings)
        # Fast path: call check_customer_id only for ids that it may reject.
        if not 1 < len(customer_id) <= MAX_VALUE_LENGTH or customer_id.casefold() in BLOCKED_CUSTOMER_IDS:
            check_customer_id(customer_id, self._called)
        if warnings.learns_types or len(attributes) > MAX_USER_ATTRIBUTES:
            warnings.look_at(customer_id, attributes)
        else:
            warnings.count(customer_id)
        return user_json(customer_id, attributes, self.update_existing_only), customer_id

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

    def _shaped_by_value(
        self,
        customer_id: str | None,
        values: Mapping[Any, Any],
        kept_out: tuple[str, ...],
        fields: dict[str, Any],
        warnings: RowWarnings,
    ) -> tuple[bytes, str]:
        """Convert and check a row's values one by one, and build its record."""
        left_out = None if self.on_bad_attribute == "reject" else LeftOut(self.identifiers)
        attributes, nulls = self._columns.values(values, kept_out, left_out)
        self._read_identifiers(attributes, warnings)
        if "platforms" in fields:
            self._move_platforms(attributes, fields.pop("platforms"))
        if "platforms" in attributes:
            attributes["platforms"] = users_platforms(attributes["platforms"])
        for operator, columns in self._operators.items():
            self._add_array_changes(attributes, operator, columns.values(values, (), left_out)[0])
        if left_out is not None:
            self._drop_bad_attributes(left_out, attributes)
        rules = fields.get("unset_attributes", [])
        if nulls and self.nulls == "send":
            attributes.update(dict.fromkeys(nulls))
        elif nulls and self.nulls == "unset" and isinstance(rules, list):
            more = [{"type": "equals", "attr": name, "case_sensitive": True} for name in nulls]
            fields["unset_attributes"] = [*rules, *more]
        unset: Sequence[UnsetRule] = ()
        if fields:
            record = {"update_existing_only": self.update_existing_only, **fields}
            record |= {"customer_id": customer_id, "attributes": attributes}
            user = User.check(record, self._terms)
            content, unset = user.to_json(), user.unset_attributes
        else:
            check_attributes(attributes, self._terms.texts)
            check_user_id(customer_id, attributes, self._terms)
            content = user_json(customer_id, attributes, self.update_existing_only)
        whose = customer_id or self._ordering_key(attributes)
        warnings.look_at(whose, attributes, unset)
        if left_out is not None:
            warnings.dropped = left_out.dropped
        return content, whose

    def _drop_bad_attributes(self, left_out: LeftOut, attributes: dict[str, Any]) -> None:
        """Drop the attributes that break a rule, including single changes to arrays."""
        operators = {name: attributes.pop(name) for name in ARRAY_OPERATORS if name in attributes}
        left_out.take_from(attributes, lambda name, value: check_attribute(name, value, self._terms.texts))
        for operator, changes in operators.items():
            if isinstance(changes, dict):
                left_out.take_from(changes, partial(check_array_change, operator))
            if changes:
                attributes[operator] = changes

    def _read_identifiers(self, attributes: dict[str, Any], warnings: RowWarnings) -> None:
        for name in self.identifiers:
            if name in attributes:
                text = identifier_text(name, attributes.pop(name), warnings)
                if text is not None:
                    attributes[name] = text

    def _move_platforms(self, attributes: dict[str, Any], platforms: object) -> None:
        """Move ``platforms`` into the attributes, where every sample of MoEngage has it."""
        if "platforms" in attributes:
            raise MoEngageRecordInvalid(
                "platforms", "the row has 'platforms' both inside and outside 'attributes'; send one of them"
            )
        attributes["platforms"] = json_value("platforms", platforms, self._columns.zone)

    def _ordering_key(self, attributes: Mapping[str, Any]) -> str:
        """Return the key by which rows of one user keep their order, for a row without an id."""
        return next(f"{name}={attributes[name]}" for name in self.identifiers if name in attributes)

    @staticmethod
    def _add_array_changes(attributes: dict[str, Any], operator: str, values: Mapping[str, Any]) -> None:
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
)
