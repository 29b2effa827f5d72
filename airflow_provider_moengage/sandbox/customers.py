"""The customer that an object identifies: by customer id, or by the identifiers of Identity Resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.sandbox import names
from airflow_provider_moengage.sandbox.response import empty, expected, missing
from airflow_provider_moengage.sandbox.settings import Settings


@dataclass(frozen=True)
class Customer:
    """The customer that an object identifies; at least one of the two fields is set."""

    customer_id: str | None
    #: The identifiers that are active in the workspace, in the order of its settings.
    identifiers: dict[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """Whether MoEngage ignores objects for this customer."""
        return self.customer_id is not None and (
            len(self.customer_id) < 2 or self.customer_id.strip().lower() in names.BLOCKED_CUSTOMER_IDS
        )


def customer_of(document: dict[str, Any], identifying: Any, settings: Settings) -> Customer:
    """
    Return the customer that an object identifies; raise the documented errors.

    :param document: a customer, event or device object.
    :param identifying: the part of the object that holds its identifiers; may be of any type.
    """
    identifiers: dict[str, str] = {}
    if settings.identifiers and isinstance(identifying, dict):
        identifiers = {
            name: identifying[name]
            for name in settings.identifiers
            if isinstance(identifying.get(name), str) and identifying[name]
        }
    if "customer_id" not in document:
        if identifiers:
            return Customer(None, identifiers)
        raise missing("customer_id")
    customer_id = document["customer_id"]
    if not isinstance(customer_id, str):
        raise expected("customer_id", "string")
    if not customer_id:
        raise empty("customer_id")
    return Customer(customer_id, identifiers)
