"""The options of the hook's methods that deliver rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, TypedDict

from typing_extensions import Self

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.account.live_progress import LiveProgress
from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly, SampleRequest
from airflow_provider_moengage.delivery.read.files import FileSource
from airflow_provider_moengage.delivery.read.function_rows import FunctionRows
from airflow_provider_moengage.delivery.read.sources import Guarded, Named, Rows, Source, is_source
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.resume.checkpoint_store import CheckpointStore
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.parameters import (
    MAX_CONCURRENCY,
    check_count_or_share,
    check_seconds,
    check_switch,
    check_whole_number,
)


class DeliveryArguments(TypedDict, total=False):
    """
    The options of every method that delivers rows, as keyword arguments.

    :param concurrency: the maximum number of requests in flight; None: as many as it takes to use the rate window at the
        latency met, up to 256.
    :param max_rejected: rows that may be rejected: an int is a count, a float below 1 a share of the rows read; 0.
    :param rejected_path: a folder for rejected rows, as an ``ObjectStoragePath`` URL.
    :param replace_rejected: remove the files that an earlier attempt left in that folder.
    :param validate_only: do everything except sending.
    :param on_report: called with the report once the run has ended, however it ended.
    :param checkpoints: where a later attempt of the same task finds the progress of this one; None: it starts over.
    :param max_wait: the longest wait for a rate window, in seconds; a longer wait ends the run with
        :class:`~airflow_provider_moengage.api.errors.MoEngageWindowSpent`, once all requests are settled.
    :param cancellation: cancels the run, from another thread or a signal handler.
    :param changes: send only rows that differ from what was accepted before; None: send all of them.
    :param sample: keep a sample of the users that are sent; None: keep none.
    :param live_progress: writes the progress while the run lasts; None: nothing does. The caller ends it.
    """

    concurrency: int | None
    max_rejected: int | float
    rejected_path: str | None
    replace_rejected: bool
    validate_only: bool
    on_report: Callable[[Report], None] | None
    checkpoints: CheckpointStore | None
    max_wait: float | None
    cancellation: Cancellation | None
    changes: ChangedOnly | None
    sample: SampleRequest | None
    live_progress: LiveProgress | None


@dataclass(frozen=True)
class DeliveryOptions:
    """
    The checked options; those not given have their defaults.

    :raises MoEngageParameterError: an option is not allowed; the text names it and what is allowed.
    """

    concurrency: int | None = None
    max_rejected: int | float = 0
    rejected_path: str | None = None
    replace_rejected: bool = False
    validate_only: bool = False
    on_report: Callable[[Report], None] | None = None
    checkpoints: CheckpointStore | None = None
    max_wait: float | None = None
    cancellation: Cancellation | None = None
    changes: ChangedOnly | None = None
    sample: SampleRequest | None = None
    live_progress: LiveProgress | None = None

    def __post_init__(self) -> None:
        check_whole_number("concurrency", self.concurrency, 1, MAX_CONCURRENCY, optional=True)
        check_count_or_share("max_rejected", self.max_rejected)
        check_switch("replace_rejected", self.replace_rejected)
        check_switch("validate_only", self.validate_only)
        if self.on_report is not None and not callable(self.on_report):
            raise MoEngageParameterError(
                f"on_report is of type {type(self.on_report).__name__}; use a function that takes the report"
            )
        check_seconds("max_wait", self.max_wait, optional=True)
        for name, kind in (
            ("checkpoints", CheckpointStore),
            ("cancellation", Cancellation),
            ("changes", ChangedOnly),
            ("sample", SampleRequest),
            ("live_progress", LiveProgress),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise MoEngageParameterError(
                    f"{name} is of type {type(value).__name__}; use a {kind.__name__}, or None"
                )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """
        Check options by their names and values.

        :raises MoEngageParameterError: a name is unknown, or a value is not allowed.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                close = get_close_matches(name, known, 1)
                raise MoEngageParameterError(
                    f"the option {name!r} is unknown"
                    + (f"; did you mean {close[0]!r}?" if close else ".")
                    + f" The options are {', '.join(known)}"
                )
        return cls(**options)


def as_source(parameter: str, rows: object) -> Source:
    """Return rows as a source; a user's own source is wrapped so that the rules for column names apply to it."""
    if isinstance(rows, (Rows, SqlSource, FileSource, FunctionRows, StagedRows, Guarded, Named)):
        return rows
    return Named(rows, ColumnNames()) if is_source(rows) else Rows(rows, parameter)
