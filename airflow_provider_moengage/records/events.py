"""
Models of events, with the documented rules. Source: Create Event.

A sent event cannot be changed or deleted, so anything that MoEngage would drop or alter is rejected here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.encoding import serialised
from airflow_provider_moengage.records.epoch import is_calendar_number, number_of, whole_seconds
from airflow_provider_moengage.records.names import check_customer_id, event_name_fault, event_name_rule
from airflow_provider_moengage.records.reasons import FieldRule
from airflow_provider_moengage.records.users import Record, identifier_in, terms_of
from airflow_provider_moengage.records.values import check_value

MAX_EVENT_ATTRIBUTES = 100
#: The paths of the name and the time in a flat row, which is a single action.
NAME_OF_A_FLAT_ROW = "actions[0].action"
TIME_OF_A_FLAT_ROW = "actions[0].current_time"
#: The maximum offset from UTC: fifteen hours, in seconds.
MAX_TIMEZONE_OFFSET = 54_000
#: Seconds by which an event may be ahead of this machine's clock; MoEngage does not accept future events.
FUTURE_GRACE = 60

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}:\d{2})(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)


class Action(Record):
    """
    One action of a user.

    :param action: the name of the event.
    :param attributes: JSON values by name, at most 100.
    :param current_time: when it happened, in seconds since the epoch (UTC).
    :param user_time: the same in the user's local time; one of the two, or neither for the time of receipt.
    :param user_timezone_offset: seconds by which the user's local time is ahead of UTC.
    """

    action: str
    attributes: dict[str, Any] = {}
    platform: Literal["ANDROID", "iOS", "web", "TV", "unknown"] | None = None
    moe_os_type: (
        Literal["ROKU", "WebOS", "AndroidTV", "tvOS", "Tizen", "FireOS", "VizioTV", "Xbox"] | None
    ) = None
    app_version: str | None = None
    user_timezone_offset: int | None = None
    user_time: int | None = None
    current_time: int | None = None

    @field_validator("action")
    @classmethod
    def _check_action(cls, action: str) -> str:
        rule = event_name_rule(action)
        if rule is not None:
            raise FieldRule("event_name", rule)
        return action

    @field_validator("attributes")
    @classmethod
    def _check_attributes(cls, attributes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if len(attributes) > MAX_EVENT_ATTRIBUTES:
            raise MoEngageRecordInvalid(
                "event_attributes", f"the event has more than {MAX_EVENT_ATTRIBUTES} attributes"
            )
        terms = terms_of(info)
        for name, value in attributes.items():
            check_event_attribute(name, value, terms.texts)
        return attributes

    @field_validator("user_timezone_offset")
    @classmethod
    def _check_timezone_offset(cls, offset: int | None) -> int | None:
        if offset is not None and abs(offset) > MAX_TIMEZONE_OFFSET:
            raise MoEngageRecordInvalid(
                "timezone_offset",
                f"user_timezone_offset is beyond {MAX_TIMEZONE_OFFSET} seconds from UTC",
            )
        return offset

    @field_validator("user_time", "current_time", mode="before")
    @classmethod
    def _convert_time(cls, value: Any, info: ValidationInfo) -> int | None:
        if value is None:
            return None
        field = str(info.field_name)
        return epoch_seconds(terms_of(info).called(f"actions[0].{field}", field), value)

    @model_validator(mode="after")
    def _check_time_and_platform(self, info: ValidationInfo) -> Self:
        moment = self.current_time
        if moment is None and self.user_time is not None:
            moment = self.user_time - (self.user_timezone_offset or 0)
        if moment is not None and moment > time.time() + FUTURE_GRACE:
            called = terms_of(info).called(TIME_OF_A_FLAT_ROW, "the event")
            raise MoEngageRecordInvalid(
                "future_event", f"{called} lies in the future, which MoEngage does not accept"
            )
        if self.moe_os_type is not None and self.platform != "TV":
            raise MoEngageRecordInvalid("moe_os_type", "moe_os_type goes with the platform TV only")
        return self

    def fields(self) -> dict[str, Any]:
        """Return the fields to send, as MoEngage documents them."""
        return {"action": self.action, "attributes": self.attributes} | {
            name: value
            for name in (
                "platform",
                "moe_os_type",
                "app_version",
                "current_time",
                "user_time",
                "user_timezone_offset",
            )
            if (value := getattr(self, name)) is not None
        }


class Event(Record):
    """
    One customer's actions, in order.

    :param user_identifiers: instead of ``customer_id`` or with it, in Identity Resolution workspaces.
    :param update_existing_only: whether to create no user for an unknown id.
    """

    type: Literal["event"] = "event"
    user_identifiers: dict[str, str] | None = None
    customer_id: str | None = None
    device_id: str | None = None
    update_existing_only: bool = False
    actions: list[Action]

    @model_validator(mode="after")
    def _check_user(self, info: ValidationInfo) -> Self:
        terms = terms_of(info)
        unknown = sorted(set(self.user_identifiers or ()) - terms.identifiers)
        if unknown:
            raise MoEngageRecordInvalid(
                "user_identifiers",
                f"{unknown[0]!r} is not one of the workspace's identifiers given as identifiers=",
            )
        if self.customer_id is not None or not identifier_in(self.user_identifiers or {}, terms.identifiers):
            check_customer_id(self.customer_id, terms.called("customer_id"))
        if not self.actions:
            raise MoEngageRecordInvalid("event_without_action", "the event has no action")
        return self

    @property
    def user(self) -> str:
        """Return what identifies the user, whose rows must keep their order."""
        return self.customer_id or serialised(self.user_identifiers or {}).decode()

    def opening(self) -> bytes:
        """Serialise the event up to its first action."""
        whose: Mapping[str, Any] = {
            name: value
            for name in ("type", "customer_id", "user_identifiers", "device_id")
            if (value := getattr(self, name)) is not None
        }
        if self.update_existing_only:
            whose = {**whose, "update_existing_only": True}
        return serialised(whose)[:-1] + b',"actions":['

    def actions_json(self) -> bytes:
        """Serialise the actions, separated by commas."""
        return b",".join([serialised(action.fields()) for action in self.actions])

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return self.opening() + self.actions_json() + b"]}"


def epoch_seconds(name: str, value: object) -> int:
    """
    Convert a time in any documented form to seconds since the epoch.

    Milli-, micro- and nanoseconds are accepted too, since their magnitudes differ.

    :raises MoEngageRecordInvalid: it is not a time.
    """
    number = number_of(value)
    if number is not None and number >= 0 and not is_calendar_number(number):
        seconds = whole_seconds(number)
        if seconds is not None:
            return seconds
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        day, moment, offset = match.groups()
        if name == "user_time" and offset not in (None, "Z"):
            raise MoEngageRecordInvalid(
                "event_time",
                "user_time is the user's local time and has no offset; use current_time for a time with one",
            )
        zone = "+00:00" if offset in (None, "Z") else f"{offset[:3]}:{offset[-2:]}"
        try:
            parsed = datetime.fromisoformat(f"{day}T{moment or '00:00:00'}{zone}")
            return int(parsed.astimezone(timezone.utc).timestamp())
        except (ValueError, OverflowError):
            pass
    raise MoEngageRecordInvalid(
        "event_time",
        f"{name} has a value of type {type(value).__name__} that is not a time; use seconds since the epoch or "
        "ISO 8601",
    )


def check_event_attribute(name: str, value: object, texts: frozenset[str]) -> None:
    """
    Check one attribute of an event: its name and its value.

    :param texts: names of attributes that are declared as strings, even if they look like dates.
    :raises MoEngageRecordInvalid: the first rule that is broken.
    """
    fault = event_name_fault(name)
    if fault:
        raise MoEngageRecordInvalid(*fault)
    check_value(name, value, as_text=name in texts)
