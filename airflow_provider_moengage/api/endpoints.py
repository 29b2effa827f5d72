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


@dataclass(frozen=True)
class Endpoint:
    """
    One operation.

    :param name: MoEngage's name of it.
    :param path: below ``/v1``; ``{app_id}`` stands where the workspace goes into the path.
    :param app_id_in: where the Workspace ID goes beside the ``MOE-APPKEY`` header.
    :param max_records: the most one call may hold.
    :param max_bytes: the largest body of one call.
    """

    name: str
    path: str
    app_id_in: Literal["path", "query", "body"]
    max_records: int = 1
    max_bytes: int = MAX_BODY_BYTES


TRACK_USER = Endpoint("Track User", "/customer/{app_id}", "path")
TEST_CONNECTION = Endpoint("Test Connection", "/integrations/authentication", "body")
