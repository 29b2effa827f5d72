"""Operators that write devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_moengage.delivery.elements import DeviceMapping, OptOutMapping
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.base import MoEngageSendOperator, RowsParameter, template_fields


class MoEngageTrackDevicesOperator(MoEngageSendOperator):
    """
    Creates and updates devices of users who exist, one call each.

    :param devices: rows, flat (``{"customer_id": "a1", "device_id": "d1", "platform": "iOS", "push_id": "p1"}``) or in
        the API's own shape, with these beside the ids under ``attributes``.
    :param id_column: the column that identifies the user.
    """

    rows_parameter = "devices"
    devices = RowsParameter()
    template_fields: Sequence[str] = template_fields("devices")

    def __init__(self, *, devices: Any = None, id_column: str = "customer_id", **kwargs: Any) -> None:
        self.devices = devices
        super().__init__(**kwargs)
        self.id_column = id_column
        DeviceMapping(id_column)

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.track_devices(source, mapping=DeviceMapping(self.id_column), **delivery)


class MoEngageOptOutDevicesOperator(MoEngageSendOperator):
    """
    Blocks or unblocks push messages to users' devices, one call each.

    :param devices: rows with ``customer_id``, or ``user_identifier_type`` and ``user_identifier_value``, and where
        wanted ``action_type``, ``reason``, ``client_reference_id`` and ``device_identifiers``.
    :param action: ``block`` or ``unblock``, for rows that do not say it themselves under ``action_type``.
    :param id_column: the column that identifies the user.
    """

    rows_parameter = "devices"
    devices = RowsParameter()
    template_fields: Sequence[str] = template_fields("devices")

    def __init__(
        self,
        *,
        devices: Any = None,
        action: Literal["block", "unblock"] | None = None,
        id_column: str = "customer_id",
        **kwargs: Any,
    ) -> None:
        self.devices = devices
        super().__init__(**kwargs)
        self.action = action
        self.id_column = id_column
        OptOutMapping(action, id_column)

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.opt_out_devices(source, mapping=OptOutMapping(self.action, self.id_column), **delivery)
