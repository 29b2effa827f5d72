"""Operators that send events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_provider_moengage.api.endpoints import BULK_IMPORT
from airflow_provider_moengage.delivery.events import EventMapping
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.outcome import ON_UNKNOWN, check_max_bytes, check_one_of
from airflow_provider_moengage.operators.base import (
    MoEngageSendOperator,
    RowsParameter,
    check_on_restart,
    template_fields,
)


class MoEngageTrackEventsOperator(MoEngageSendOperator):
    """
    Sends events, in the source's order for every user; rows of one user that stand together share a call.

    An event cannot be changed or deleted, and one that is sent twice is there twice.

    :param events: rows, flat (``{"customer_id": "a1", "action": "Order placed", "event_time": …, "total": 12.5}``) or
        in the API's own shape (``{"customer_id": "a1", "actions": [{"action": …, "attributes": {…}}]}``).
    :param id_column: the column that identifies the user.
    :param action_column: the column that holds the event's name.
    :param time_column: the column that holds when it happened: a datetime, an ISO text, or seconds (milli-, micro- or
        nanoseconds) since the epoch; None: MoEngage takes the time of receipt.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other one.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a form of ``strptime``. ``time_column`` may be named too.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param identifiers: the active identifiers of an Identity Resolution workspace: their columns are sent with the
        id, or in its place where a row has none.
    :param on_unknown: what becomes of events whose request got no answer: ``resend`` or ``reject``.
    :param on_restart: what a retry does that cannot go on where the try before it ended, and does not know which events
        that one sent: ``fail`` without sending, or ``resend`` all of them.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute, send the row
        without it, and count it in the report's ``dropped``. Ids are never dropped.
    :param bulk: pack the events of many users into calls of Bulk Import.
    :param max_bytes: the largest body of one such call.
    """

    rows_parameter = "events"
    sends_events = True
    events = RowsParameter()
    template_fields: Sequence[str] = template_fields("events")

    def __init__(
        self,
        *,
        events: Any = None,
        id_column: str = "customer_id",
        action_column: str = "action",
        time_column: str | None = "event_time",
        attributes: Mapping[str, str] | Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        timezone: str | None = None,
        update_existing_only: bool = False,
        identifiers: Sequence[str] = (),
        on_bad_attribute: Literal["reject", "drop"] = "reject",
        on_unknown: Literal["resend", "reject"] = "resend",
        on_restart: Literal["fail", "resend"] = "fail",
        bulk: bool = False,
        max_bytes: int = BULK_IMPORT.max_bytes,
        **kwargs: Any,
    ) -> None:
        self.events = events
        super().__init__(**kwargs)
        self.id_column = id_column
        self.action_column = action_column
        self.time_column = time_column
        self.attributes = attributes
        self.types = types
        self.timezone = timezone
        self.update_existing_only = update_existing_only
        self.identifiers = identifiers
        self.on_bad_attribute = on_bad_attribute
        self.on_unknown = on_unknown
        self.on_restart = on_restart
        self.bulk = bulk
        self.max_bytes = max_bytes
        check_max_bytes(max_bytes)
        check_one_of("on_unknown", on_unknown, ON_UNKNOWN)
        check_on_restart(on_restart)
        self._mapping()

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.track_events(
            source,
            mapping=self._mapping(),
            on_unknown=self.on_unknown,
            max_bytes=self.max_bytes,
            **delivery,
        )

    def _mapping(self) -> EventMapping:
        return EventMapping(
            id_column=self.id_column,
            action_column=self.action_column,
            time_column=self.time_column,
            attributes=self.attributes,
            types=self.types,
            timezone=self.timezone,
            update_existing_only=self.update_existing_only,
            identifiers=self.identifiers,
            on_bad_attribute=self.on_bad_attribute,
            bulk=self.bulk,
        )
