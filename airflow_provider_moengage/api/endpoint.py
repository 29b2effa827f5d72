"""What defines an endpoint of the Data API: its path, its limits and the quotas that its requests use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: Length of a rate window, in seconds.
WINDOW_SECONDS = 60.0
#: "The payload can not exceed 128KB."
MAX_BODY_BYTES = 128 * 1024
#: The largest response body that is read. MoEngage's have some hundred bytes, a gateway's error page some thousand; a
#: hostile one of this size becomes seven megabytes of Python objects.
MAX_RESPONSE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Quota:
    """
    A rate window that MoEngage publishes.

    :param name: its key in the connection's extra ``limits``.
    :param per_minute: units per minute by default; MoEngage's support raises them per workspace.
    :param counts: what costs a unit: each record, or each request, however many records it holds.
    """

    name: str
    per_minute: int
    counts: Literal["records", "requests"] = "records"

    def __hash__(self) -> int:
        # Much faster than a hash of every field, and looked up several times for each request.
        return hash(self.name)


#: Units by quota.
Units = Mapping[Quota, int]


@dataclass(frozen=True)
class Endpoint:
    """
    One endpoint of the Data API.

    :param name: MoEngage's name for it.
    :param path: the path below ``/v1``, with ``{app_id}`` in place of the Workspace ID.
    :param app_id_in: where the Workspace ID is sent, in addition to the ``MOE-APPKEY`` header; None: nowhere else.
    :param max_records: the maximum number of records in a request; if none is documented, the bytes are the limit.
    :param max_bytes: the maximum size of a request body.
    :param max_response_bytes: the maximum size of a response body, in bytes.
    :param reads: whether the response holds the requested records, so that fewer records make it smaller.
    :param success: the fields and values of the response body that mean success; anything else is an error, whatever
        the status.
    :param quotas: the quotas that its requests use.
    """

    name: str
    path: str
    app_id_in: Literal["path", "query"] | None
    max_records: int = 1
    max_bytes: int = MAX_BODY_BYTES
    max_response_bytes: int = MAX_RESPONSE_BYTES
    reads: bool = False
    success: tuple[tuple[str, str], ...] = (("status", "success"),)
    quotas: tuple[Quota, ...] = ()


#: The one endpoint that no operation uses.
TEST_CONNECTION = Endpoint("Test Connection", "/integrations/authentication", None)
