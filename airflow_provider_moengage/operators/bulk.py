"""The operator of Bulk Import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_provider_moengage.api.endpoints import BULK_IMPORT
from airflow_provider_moengage.delivery.elements import ElementMapping
from airflow_provider_moengage.delivery.events import EventMapping
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.rows import UserMapping
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.outcome import check_max_bytes
from airflow_provider_moengage.operators.base import (
    MoEngageSendOperator,
    RowsParameter,
    check_on_restart,
    template_fields,
)


class MoEngageBulkImportOperator(MoEngageSendOperator):
    """
    Sends users, events and devices, mixed freely, in calls of up to 100,000 bytes.

    A call that MoEngage refuses is halved until the bad element stands alone. It costs users, events and devices each
    in a window of their own.

    :param elements: rows in the API's own shape, told apart by ``type``: ``customer``, ``event`` or ``device``.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a form of ``strptime``.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param identifiers: the active identifiers of an Identity Resolution workspace.
    :param add_to_arrays: array attribute of customers → the attribute of a row that holds what is added to it.
    :param remove_from_arrays: the same for what is removed.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute, send the row
        without it, and count it in the report's ``dropped``. Ids are never dropped.
    :param on_restart: what a retry does with events where it cannot go on where the try before it ended, and does not know
        which of them that one sent: ``fail`` before the first of them, or ``resend`` all.
    :param max_bytes: the largest body of one call: MoEngage's OpenAPI document says 100 KB, its general text 128 KB.
    """

    rows_parameter = "elements"
    sends_events = True
    elements = RowsParameter()
    template_fields: Sequence[str] = template_fields("elements")

    def __init__(
        self,
        *,
        elements: Any = None,
        types: Mapping[str, str] | None = None,
        timezone: str | None = None,
        identifiers: Sequence[str] = (),
        add_to_arrays: Mapping[str, str] | None = None,
        remove_from_arrays: Mapping[str, str] | None = None,
        on_bad_attribute: Literal["reject", "drop"] = "reject",
        on_restart: Literal["fail", "resend"] = "fail",
        max_bytes: int = BULK_IMPORT.max_bytes,
        **kwargs: Any,
    ) -> None:
        self.elements = elements
        super().__init__(**kwargs)
        self.types = types
        self.timezone = timezone
        self.identifiers = identifiers
        self.add_to_arrays = add_to_arrays
        self.remove_from_arrays = remove_from_arrays
        self.on_bad_attribute = on_bad_attribute
        self.on_restart = on_restart
        self.max_bytes = max_bytes
        check_max_bytes(max_bytes)
        check_on_restart(on_restart)
        self._mapping()

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.bulk_import(source, mapping=self._mapping(), max_bytes=self.max_bytes, **delivery)

    def _mapping(self) -> ElementMapping:
        return ElementMapping(
            UserMapping(
                types=self.types,
                timezone=self.timezone,
                identifiers=self.identifiers,
                add_to_arrays=self.add_to_arrays,
                remove_from_arrays=self.remove_from_arrays,
                on_bad_attribute=self.on_bad_attribute,
            ),
            EventMapping(
                types=self.types,
                timezone=self.timezone,
                identifiers=self.identifiers,
                on_bad_attribute=self.on_bad_attribute,
            ),
        )
