"""What a run is told about sending only what has changed, and about proving what it sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_moengage.delivery.operation import Operation, RowMapping


def every_row_is_sent(operation: Operation) -> str:
    """Return why an operation has no form that sends only changed rows."""
    return f"changed_only is True, but {operation.name} has to send every row: {operation.always_sent}; leave it out"


@dataclass(frozen=True)
class Removal:
    """
    What happens to records that have left the source.

    :param operation: where they are sent.
    :param mapping: turns their rows into records.
    :param row: returns the row of one, given what identifies it.
    """

    operation: Operation
    mapping: RowMapping
    row: Callable[[str], object]


@dataclass(frozen=True)
class ChangedOnly:
    """
    Send only rows whose records differ from what was accepted before.

    :param folder: the folder of the snapshot, a URL for ``ObjectStoragePath``; of one task and operation alone.
    :param task: the task instance, without the number of its attempt; empty: it is no task.
    :param target: what of MoEngage the records are sent to, where the operation does not say it, such as a cohort.
    :param full_resync: send every row, and remove nothing.
    :param resync_every: of the rows that have not changed, send the nth part in each run, so that n runs send all of
        them; None: send none of them.
    :param removal: what happens to records that have left the source; None: nothing, and no id is kept.
    :param max_removed: the maximum of them: an int is a count, a float below 1 a share of the snapshot.
    """

    folder: str
    task: str = ""
    target: str = ""
    full_resync: bool = False
    resync_every: int | None = None
    removal: Removal | None = None
    max_removed: int | float = 0.1


@dataclass(frozen=True)
class SampleRequest:
    """
    Keep a sample of the users that are sent.

    :param folder: the task instance's own folder, a URL for ``ObjectStoragePath``.
    :param size: the maximum number of users.
    """

    folder: str
    size: int
