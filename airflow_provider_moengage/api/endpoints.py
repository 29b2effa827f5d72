"""MoEngage's endpoints as data: their paths and limits. Source: Data API overview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: Units per minute of every quota that MoEngage publishes; MoEngage's support raises these defaults per workspace.
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
#: Length of a rate window, in seconds.
WINDOW_SECONDS = 60.0
#: "The payload can not exceed 128KB."
MAX_BODY_BYTES = 128 * 1024
#: The largest response body that is read. MoEngage's have some hundred bytes, a gateway's error page some thousand; a
#: hostile one of this size becomes seven megabytes of Python objects.
MAX_ANSWER_BYTES = 256 * 1024
#: The same for Get User: 200 KB for each of 20 users, who may have 256 attributes of 512 characters. A hostile response
#: becomes 110 megabytes of Python objects.
MAX_USERS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    """
    One endpoint of the Data API.

    :param name: MoEngage's name for it.
    :param path: the path below ``/v1``, with ``{app_id}`` in place of the Workspace ID.
    :param app_id_in: where the Workspace ID is sent, in addition to the ``MOE-APPKEY`` header.
    :param max_records: the maximum number of records in a request; if none is documented, the bytes are the limit.
    :param max_bytes: the maximum size of a request body.
    :param max_response_bytes: the maximum size of a response body, in bytes.
    :param reads: whether the response holds the requested records, so that fewer records make it smaller.
    :param success: the fields and values of the response body that mean success; anything else is an error, whatever
        the status.
    :param quotas: the keys of :data:`QUOTAS` that its requests use.
    """

    name: str
    path: str
    app_id_in: Literal["path", "query", "body"]
    max_records: int = 1
    max_bytes: int = MAX_BODY_BYTES
    max_response_bytes: int = MAX_ANSWER_BYTES
    reads: bool = False
    success: tuple[tuple[str, str], ...] = (("status", "success"),)
    quotas: tuple[str, ...] = ()


TRACK_USER = Endpoint("Track User", "/customer/{app_id}", "path", quotas=("users",))
GET_USERS = Endpoint(
    "Get User",
    "/customers/export",
    "query",
    max_records=20,
    max_response_bytes=MAX_USERS_BYTES,
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
#: The OpenAPI document says "100 KB a request", the general text 128 KB; no number of elements is documented.
BULK_IMPORT = Endpoint(
    "Bulk Import",
    "/transition/{app_id}",
    "path",
    max_records=MAX_BODY_BYTES,
    max_bytes=99_999,
    quotas=("bulk_users", "bulk_events", "bulk_devices"),
)
TEST_CONNECTION = Endpoint("Test Connection", "/integrations/authentication", "body")
