"""A row becomes an event: whose, which, when, and the rest as its attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from numbers import Real
from typing import Any, ClassVar

from airflow_provider_moengage.api.epoch import number_of
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.api.events import Event
from airflow_provider_moengage.api.names import event_name_fault
from airflow_provider_moengage.api.records import Terms
from airflow_provider_moengage.delivery.batches import Form, Item, in_bulk
from airflow_provider_moengage.delivery.columns import Columns
from airflow_provider_moengage.delivery.conversion import customer_id_text, is_null, json_value
from airflow_provider_moengage.delivery.foreign import python_value
from airflow_provider_moengage.delivery.rows import (
    as_row,
    check_column,
    check_identifiers,
    check_switch,
    identifier_text,
    own_fields,
)
from airflow_provider_moengage.delivery.typed_values import CONVERTERS
from airflow_provider_moengage.delivery.watch import Watch

#: What a row in the API's own shape may hold; one row may hold several actions.
EVENT_KEYS = frozenset({"type", "customer_id", "device_id", "user_identifiers", "actions"})


@lru_cache
def bulk_events(actions: int) -> Form:
    """Give the form of an event of so many actions in Bulk Import."""
    return in_bulk({"bulk_events": actions})


@dataclass(frozen=True)
class EventMapping:
    """
    How rows become :class:`~airflow_provider_moengage.api.events.Event` records.

    A row is flat, or in the API's own shape, which a list under ``actions`` gives away.

    :param id_column: the column that identifies the user.
    :param action_column: the column that holds the event's name.
    :param time_column: the column that holds when it happened: a datetime, an ISO text, or seconds (milli-, micro- or
        nanoseconds) since the epoch; None: MoEngage takes the time of receipt.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other one.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a form of ``strptime``; ``time_column`` may be named too.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param identifiers: the active identifiers of an Identity Resolution workspace: their columns take the place of
        the id where a row has none.
    :param bulk: the events are elements of Bulk Import.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    id_column: str = "customer_id"
    action_column: str = "action"
    time_column: str | None = "event_time"
    attributes: Mapping[str, str] | Sequence[str] | None = None
    types: Mapping[str, str] | None = None
    timezone: str | None = None
    identifiers: Sequence[str] = ()
    bulk: bool = False
    _columns: Columns = field(init=False, repr=False, compare=False)
    _terms: Terms = field(init=False, repr=False, compare=False)
    _kept_out: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_switch("bulk", self.bulk)
        check_column("action_column", self.action_column)
        if self.time_column is not None:
            check_column("time_column", self.time_column)
        identifiers = check_identifiers(self.identifiers)
        elsewhere = () if self.time_column is None else (self.time_column,)
        columns = Columns(self.attributes, self.types, self.timezone, event_name_fault, elsewhere=elsewhere)
        kept_out = (self.id_column, self.action_column, self.time_column or self.id_column, *identifiers)
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_terms", Terms(columns.texts, identifiers))
        object.__setattr__(self, "_kept_out", kept_out)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        needed = {"action_column": self.action_column}
        if not self.identifiers or self.id_column in columns:
            needed["id_column"] = self.id_column
        if self.time_column is not None:
            needed["time_column"] = self.time_column
        kept_out = [name for name in self.identifiers if name in columns]
        self._columns.check(columns, needed | {f"identifiers {name}": name for name in kept_out})

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        event = self.record(row)
        if self.bulk:
            return (event.to_json(), event.user, bulk_events(len(event.actions)))
        form = Form({"events": len(event.actions)}, event.opening(), b"]}")
        return (event.actions_json(), event.user, form)

    def record(self, row: object) -> Event:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        row = as_row(row)
        fields = self._own(row) if isinstance(row.get("actions"), list) else self._flat(row)
        return Event.check(fields, self._terms)

    def _flat(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        action: dict[str, Any] = {"action": row.get(self.action_column)}
        if self.time_column is not None:
            action["current_time"] = self._moment(row)
        action["attributes"] = self._columns.values(row, self._kept_out)[0]
        fields: dict[str, Any] = {
            "customer_id": customer_id_text(row.get(self.id_column)),
            "actions": [action],
        }
        named = {name: text for name in self.identifiers if (text := identifier_text(name, row.get(name)))}
        if named and fields["customer_id"] is None:
            fields["user_identifiers"] = named
        return fields

    def _moment(self, row: Mapping[Any, Any]) -> Any:
        column = str(self.time_column)
        value = row.get(column)
        if value is not None:
            value = python_value(self._columns.typed(column, value))
        if is_null(value):
            raise MoEngageRecordInvalid(
                "event_time",
                f"{column!r} is missing; MoEngage would take the time of receipt, which time_column=None asks for",
            )
        if number_of(value) is not None:
            return value
        if isinstance(value, Real | Decimal) and not isinstance(value, bool):
            value = json_value(column, value, None)
            if value is None:
                raise MoEngageRecordInvalid("event_time", f"{column!r} is a number that is no time")
            return value
        moment = CONVERTERS["datetime"](column, value, self._columns.zone)
        if moment is None:
            raise MoEngageRecordInvalid("event_time", f"{column!r} is empty")
        return moment

    def _own(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        fields = own_fields(row, EVENT_KEYS, self.id_column)
        id_column = self.id_column if self.id_column in row else "customer_id"
        fields["customer_id"] = customer_id_text(row.get(id_column))
        fields["actions"] = [self._own_action(action) for action in row["actions"]]
        return fields

    def _own_action(self, action: object) -> Any:
        if not isinstance(action, Mapping):
            return action
        attributes = action.get("attributes", {})
        if isinstance(attributes, Mapping):
            attributes = self._columns.values(attributes, ())[0]
        plain = {}
        if "current_time" in action:
            plain["current_time"] = json_value("current_time", action["current_time"], self._columns.zone)
        if "user_time" in action:
            local = python_value(action["user_time"])
            # The user's own clock: no zone makes it another one.
            plain["user_time"] = local.isoformat() if isinstance(local, datetime) else local
        return {**action, **plain, "attributes": attributes}
