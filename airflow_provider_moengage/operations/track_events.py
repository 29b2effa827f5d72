"""Create Event: converts rows to events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from numbers import Real
from typing import Any, Literal

from airflow_provider_moengage.api.endpoint import MAX_BODY_BYTES, Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import BulkMapping, Operation
from airflow_provider_moengage.delivery.shape.column_names import check_spelling
from airflow_provider_moengage.delivery.shape.columns import Columns
from airflow_provider_moengage.delivery.shape.convert import is_null, json_value
from airflow_provider_moengage.delivery.shape.foreign import python_value
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, identifier_text, is_absent
from airflow_provider_moengage.delivery.shape.left_out import LeftOut
from airflow_provider_moengage.delivery.shape.row_forms import as_row, is_type, own_fields, own_id_column
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.typed_text import CONVERTERS, AttributeType, DateFormat
from airflow_provider_moengage.operations.bulk_endpoint import BULK_EVENTS, bulk_endpoint, bulk_envelope
from airflow_provider_moengage.parameters import (
    ON_BAD_ATTRIBUTE,
    check_column,
    check_identifiers,
    check_one_of,
    check_switch,
)
from airflow_provider_moengage.records.epoch import number_of
from airflow_provider_moengage.records.events import (
    NAME_OF_A_FLAT_ROW,
    TIME_OF_A_FLAT_ROW,
    Event,
    check_event_attribute,
)
from airflow_provider_moengage.records.names import event_name_fault
from airflow_provider_moengage.records.platforms import EVENT_PLATFORMS, TV_SYSTEMS, as_documented
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms

#: What a row in the API's own shape may hold; one row may hold several actions.
EVENT_KEYS = frozenset(
    {"type", "customer_id", "device_id", "user_identifiers", "update_existing_only", "actions"}
)


EVENTS = Quota("events", 30_000)


@lru_cache
def _bulk_events(actions: int) -> Envelope:
    return bulk_envelope(BULK_EVENTS, actions, idempotent=False)


@dataclass(frozen=True)
class EventMapping(BulkMapping):
    """
    Converts rows to :class:`~airflow_provider_moengage.records.events.Event` records.

    A row is flat, or in the API's own shape: it has a list under ``actions``, or ``event`` under ``type`` and
    ``actions`` of any type.

    :param id_column: the column that identifies the user.
    :param action_column: the column that holds the event's name.
    :param time_column: the column that holds when it happened: a datetime, an ISO text, or seconds (milli-, micro- or
        nanoseconds) since the epoch; None: MoEngage uses the time of receipt.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other one.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a format of ``strptime``; ``time_column`` may be named too.
    :param timezone: IANA name of the time zone of datetimes that carry none; without it they are rejected.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param identifiers: the active identifiers of an Identity Resolution workspace: their columns are sent with the
        id, or in its place where a row has none.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    id_column: str = "customer_id"
    action_column: str = "action"
    time_column: str | None = "event_time"
    attributes: Mapping[str, str] | Sequence[str] | None = None
    types: Mapping[str, AttributeType | DateFormat] | None = None
    timezone: str | None = None
    update_existing_only: bool = False
    identifiers: Sequence[str] = ()
    on_bad_attribute: Literal["reject", "drop"] = "reject"
    _columns: Columns = field(init=False, repr=False, compare=False)
    _flat_terms: Terms = field(init=False, repr=False, compare=False)
    _own_terms: Terms = field(init=False, repr=False, compare=False)
    _kept_out: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_switch("update_existing_only", self.update_existing_only)
        check_one_of("on_bad_attribute", self.on_bad_attribute, ON_BAD_ATTRIBUTE)
        check_column("action_column", self.action_column)
        if self.time_column is not None:
            check_column("time_column", self.time_column)
        identifiers = check_identifiers(self.identifiers)
        elsewhere = () if self.time_column is None else (self.time_column,)
        columns = Columns(self.attributes, self.types, self.timezone, event_name_fault, elsewhere=elsewhere)
        kept_out = (self.id_column, self.action_column, self.time_column or self.id_column, *identifiers)
        object.__setattr__(self, "_columns", columns)
        whose = {"customer_id": in_column("customer_id", self.id_column)}
        names = {
            **whose,
            NAME_OF_A_FLAT_ROW: in_column("the event's name", self.action_column),
            TIME_OF_A_FLAT_ROW: in_column("the event's time", self.time_column or ""),
        }
        object.__setattr__(self, "_flat_terms", Terms(columns.texts, identifiers, names))
        object.__setattr__(self, "_own_terms", Terms(columns.texts, identifiers, whose))
        object.__setattr__(self, "_kept_out", kept_out)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        if {"type", "actions"}.issubset(columns) and self.action_column not in columns:
            # A table of rows in the API's own shape: none of its columns is an attribute.
            return
        needed = {}
        if not self.identifiers or self.id_column in columns:
            needed["id_column"] = self.id_column
        needed["action_column"] = self.action_column
        if self.time_column is not None:
            needed["time_column"] = self.time_column
        kept_out = [name for name in self.identifiers if name in columns]
        self._columns.check(columns, needed | {f"identifiers {name}": name for name in kept_out})

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        fields = {"customer_id": self.id_column, "action": self.action_column}
        if self.time_column is not None:
            fields["current_time"] = self.time_column
        return {**fields, **self._columns.attributes_of(columns, self._kept_out)}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        event = self.record(row, warnings)
        envelope = Envelope({EVENTS: len(event.actions)}, event.opening(), b"]}", idempotent=False)
        return (event.actions_json(), event.user, envelope)

    def element(self, row: object, warnings: RowWarnings, *, own: bool = False) -> Item:
        """
        Return the element of a row; see :class:`~airflow_provider_moengage.delivery.operation.BulkMapping`.

        :param own: the row is in the API's own shape, whatever its content.
        """
        event = self.record(row, warnings, own=own)
        return (event.to_json(), event.user, _bulk_events(len(event.actions)))

    def record(self, row: object, warnings: RowWarnings, *, own: bool = False) -> Event:
        """
        Build the record of one row.

        :param own: the row is in the API's own shape, whatever its content.
        :raises MoEngageRecordInvalid: the row must not be sent; the reason explains why.
        """
        row = as_row(row)
        own = own or (
            isinstance(row.get("actions"), (list, tuple))
            or ("actions" in row and is_type(row.get("type"), "event"))
        )
        left_out = None if self.on_bad_attribute == "reject" else LeftOut()
        if own:
            event = Event.check(self._own(row, warnings, left_out), self._own_terms)
        else:
            event = Event.check(self._flat(row, warnings, left_out), self._flat_terms)
        if left_out is not None:
            warnings.dropped = left_out.dropped
        return event

    def _attributes(
        self, values: Mapping[Any, Any], kept_out: tuple[str, ...], left_out: LeftOut | None
    ) -> dict[str, Any]:
        attributes = self._columns.values(values, kept_out, left_out)[0]
        if left_out is not None:
            texts = self._columns.texts
            left_out.take_from(attributes, lambda name, value: check_event_attribute(name, value, texts))
        return attributes

    def _flat(
        self, row: Mapping[Any, Any], warnings: RowWarnings, left_out: LeftOut | None
    ) -> dict[str, Any]:
        customer_id = self.id_of_row(row, self.id_column, warnings, self._flat_terms)
        if self.action_column not in row:
            check_spelling(self.action_column, row)
            raise MoEngageRecordInvalid(
                "record_missing",
                f"the row has no column {self.action_column!r}; set action_column= to the column that holds the event's name",
            )
        name = row[self.action_column]
        action: dict[str, Any] = {"action": None if is_absent(name) else name}
        if self.time_column is not None:
            action["current_time"] = self._event_time(row)
        action["attributes"] = self._attributes(row, self._kept_out, left_out)
        fields: dict[str, Any] = {
            "customer_id": customer_id,
            "update_existing_only": self.update_existing_only,
            "actions": [action],
        }
        named = {
            name: text
            for name in self.identifiers
            if (text := identifier_text(name, row.get(name), warnings)) is not None
        }
        if named:
            fields["user_identifiers"] = named
        return fields

    def id_of_row(
        self, row: Mapping[Any, Any], column: str, warnings: RowWarnings, terms: Terms
    ) -> str | None:
        """
        Return the id of a row.

        :raises MoEngageRecordInvalid: there is none, and no identifier can replace it.
        """
        called = terms.called("customer_id")
        text = id_text(row.get(column), warnings, called)
        if text is None and not self.identifiers:
            raise missing_id(row, column, called)
        return text

    def _event_time(self, row: Mapping[Any, Any]) -> Any:
        column = str(self.time_column)
        value = row.get(column)
        if value is not None:
            value = python_value(self._columns.typed(column, value))
        if is_null(value):
            check_spelling(column, row)
            missing = (
                f"{column!r} is missing"
                if column in row
                else f"the row has no column {column!r}, which holds the event's time"
            )
            raise MoEngageRecordInvalid(
                "event_time",
                f"{missing}; set time_column= to the column that holds it, or time_column=None for the time of receipt",
            )
        if number_of(value) is not None:
            return value
        if isinstance(value, Real | Decimal) and not isinstance(value, bool):
            value = json_value(column, value, None)
            if value is None:
                raise MoEngageRecordInvalid("event_time", f"{column!r} is a number, but not a time")
            return value
        moment = CONVERTERS["datetime"](column, value, self._columns.zone)
        if moment is None:
            raise MoEngageRecordInvalid("event_time", f"{column!r} is empty")
        return moment

    def _own(self, row: Mapping[Any, Any], warnings: RowWarnings, left_out: LeftOut | None) -> dict[str, Any]:
        customer_id = self.id_of_row(row, own_id_column(row, self.id_column), warnings, self._own_terms)
        fields = own_fields(
            row,
            EVENT_KEYS,
            self.id_column,
            "the row has {!r} outside 'actions', which MoEngage would drop; put it into the attributes of an action",
        )
        fields["customer_id"] = customer_id
        fields.setdefault("update_existing_only", self.update_existing_only)
        if "device_id" in fields:
            fields["device_id"] = identifier_text("device_id", fields["device_id"], warnings)
        named = fields.get("user_identifiers")
        if isinstance(named, Mapping):
            texts = {name: identifier_text(str(name), value, warnings) for name, value in named.items()}
            fields["user_identifiers"] = {name: text for name, text in texts.items() if text is not None}
        if isinstance(actions := fields.get("actions"), (list, tuple)):
            fields["actions"] = [self._own_action(action, left_out) for action in actions]
        return fields

    def _own_action(self, action: object, left_out: LeftOut | None) -> Any:
        if not isinstance(action, Mapping):
            return action
        action = {name: None if is_absent(value) else value for name, value in action.items()}
        attributes = action.get("attributes")
        if attributes is None:
            attributes = {}
        if isinstance(attributes, Mapping):
            attributes = self._attributes(attributes, (), left_out)
        plain = {
            name: as_documented(action[name], forms)
            for name, forms in (("platform", EVENT_PLATFORMS), ("moe_os_type", TV_SYSTEMS))
            if name in action
        }
        if "current_time" in action:
            plain["current_time"] = json_value("current_time", action["current_time"], self._columns.zone)
        if "user_time" in action:
            local = python_value(action["user_time"])
            # The user's local time, which is not converted to UTC.
            plain["user_time"] = local.isoformat() if isinstance(local, datetime) else local
        return {**action, **plain, "attributes": attributes}


TRACK_EVENTS = Operation(
    "track_events",
    "events",
    Endpoint("Create Event", "/event/{app_id}", "path", max_records=MAX_BODY_BYTES, quotas=(EVENTS,)),
    mapping=EventMapping,
    idempotent=False,
    datasets=("events",),
    bulk=bulk_endpoint(BULK_EVENTS),
    always_sent="two equal events happened twice, and neither may be left out",
)
