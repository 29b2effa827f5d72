"""Bulk Import: converts rows to users, events and devices, mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Item
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.shape.column_names import check_spelling, spelling_hint
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import is_no_id
from airflow_provider_moengage.delivery.shape.row_forms import as_row, own_id_column
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.bulk_endpoint import BULK_IMPORT_ENDPOINT
from airflow_provider_moengage.operations.track_devices import DeviceMapping
from airflow_provider_moengage.operations.track_events import EventMapping
from airflow_provider_moengage.operations.track_users import UserMapping
from airflow_provider_moengage.records.reasons import in_column

ELEMENT_TYPES = ("customer", "event", "device")


@dataclass(frozen=True)
class ElementMapping(RowMapping):
    """
    Converts rows in the API's own shape to elements of Bulk Import: customers, events and devices, mixed.

    :param users: converts customer elements.
    :param events: converts event elements.
    :param devices: converts device elements.
    """

    users: UserMapping = field(default_factory=UserMapping)
    events: EventMapping = field(default_factory=EventMapping)
    devices: DeviceMapping = field(default_factory=DeviceMapping)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        if "type" not in columns:
            raise MoEngageParameterError(
                f"the source has no column 'type', which says what an element is; it has {', '.join(columns)}"
                + spelling_hint("type", columns)
            )

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        row = as_row(row)
        kind = row.get("type")
        if kind is None:
            check_spelling("type", row)
        for name, mapping in (("customer", self.users), ("event", self.events), ("device", self.devices)):
            if kind == name:
                self._check_id(row, mapping)
        if kind == "customer":
            return self.users.element(row, warnings, own=True)
        if kind == "event":
            return self.events.element(row, warnings, own=True)
        if kind == "device":
            return self.devices.element(row, warnings)
        raise MoEngageRecordInvalid(
            "element_type", f"an element's type must be one of {', '.join(ELEMENT_TYPES)}, in lower case"
        )

    @staticmethod
    def _check_id(row: Mapping[Any, Any], mapping: UserMapping | EventMapping | DeviceMapping) -> None:
        """Check that a row has an id, before its mapping does: the error must not name ``id_column=``."""
        column = own_id_column(row, mapping.id_column)
        if is_no_id(row.get(column)) and not getattr(mapping, "identifiers", ()):
            raise missing_id(row, column, in_column("customer_id", column), parameter=False)


BULK_IMPORT = Operation(
    "bulk_import",
    "elements",
    BULK_IMPORT_ENDPOINT,
    mapping=ElementMapping,
    idempotent=False,
    datasets=("users", "events", "devices"),
    always_sent="its elements may be events, which are never equal",
)
