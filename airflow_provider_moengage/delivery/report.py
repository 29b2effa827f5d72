"""The counts of a run, as every exit of it reports them."""

from __future__ import annotations

from typing import Any, TypedDict

from typing_extensions import NotRequired

#: An attribute that a row is sent without, and the reason.
Dropped = tuple[str, str]


class Report(TypedDict):
    """
    The counts of a run, as JSON: read = accepted + rejected + unsent (+ valid, with ``validate_only``).

    Rows are counted over all tries of a task; ``requests``, ``retried``, ``deferrals`` and times are those of the last try.

    :param read: rows taken from the source; of a list all of them.
    :param accepted: rows that MoEngage accepted.
    :param rejected: rows that MoEngage or a check before it rejected.
    :param unsent: rows that were not sent.
    :param unknown: rows of which at least one request got no answer; of events, the events in them. They are counted among
        the others too.
    :param requests: requests sent, repetitions included.
    :param retried: repetitions among them.
    :param deferrals: how often the task was deferred until a rate window reset.
    :param throttled_seconds: seconds spent waiting for rate windows.
    :param duration_seconds: seconds in all, deferrals included.
    :param source_exhausted: whether the source was read to its end.
    :param rejected_path: the folder with the rejected rows, where there are any.
    :param reasons: reason → rejected rows, the commonest first, at most 20.
    :param dropped: attribute → reason → rows sent without it, with ``on_bad_attribute="drop"``.
    :param valid: rows that passed every check, with ``validate_only=True``.
    :param missing: users to delete that MoEngage does not know.
    :param found: users that were read back.
    :param not_found: users to read back that MoEngage does not know.
    :param users: the attributes of the users read back, where they go into XCom.
    :param users_not_found: the ids of users that MoEngage does not know, where they go into XCom.
    """

    read: int
    accepted: int
    rejected: int
    unsent: int
    unknown: int
    requests: int
    retried: int
    deferrals: int
    throttled_seconds: float
    duration_seconds: float
    source_exhausted: bool
    rejected_path: str | None
    reasons: dict[str, int]
    dropped: dict[str, dict[str, int]]
    valid: NotRequired[int]
    missing: NotRequired[int]
    found: NotRequired[int]
    not_found: NotRequired[int]
    users: NotRequired[list[dict[str, Any]]]
    users_not_found: NotRequired[list[Any]]
