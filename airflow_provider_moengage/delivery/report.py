"""The report: the counts of a run, however it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict, cast

from typing_extensions import NotRequired

#: An attribute that a row is sent without, and the reason.
Dropped = tuple[str, str]


class Report(TypedDict):
    """
    The counts of a run, as JSON: read = accepted + rejected + unsent (+ valid, with ``validate_only``, + unchanged, with
    ``changed_only``).

    Rows are counted over all attempts of a task; ``requests``, ``retried``, ``deferrals`` and times are those of the last attempt.

    :param read: rows taken from the source; for a list, all of them.
    :param accepted: rows that MoEngage accepted.
    :param rejected: rows that MoEngage or a check before it rejected.
    :param unsent: rows that were not sent.
    :param unknown: rows in at least one request that got no response; for events, the events in them. They are also
        counted as accepted, rejected or unsent.
    :param valid: rows that passed every check, with ``validate_only=True``.
    :param unchanged: rows not sent, with ``changed_only=True``, because MoEngage accepted the same record before.
    :param added: of the valid rows, those that are new to the snapshot, with ``validate_only`` and ``changed_only``.
    :param changed: of the valid rows, those of which the snapshot has another record.
    :param removed: records that have left the source and were removed; with ``validate_only``, that would be.
    :param removed_rejected: records that have left the source and whose removal MoEngage rejected.
    :param removed_unsent: records that have left the source and whose removal was not sent.
    :param missing: users to delete that MoEngage does not know.
    :param found: users that were read back.
    :param not_found: users to read back that MoEngage does not know.
    :param requests: requests sent, retries included.
    :param retried: retries among them.
    :param deferrals: how often the task was deferred until a rate window reset.
    :param throttled_seconds: seconds spent waiting for rate windows.
    :param duration_seconds: total seconds, deferrals included.
    :param source_exhausted: whether the source was read to its end.
    :param rejected_path: the folder with the rejected rows, if there are any.
    :param reasons: reason → rejected rows, the most common first, at most 20.
    :param dropped: attribute → reason → rows sent without it, with ``on_bad_attribute="drop"``.
    :param sample_path: the file with a sample of the users that were sent, with ``sample``.
    :param users: the attributes of the users read back, if they go into XCom.
    :param users_not_found: the ids of users that MoEngage does not know, if they go into XCom.
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
    unchanged: NotRequired[int]
    added: NotRequired[int]
    changed: NotRequired[int]
    removed: NotRequired[int]
    removed_rejected: NotRequired[int]
    removed_unsent: NotRequired[int]
    missing: NotRequired[int]
    found: NotRequired[int]
    not_found: NotRequired[int]
    sample_path: NotRequired[str]
    users: NotRequired[list[dict[str, Any]]]
    users_not_found: NotRequired[list[Any]]


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The report of one run, with the fields of :class:`Report`; counts that are None are left out of the JSON."""

    read: int
    accepted: int
    rejected: int
    unsent: int
    unknown: int
    valid: int | None = None
    unchanged: int | None = None
    added: int | None = None
    changed: int | None = None
    removed: int | None = None
    removed_rejected: int | None = None
    removed_unsent: int | None = None
    missing: int | None = None
    found: int | None = None
    not_found: int | None = None
    requests: int
    retried: int
    deferrals: int
    throttled_seconds: float
    duration_seconds: float
    source_exhausted: bool
    rejected_path: str | None = None
    sample_path: str | None = None
    reasons: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]

    def to_json(self) -> Report:
        """Return it as JSON."""
        counts = {one.name: getattr(self, one.name) for one in fields(self)}
        return cast(
            Report,
            {name: value for name, value in counts.items() if value is not None or name == "rejected_path"},
        )
