"""Rows of devices, opt-outs, and the mixed elements of a Bulk Import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic_core import from_json

from airflow_provider_moengage.api.devices import Device, DeviceAttributes, OptOut
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batches import Form, Item, in_bulk
from airflow_provider_moengage.delivery.conversion import customer_id_text, json_value
from airflow_provider_moengage.delivery.events import EventMapping
from airflow_provider_moengage.delivery.rows import (
    UserMapping,
    as_row,
    check_column,
    identifier_text,
    own_fields,
)
from airflow_provider_moengage.delivery.watch import Watch

DEVICE_KEYS = frozenset({"type", "customer_id", "device_id", "attributes"})
DEVICE_ATTRIBUTES = tuple(DeviceAttributes.model_fields)
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
    How rows become :class:`~airflow_provider_moengage.api.devices.Device` records.

    A row is flat, its columns named as the API names its fields, or in the API's own shape.

    :param id_column: the column that identifies the user.
    :param bulk: the devices are elements of Bulk Import.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    id_column: str = "customer_id"
    bulk: bool = False

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        known = {self.id_column, "type", "device_id", *DEVICE_ATTRIBUTES}
        check_known_columns(columns, needed=(self.id_column, "device_id", "platform", "push_id"), known=known)

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        device = self.record(row)
        return (device.to_json(), device.user, BULK_DEVICE if self.bulk else DEVICE)

    def record(self, row: object) -> Device:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        row = as_row(row)
        own_shape = isinstance(row.get("attributes"), Mapping)
        values = row["attributes"] if own_shape else row
        if own_shape:
            fields = own_fields(row, DEVICE_KEYS, self.id_column)
        else:
            fields = {name: row[name] for name in ("type", "device_id") if name in row}
        if "device_id" in fields:
            fields["device_id"] = identifier_text("device_id", fields["device_id"])
        id_column = self.id_column if self.id_column in row or not own_shape else "customer_id"
        fields["customer_id"] = customer_id_text(row.get(id_column))
        kept_out = () if own_shape else (self.id_column, "type", "device_id")
        fields["attributes"] = {
            name: _true_or_false(value) if name == "moe_push_opted" else value
            for name, column in values.items()
            if name not in kept_out and (value := json_value(str(name), column, None)) is not None
        }
        return Device.check(fields)


@dataclass(frozen=True)
class OptOutMapping:
    """
    How rows become :class:`~airflow_provider_moengage.api.devices.OptOut` records.

    :param action: ``block`` or ``unblock`` for rows that do not say it themselves under ``action_type``.
    :param id_column: the column that identifies the user, for rows without ``user_identifier_value``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    action: str | None = None
    id_column: str = "customer_id"

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        if self.action not in (None, "block", "unblock"):
            raise MoEngageParameterError(f"action is {self.action!r}; use 'block' or 'unblock'")

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        whose = "user_identifier_value" if "user_identifier_value" in columns else self.id_column
        needed = (whose,) if self.action else (whose, "action_type")
        check_known_columns(columns, needed=needed, known={self.id_column, *OPT_OUT_COLUMNS})

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        fields = {
            name: value
            for name, column in row.items()
            if name != self.id_column and (value := json_value(str(name), column, None)) is not None
        }
        if isinstance(named := fields.get("device_identifiers"), str):
            fields["device_identifiers"] = parsed_list(named)
        if "user_identifier_value" not in fields:
            fields["user_identifier_type"] = "customer_id"
            fields["user_identifier_value"] = customer_id_text(row.get(self.id_column))
        if self.action:
            fields.setdefault("action_type", self.action)
        opt_out = OptOut.check(fields)
        return (opt_out.to_json(), opt_out.user, OPT_OUT)


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
            )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        kind = row.get("type")
        if kind == "customer":
            # Flat rows are Track Users' own: here everything beside the API's fields would be dropped.
            return self.users.item({"attributes": {}, **row}, watch)
        if kind == "event" and not isinstance(row.get("actions"), list):
            raise MoEngageRecordInvalid("element_shape", "an event's actions must be a list")
        if kind == "event":
            return self.events.item(row, watch)
        if kind == "device":
            return self.devices.item(row, watch)
        raise MoEngageRecordInvalid(
            "element_type", f"an element's type must be one of {', '.join(ELEMENT_TYPES)}, in lower case"
        )


def parsed_list(text: str) -> object:
    """Read a list that a database or a CSV holds as JSON text; any other text is a list of itself."""
    try:
        return from_json(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, TypeError):
        return [text]


def _true_or_false(value: Any) -> Any:
    # MoEngage takes the words "True" and "False" here, and no booleans.
    return str(value) if isinstance(value, bool) else value


def check_known_columns(columns: Sequence[str], *, needed: Sequence[str], known: set[str]) -> None:
    """
    Check the columns of rows whose fields are given by the API.

    :raises MoEngageParameterError: a column is missing, stands twice, or means nothing to the API.
    """
    for column in columns:
        if column not in known:
            raise MoEngageParameterError(
                f"the source has column {column!r}, which MoEngage would drop; leave it out, it takes "
                + ", ".join(sorted(known))
            )
        if columns.count(column) > 1:
            raise MoEngageParameterError(f"the source has column {column!r} twice; give each its own name")
    missing = [column for column in needed if column not in columns]
    if missing:
        raise MoEngageParameterError(f"the source has no column {missing[0]!r}; it has {', '.join(columns)}")
