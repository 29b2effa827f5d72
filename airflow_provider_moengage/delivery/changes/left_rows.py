"""The rows of records that have left the source."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import islice
from threading import Event

from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly, Removal
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.report import RunReport


class LeftRows:
    """
    The records that have left the source, as a source of the rows that remove them.

    :param changes: of a run that has read its source to its end.
    :param removal: makes a row of each.
    """

    def __init__(self, changes: ChangedRows, removal: Removal) -> None:
        self._changes = changes
        self._removal = removal

    def __len__(self) -> int:
        return self._changes.left

    @property
    def description(self) -> str:
        """Return a description of the rows for the log."""
        return f"{counted(self._changes.left, 'record')} that left the source"

    def prepare(self, check_columns: Callable[[Sequence[str]], None], halt: Event) -> str | None:
        """Return None: no later attempt reads them again."""
        return None

    def rows(
        self, check_columns: Callable[[Sequence[str]], None], start: int = 0
    ) -> Generator[object, None, None]:
        """Return the rows."""
        for identity in islice(self._changes.left_ids(), start, None):
            yield self._removal.row(identity)


def obstacle_to_removal(changes: ChangedRows, report: RunReport) -> str | None:
    """Return why nothing is removed after a run, as the end of a sentence; None: what has left the source is."""
    options = changes.options
    if not report.source_exhausted:
        return "the source was not read to its end"
    if not report.read:
        return "the source is empty"
    if report.unsent:
        return "rows were not sent"
    if report.rejected:
        return "rows were rejected, and who they are may not be known"
    if options.full_resync:
        return "full_resync is True"
    if not changes.is_trusted:
        return "the snapshot cannot be relied on"
    if not changes.has_ids:
        return "no earlier run has kept who was there"
    return None


def too_many(options: ChangedOnly, left: int, before: int) -> bool:
    """
    Whether more records have left the source than may be removed.

    :param before: the number of records that earlier runs have sent.
    """
    maximum = options.max_removed
    return left > (maximum * before if isinstance(maximum, float) else maximum)
