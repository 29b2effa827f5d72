"""MoEngage's endpoints as data: where they are and what one call may hold. Source: Data API overview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: Units a minute of every quota that MoEngage publishes; defaults, raised per workspace by MoEngage's
#: support.
QUOTAS: Mapping[str, int] = MappingProxyType(
    {
        "users": 10_000,
        "events": 30_000,
        "devices": 10_000,
        "bulk_users": 10_000,
        "bulk_events": 30_000,
        "bulk_devices": 10_000,
        "get_users": 1_000,
        "merge_users": 1_000,
        "delete_users": 5_000,
        "opt_out_devices": 1_000,
    }
)
#: Seconds of one rate window.
WINDOW_SECONDS = 60.0
#: "The payload can not exceed 128KB."
MAX_BODY_BYTES = 128 * 1024
#: The largest answer that is read. MoEngage's have some hundred bytes, a gateway's page of an error some thousand; a
#: hostile one of this size becomes seven megabytes of Python objects.
MAX_ANSWER_BYTES = 256 * 1024
#: The same of Get User: 200 KB for each of 20 users, whose attributes may be 256 of 512 characters. A
#: hostile one becomes 110 megabytes.
MAX_USERS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    """
    One operation.

    :param name: MoEngage's name of it.
    :param path: below ``/v1``; ``{app_id}`` stands where the workspace goes into the path.
    :param app_id_in: where the Workspace ID goes beside the ``MOE-APPKEY`` header.
    :param max_records: the most one call may hold; where no number is documented, the bytes are what limits it.
    :param max_bytes: the largest body of one call.
    :param max_answer_bytes: the largest body of an answer that is read, in bytes.
    :param reads: the answer holds what was asked for, so that fewer records make a smaller one.
    :param success: what the body of an answer says where the call was accepted, by the names of its fields; anything
        else is no success, whatever the status.
    :param quotas: what its calls may draw from, by the keys of :data:`QUOTAS`.
    """

    name: str
    path: str
    app_id_in: Literal["path", "query", "body"]
    max_records: int = 1
    max_bytes: int = MAX_BODY_BYTES
    max_answer_bytes: int = MAX_ANSWER_BYTES
    reads: bool = False
    success: tuple[tuple[str, str], ...] = (("status", "success"),)
    quotas: tuple[str, ...] = ()


TRACK_USER = Endpoint("Track User", "/customer/{app_id}", "path", quotas=("users",))
GET_USERS = Endpoint(
    "Get User",
    "/customers/export",
    "query",
    max_records=20,
    max_answer_bytes=MAX_USERS_BYTES,
    reads=True,
    quotas=("get_users",),
)
MERGE_USERS = Endpoint(
    "Merge Users",
    "/customer/merge",
    "query",
    max_records=50,
    success=(("status", "success"), ("operation", "created")),
    quotas=("merge_users",),
)
DELETE_USER = Endpoint("Delete User", "/customer/delete", "query", quotas=("delete_users",))
CREATE_EVENT = Endpoint(
    "Create Event", "/event/{app_id}", "path", max_records=MAX_BODY_BYTES, quotas=("events",)
)
TRACK_DEVICE = Endpoint("Track Device", "/device/{app_id}", "path", quotas=("devices",))
OPT_OUT_DEVICES = Endpoint("Device opt-out", "/devices/manage", "query", quotas=("opt_out_devices",))
#: "100 KB a request" says the OpenAPI document, 128 KB the general text; no number of elements is documented.
BULK_IMPORT = Endpoint(
    "Bulk Import",
    "/transition/{app_id}",
    "path",
    max_records=MAX_BODY_BYTES,
    max_bytes=99_999,
    quotas=("bulk_users", "bulk_events", "bulk_devices"),
)
TEST_CONNECTION = Endpoint("Test Connection", "/integrations/authentication", "body")
