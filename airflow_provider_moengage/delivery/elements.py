"""Rows of devices, opt-outs, and the mixed elements of a Bulk Import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Form, Item, in_bulk
from airflow_provider_moengage.delivery.events import EventMapping
from airflow_provider_moengage.delivery.rows import (
    UserMapping,
    as_row,
    check_column,
    is_type,
    own_fields,
    own_id_column,
)
from airflow_provider_moengage.delivery.shape.column_names import check_spelling, spelling_hint
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import id_column_hint, missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_absent, is_no_id
from airflow_provider_moengage.delivery.shape.row_warnings import Watch
from airflow_provider_moengage.records.devices import Device, DeviceAttributes, OptOut
from airflow_provider_moengage.records.platforms import DEVICE_PLATFORMS, as_documented
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms

DEVICE_KEYS = frozenset({"type", "customer_id", "device_id", "attributes"})
DEVICE_ATTRIBUTES = tuple(DeviceAttributes.model_fields)
#: Attributes that identify a device: like all ids they have no blanks at their ends.
DEVICE_IDS = frozenset({"push_id", "moe_gaid", "idfv"})
#: MoEngage takes the words "True" and "False" for these, and no booleans.
DEVICE_SWITCHES = frozenset({"moe_push_opted", "moe_push_provisional_opted"})
_BESIDE_ATTRIBUTES = "the row has {!r} beside 'attributes', which MoEngage would drop; put it inside"
OPT_OUT_COLUMNS = (
    "user_identifier_type",
    "user_identifier_value",
    "action_type",
    "reason",
    "client_reference_id",
    "device_identifiers",
)
ELEMENT_TYPES = ("customer", "event", "device")
DEVICE = Form({"devices": 1})
BULK_DEVICE = in_bulk({"bulk_devices": 1})
OPT_OUT = Form({"opt_out_devices": 1})


@dataclass(frozen=True)
class DeviceMapping:
    """
    How rows become :class:`~airflow_provider_moengage.records.devices.Device` records.

    A row is flat, its columns named as the API names its fields, or in the API's own shape.

    :param id_column: the column that identifies the user.
    :param bulk: the devices are elements of Bulk Import.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    id_column: str = "customer_id"
    bulk: bool = False
    _flat_terms: Terms = field(init=False, repr=False, compare=False)
    _own_terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        names = {"customer_id": in_column("customer_id", self.id_column)}
        object.__setattr__(self, "_own_terms", Terms(names=names))
        # The attributes of a flat row are columns, which stand in nothing.
        object.__setattr__(self, "_flat_terms", Terms(names={**names, "attributes": ""}))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        known = {self.id_column, "type", "device_id", *DEVICE_ATTRIBUTES}
        check_known_columns(
            columns,
            needed=(self.id_column, "device_id", "platform", "push_id"),
            known=known,
            id_column=self.id_column,
        )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        device = self.record(row, watch)
        return (device.to_json(), device.user, BULK_DEVICE if self.bulk else DEVICE)

    def record(self, row: object, watch: Watch) -> Device:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        row = as_row(row)
        own = row.get("attributes")
        is_own = isinstance(own, Mapping) or (is_type(row.get("type"), "device") and not is_absent(own))
        terms = self._own_terms if is_own else self._flat_terms
        id_column = own_id_column(row, self.id_column) if is_own else self.id_column
        customer_id = id_text(row.get(id_column), watch, called := terms.called("customer_id"))
        if customer_id is None:
            raise missing_id(row, id_column, called)
        fields, values = self._own(row) if is_own else self._flat(row)
        fields["customer_id"] = customer_id
        if "device_id" in fields:
            fields["device_id"] = identifier_text("device_id", fields["device_id"], watch)
        if row.get("device_id") is None:
            check_spelling("device_id", row)
        fields["attributes"] = {
            name: value
            for name, column in values.items()
            if (value := _device_value(name, column, watch)) is not None
        }
        return Device.check({name: value for name, value in fields.items() if value is not None}, terms)

    def _own(self, row: Mapping[Any, Any]) -> tuple[dict[str, Any], Mapping[Any, Any]]:
        fields = own_fields(row, DEVICE_KEYS, self.id_column, _BESIDE_ATTRIBUTES)
        values = fields.get("attributes")
        if not isinstance(values, Mapping):
            raise MoEngageRecordInvalid(
                "attributes_type", f"attributes is of type {type(values).__name__}; it must be an object"
            )
        return fields, values

    def _flat(self, row: Mapping[Any, Any]) -> tuple[dict[str, Any], Mapping[Any, Any]]:
        fields = {name: row[name] for name in ("type", "device_id") if not is_absent(row.get(name))}
        kept_out = (self.id_column, "type", "device_id")
        values = {name: value for name, value in row.items() if name not in kept_out}
        return fields, values


