"""Track Device: converts rows to devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import BulkMapping, Operation
from airflow_provider_moengage.delivery.shape.column_names import check_spelling
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_absent
from airflow_provider_moengage.delivery.shape.row_forms import as_row, is_type, own_fields, own_id_column
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_known_columns
from airflow_provider_moengage.operations.bulk_endpoint import BULK_DEVICES, bulk_envelope
from airflow_provider_moengage.parameters import check_column
from airflow_provider_moengage.records.devices import Device, DeviceAttributes
from airflow_provider_moengage.records.platforms import DEVICE_PLATFORMS, as_documented
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms

DEVICE_KEYS = frozenset({"type", "customer_id", "device_id", "attributes"})
DEVICE_ATTRIBUTES = tuple(DeviceAttributes.model_fields)
#: Attributes that identify a device: like all ids they are stripped of blanks.
DEVICE_IDS = frozenset({"push_id", "moe_gaid", "idfv"})
#: MoEngage accepts the texts "True" and "False" for these, but no booleans.
DEVICE_SWITCHES = frozenset({"moe_push_opted", "moe_push_provisional_opted"})
_OUTSIDE_ATTRIBUTES = "the row has {!r} outside 'attributes', which MoEngage would drop; put it inside"

DEVICES = Quota("devices", 10_000)
DEVICE = Envelope({DEVICES: 1})
BULK_DEVICE = bulk_envelope(BULK_DEVICES)


@dataclass(frozen=True)
class DeviceMapping(BulkMapping):
    """
    Converts rows to :class:`~airflow_provider_moengage.records.devices.Device` records.

    A row is flat, its columns named as the API names its fields, or in the API's own shape.

    :param id_column: the column that identifies the user.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    id_column: str = "customer_id"
    _flat_terms: Terms = field(init=False, repr=False, compare=False)
    _own_terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        names = {"customer_id": in_column("customer_id", self.id_column)}
        object.__setattr__(self, "_own_terms", Terms(names=names))
        # The attributes of a flat row are columns, nested in no other field.
        object.__setattr__(self, "_flat_terms", Terms(names={**names, "attributes": ""}))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        known = {self.id_column, "type", "device_id", *DEVICE_ATTRIBUTES}
        check_known_columns(
            columns,
            needed=(self.id_column, "device_id", "platform", "push_id"),
            known=known,
            id_column=self.id_column,
        )

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return {"customer_id": self.id_column, **{name: name for name in columns if name != self.id_column}}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        device = self.record(row, warnings)
        return (device.to_json(), device.user, DEVICE)

    def element(self, row: object, warnings: RowWarnings) -> Item:
        """Return the element of a row; see :class:`~airflow_provider_moengage.delivery.operation.BulkMapping`."""
        device = self.record(row, warnings)
        return (device.to_json(), device.user, BULK_DEVICE)

    def record(self, row: object, warnings: RowWarnings) -> Device:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason explains why.
        """
        row = as_row(row)
        own = row.get("attributes")
        is_own = isinstance(own, Mapping) or (is_type(row.get("type"), "device") and not is_absent(own))
        terms = self._own_terms if is_own else self._flat_terms
        id_column = own_id_column(row, self.id_column) if is_own else self.id_column
        customer_id = id_text(row.get(id_column), warnings, called := terms.called("customer_id"))
        if customer_id is None:
            raise missing_id(row, id_column, called)
        fields, values = self._own(row) if is_own else self._flat(row)
        fields["customer_id"] = customer_id
        if "device_id" in fields:
            fields["device_id"] = identifier_text("device_id", fields["device_id"], warnings)
        if row.get("device_id") is None:
            check_spelling("device_id", row)
        fields["attributes"] = {
            name: value
            for name, column in values.items()
            if (value := _device_value(name, column, warnings)) is not None
        }
        return Device.check({name: value for name, value in fields.items() if value is not None}, terms)

    def _own(self, row: Mapping[Any, Any]) -> tuple[dict[str, Any], Mapping[Any, Any]]:
        fields = own_fields(row, DEVICE_KEYS, self.id_column, _OUTSIDE_ATTRIBUTES)
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


def _device_value(name: Any, column: object, warnings: RowWarnings) -> Any:
    if name in DEVICE_IDS and isinstance(column, str):
        return identifier_text(name, column, warnings)
    value = json_value(str(name), column, None)
    if name in DEVICE_SWITCHES and isinstance(value, bool):
        return str(value)
    return as_documented(value, DEVICE_PLATFORMS) if name == "platform" else value


TRACK_DEVICES = Operation(
    "track_devices",
    "devices",
    Endpoint("Track Device", "/device/{app_id}", "path", quotas=(DEVICES,)),
    mapping=DeviceMapping,
    datasets=("devices",),
    # A user has several devices.
    identity=lambda content, user: f"{user}\n{from_json(content)['device_id']}",
)
