"""Device opt-out: converts rows to requests to block or unblock devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_absent
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_known_columns, parsed_list
from airflow_provider_moengage.parameters import check_column, check_one_of
from airflow_provider_moengage.records.devices import OptOut
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms

OPT_OUT_COLUMNS = (
    "user_identifier_type",
    "user_identifier_value",
    "action_type",
    "reason",
    "client_reference_id",
    "device_identifiers",
)
DEVICES_OPTED_OUT = Quota("opt_out_devices", 1_000)
OPT_OUT = Envelope({DEVICES_OPTED_OUT: 1})


@dataclass(frozen=True)
class OptOutMapping(RowMapping):
    """
    Converts rows to :class:`~airflow_provider_moengage.records.devices.OptOut` records.

    :param action: ``block`` or ``unblock``, for rows without an ``action_type`` of their own.
    :param id_column: the column that identifies the user, for rows without ``user_identifier_value``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    action: str | None = None
    id_column: str = "customer_id"
    _id_terms: Terms = field(init=False, repr=False, compare=False)
    _other_terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        names = {"user_identifier_value": in_column("customer_id", self.id_column)}
        object.__setattr__(self, "_id_terms", Terms(names=names))
        object.__setattr__(self, "_other_terms", Terms())
        if self.action is not None:
            check_one_of("action", self.action, ("block", "unblock"))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        whose = "user_identifier_value" if "user_identifier_value" in columns else self.id_column
        needed = (whose,) if self.action else (whose, "action_type")
        check_known_columns(
            columns, needed=needed, known={self.id_column, *OPT_OUT_COLUMNS}, id_column=self.id_column
        )

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        whose = "user_identifier_value" if "user_identifier_value" in columns else self.id_column
        return {"customer_id": whose}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        row = as_row(row)
        identifier, id_terms = self._identifier(row, warnings)
        fields = {
            name: value
            for name, column in row.items()
            if name not in (self.id_column, "user_identifier_value")
            and (value := json_value(str(name), column, None)) is not None
        }
        if isinstance(named := fields.get("device_identifiers"), str):
            fields["device_identifiers"] = named = parsed_list(named)
        if isinstance(named, list):
            fields["device_identifiers"] = [_device_identifiers(one, warnings) for one in named]
        if id_terms is self._id_terms:
            fields["user_identifier_type"] = "customer_id"
        fields["user_identifier_value"] = identifier
        if self.action:
            fields.setdefault("action_type", self.action)
        opt_out = OptOut.check(fields, id_terms)
        return (opt_out.to_json(), opt_out.user, OPT_OUT)

    def _identifier(self, row: Mapping[Any, Any], warnings: RowWarnings) -> tuple[str | None, Terms]:
        """Return what identifies the user, and its name in rejection reasons."""
        value = row.get("user_identifier_value")
        if not is_absent(value):
            return id_text(value, warnings, "user_identifier_value"), self._other_terms
        called = self._id_terms.called("user_identifier_value")
        text = id_text(row.get(self.id_column), warnings, called)
        if text is None:
            raise missing_id(row, self.id_column, called)
        return text, self._id_terms


def _device_identifiers(one: object, warnings: RowWarnings) -> object:
    """Return one device of an opt-out, its ids stripped of blanks like those that are tracked."""
    if not isinstance(one, dict):
        return one
    return {name: identifier_text(str(name), value, warnings) or "" for name, value in one.items()}


OPT_OUT_DEVICES = Operation(
    "opt_out_devices",
    "devices",
    Endpoint("Device opt-out", "/devices/manage", "query", quotas=(DEVICES_OPTED_OUT,)),
    mapping=OptOutMapping,
    datasets=("devices",),
    always_sent="people opt in and out on their devices, which no snapshot knows",
)
