"""Devices, as models that hold the documented rules. Sources: Track Device, Device opt-out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.names import MAX_VALUE_LENGTH, check_customer_id
from airflow_provider_moengage.records.reasons import FieldRule
from airflow_provider_moengage.records.users import Record, serialised, terms_of


class DeviceAttributes(Record):
    """What a device may say of itself; MoEngage drops anything else."""

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
    def _push_id_is_one(cls, push_id: str) -> str:
        return _present(push_id)


class Device(Record):
    """A device of a customer who exists; MoEngage drops the device of one who does not."""

    type: Literal["device"] = "device"
    customer_id: str
    device_id: str
    attributes: DeviceAttributes

    @field_validator("customer_id", mode="plain")
    @classmethod
    def _customer_id_is_taken(cls, customer_id: Any, info: ValidationInfo) -> str:
        return check_customer_id(customer_id, terms_of(info).called("customer_id"))

    @field_validator("device_id")
    @classmethod
    def _device_id_is_one(cls, device_id: str) -> str:
        return _present(device_id)

    @property
    def user(self) -> str:
        """What identifies the user: whose rows keep their order."""
        return self.customer_id

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised(self.model_dump(exclude_none=True))


class OptOut(Record):
    """
    Push messages to a user's devices, blocked or unblocked.

    :param user_identifier_type: ``customer_id`` or another name MoEngage knows the user by.
    :param device_identifiers: which of the user's devices, each as an object of any of ``unique_id``, ``device_unique_id``, ``push_id``
        and ``moe_gaid``; None: all of them.
    """

    user_identifier_type: str
    user_identifier_value: str
    action_type: Literal["block", "unblock"]
    reason: str | None = None
    client_reference_id: str | None = None
    device_identifiers: list[dict[str, str]] | None = None

    @field_validator("user_identifier_type")
    @classmethod
    def _type_is_one(cls, kind: str) -> str:
        return _present(kind)

    @field_validator("user_identifier_value", mode="plain")
    @classmethod
    def _identifier_is_taken(cls, identifier: Any, info: ValidationInfo) -> str:
        return check_customer_id(identifier, terms_of(info).called("user_identifier_value"))

    @field_validator("device_identifiers")
    @classmethod
    def _device_is_named(cls, named: list[dict[str, str]] | None) -> list[dict[str, str]] | None:
        for one in [{}] if named == [] else named or []:
            if not one or not DEVICE_IDENTIFIERS.issuperset(one) or not all(one.values()):
                raise MoEngageRecordInvalid(
                    "device_identifiers",
                    f"device_identifiers holds texts under any of {', '.join(sorted(DEVICE_IDENTIFIERS))}",
                )
        return named

    @property
    def user(self) -> str:
        """What identifies the user: whose rows keep their order."""
        return self.user_identifier_value

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised(self.model_dump(exclude_none=True))


DEVICE_IDENTIFIERS = frozenset({"unique_id", "device_unique_id", "push_id", "moe_gaid"})


def _present(value: str) -> str:
    if not value.strip():
        raise FieldRule("device_field", "is missing")
    if len(value) > MAX_VALUE_LENGTH:
        raise FieldRule("device_field", f"has over {MAX_VALUE_LENGTH} characters")
    return value
