"""Models of devices and device opt-outs, with the documented rules. Sources: Track Device, Device opt-out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.encoding import serialised
from airflow_provider_moengage.records.names import MAX_VALUE_LENGTH, check_customer_id
from airflow_provider_moengage.records.reasons import FieldRule
from airflow_provider_moengage.records.users import Record, terms_of


class DeviceAttributes(Record):
    """The attributes of a device; MoEngage drops any others."""

    platform: Literal["ANDROID", "iOS", "web", "TV"]
    push_id: str
    model: str | None = None
    moe_push_opted: Literal["True", "False"] | None = None
    moe_push_provisional_opted: str | None = None
    app_version: str | None = None
    os_version: str | None = None
    moe_gaid: str | None = None
    idfv: str | None = None

    @field_validator("push_id")
    @classmethod
    def _check_push_id(cls, push_id: str) -> str:
        return _check_present(push_id)


class Device(Record):
    """A device of an existing customer; MoEngage drops devices of unknown customers."""

    type: Literal["device"] = "device"
    customer_id: str
    device_id: str
    attributes: DeviceAttributes

    @field_validator("customer_id", mode="plain")
    @classmethod
    def _check_customer_id(cls, customer_id: Any, info: ValidationInfo) -> str:
        return check_customer_id(customer_id, terms_of(info).called("customer_id"))

    @field_validator("device_id")
    @classmethod
    def _check_device_id(cls, device_id: str) -> str:
        return _check_present(device_id)

    @property
    def user(self) -> str:
        """Return what identifies the user, whose rows must keep their order."""
        return self.customer_id

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised(self.model_dump(exclude_none=True))


class OptOut(Record):
    """
    Blocks or unblocks push messages to a user's devices.

    :param user_identifier_type: ``customer_id`` or another identifier of the user.
    :param device_identifiers: the devices, each as an object with any of ``unique_id``, ``device_unique_id``, ``push_id``
        and ``moe_gaid``; None: all of the user's devices.
    """

    user_identifier_type: str
    user_identifier_value: str
    action_type: Literal["block", "unblock"]
    reason: str | None = None
    client_reference_id: str | None = None
    device_identifiers: list[dict[str, str]] | None = None

    @field_validator("user_identifier_type")
    @classmethod
    def _check_type(cls, kind: str) -> str:
        return _check_present(kind)

    @field_validator("user_identifier_value", mode="plain")
    @classmethod
    def _check_identifier(cls, identifier: Any, info: ValidationInfo) -> str:
        return check_customer_id(identifier, terms_of(info).called("user_identifier_value"))

    @field_validator("device_identifiers")
    @classmethod
    def _check_device_identifiers(cls, named: list[dict[str, str]] | None) -> list[dict[str, str]] | None:
        for one in [{}] if named == [] else named or []:
            if not one or not DEVICE_IDENTIFIERS.issuperset(one) or not all(one.values()):
                raise MoEngageRecordInvalid(
                    "device_identifiers",
                    f"device_identifiers must hold objects of strings under any of {', '.join(sorted(DEVICE_IDENTIFIERS))}",
                )
        return named

    @property
    def user(self) -> str:
        """Return what identifies the user, whose rows must keep their order."""
        return self.user_identifier_value

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised(self.model_dump(exclude_none=True))


DEVICE_IDENTIFIERS = frozenset({"unique_id", "device_unique_id", "push_id", "moe_gaid"})


def _check_present(value: str) -> str:
    if not value.strip():
        raise FieldRule("device_field", "is missing")
    if len(value) > MAX_VALUE_LENGTH:
        raise FieldRule("device_field", f"has over {MAX_VALUE_LENGTH} characters")
    return value
