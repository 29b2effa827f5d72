"""The endpoint of Bulk Import, through which users, events and devices can be sent."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_moengage.api.endpoint import MAX_BODY_BYTES, Endpoint, Quota
from airflow_provider_moengage.delivery.batch import Envelope

BULK_USERS = Quota("bulk_users", 10_000)
BULK_EVENTS = Quota("bulk_events", 30_000)
BULK_DEVICES = Quota("bulk_devices", 10_000)
#: The OpenAPI document says "100 KB a request", the general text 128 KB.
DEFAULT_MAX_BYTES = 99_999
# No number of elements is documented.
BULK_IMPORT_ENDPOINT = Endpoint(
    "Bulk Import",
    "/transition/{app_id}",
    "path",
    max_records=MAX_BODY_BYTES,
    max_bytes=DEFAULT_MAX_BYTES,
    quotas=(BULK_USERS, BULK_EVENTS, BULK_DEVICES),
)


def bulk_endpoint(quota: Quota) -> Endpoint:
    """Return the endpoint for elements of one kind, which use one of the quotas."""
    return replace(BULK_IMPORT_ENDPOINT, quotas=(quota,))


def bulk_envelope(quota: Quota, records: int = 1, *, idempotent: bool = True) -> Envelope:
    """Return the envelope of an element that holds so many records."""
    return Envelope({quota: records}, b'{"type":"transition","elements":[', b"]}", idempotent)