@dataclass(frozen=True)
class OptOutMapping:
    """
    How rows become :class:`~airflow_provider_moengage.records.devices.OptOut` records.

    :param action: ``block`` or ``unblock`` for rows that do not say it themselves under ``action_type``.
    :param id_column: the column that identifies the user, for rows without ``user_identifier_value``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    action: str | None = None
    id_column: str = "customer_id"
    _id_terms: Terms = field(init=False, repr=False, compare=False)
    _other_terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        names = {"user_identifier_value": in_column("customer_id", self.id_column)}
        object.__setattr__(self, "_id_terms", Terms(names=names))
        object.__setattr__(self, "_other_terms", Terms())
        if self.action not in (None, "block", "unblock"):
            raise MoEngageParameterError(f"action is {self.action!r}; use 'block' or 'unblock'")

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        whose = "user_identifier_value" if "user_identifier_value" in columns else self.id_column
        needed = (whose,) if self.action else (whose, "action_type")
        check_known_columns(
            columns, needed=needed, known={self.id_column, *OPT_OUT_COLUMNS}, id_column=self.id_column
        )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        identifier, id_terms = self._identifier(row, watch)
        fields = {
            name: value
            for name, column in row.items()
            if name not in (self.id_column, "user_identifier_value")
            and (value := json_value(str(name), column, None)) is not None
        }
        if isinstance(named := fields.get("device_identifiers"), str):
            fields["device_identifiers"] = named = parsed_list(named)
        if isinstance(named, list):
            fields["device_identifiers"] = [_device_identifiers(one, watch) for one in named]
        if id_terms is self._id_terms:
            fields["user_identifier_type"] = "customer_id"
        fields["user_identifier_value"] = identifier
        if self.action:
            fields.setdefault("action_type", self.action)
        opt_out = OptOut.check(fields, id_terms)
        return (opt_out.to_json(), opt_out.user, OPT_OUT)

    def _identifier(self, row: Mapping[Any, Any], watch: Watch) -> tuple[str | None, Terms]:
        """Return what identifies the user, and what reasons call it."""
        value = row.get("user_identifier_value")
        if not is_absent(value):
            return id_text(value, watch, "user_identifier_value"), self._other_terms
        called = self._id_terms.called("user_identifier_value")
        text = id_text(row.get(self.id_column), watch, called)
        if text is None:
            raise missing_id(row, self.id_column, called)
        return text, self._id_terms


@dataclass(frozen=True)
class ElementMapping:
    """
    How rows in the API's own shape become the elements of a Bulk Import: customers, events and devices, mixed.

    :param users: how customer elements are read.
    :param events: how event elements are read.
    """

    remembers: ClassVar[bool] = False
    users: UserMapping = field(default_factory=UserMapping)
    events: EventMapping = field(default_factory=EventMapping)
    devices: DeviceMapping = field(default_factory=DeviceMapping)

    def __post_init__(self) -> None:
        for name in ("users", "events", "devices"):
            object.__setattr__(self, name, replace(getattr(self, name), bulk=True))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        if "type" not in columns:
            raise MoEngageParameterError(
                f"the source has no column 'type', which says what an element is; it has {', '.join(columns)}"
                + spelling_hint("type", columns)
            )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        kind = row.get("type")
        if kind is None:
            check_spelling("type", row)
        for name, mapping in (("customer", self.users), ("event", self.events), ("device", self.devices)):
            if kind == name:
                self._check_id(row, mapping)
        if kind == "customer":
            return self.users.item(row, watch, own=True)
        if kind == "event":
            return self.events.own_item(row, watch)
        if kind == "device":
            return self.devices.item(row, watch)
        raise MoEngageRecordInvalid(
            "element_type", f"an element's type must be one of {', '.join(ELEMENT_TYPES)}, in lower case"
        )

    @staticmethod
    def _check_id(row: Mapping[Any, Any], mapping: UserMapping | EventMapping | DeviceMapping) -> None:
        """Check that a row has an id, before its mapping does: here is no ``id_column=`` that could name another one."""
        column = own_id_column(row, mapping.id_column)
        if is_no_id(row.get(column)) and not getattr(mapping, "identifiers", ()):
            raise missing_id(row, column, in_column("customer_id", column), parameter=False)


def parsed_list(text: str) -> object:
    """Read a list that a database or a CSV holds as JSON text; any other text is a list of itself."""
    try:
        return from_json(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, TypeError):
        return [text]


def _device_value(name: Any, column: object, watch: Watch) -> Any:
    if name in DEVICE_IDS and isinstance(column, str):
        return identifier_text(name, column, watch)
    value = json_value(str(name), column, None)
    if name in DEVICE_SWITCHES and isinstance(value, bool):
        return str(value)
    return as_documented(value, DEVICE_PLATFORMS) if name == "platform" else value


def _device_identifiers(one: object, watch: Watch) -> object:
    """Return one of an opt-out's devices, with its ids as they are tracked: without blanks at their ends."""
    if not isinstance(one, dict):
        return one
    return {name: identifier_text(str(name), value, watch) or "" for name, value in one.items()}


def check_known_columns(
    columns: Sequence[str], *, needed: Sequence[str], known: set[str], id_column: str
) -> None:
    """
    Check the columns of rows whose fields are given by the API.

    :param id_column: the one of them that ``id_column=`` names.
    :raises MoEngageParameterError: a column is missing, stands twice, or means nothing to the API.
    """
    for column in needed:
        if column not in columns:
            which = (
                "say with id_column= which of its columns "
                f"({', '.join(columns)}) it is{spelling_hint(column, columns) or id_column_hint(columns)}"
                if column == id_column
                else f"it has {', '.join(columns)}{spelling_hint(column, columns)}"
            )
            raise MoEngageParameterError(f"the source has no column {column!r}; {which}")
    for column in columns:
        if column not in known:
            raise MoEngageParameterError(
                f"the source has column {column!r}, which MoEngage would drop; leave it out, it takes "
                + ", ".join(sorted(known))
                + next((hint for name in sorted(known) if (hint := spelling_hint(name, [column]))), "")
            )
        if columns.count(column) > 1:
            raise MoEngageParameterError(f"the source has column {column!r} twice; give each its own name")
