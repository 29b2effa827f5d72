"""What the hook's methods that deliver rows take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypedDict

from airflow_provider_moengage.api.endpoints import BULK_IMPORT, Endpoint
from airflow_provider_moengage.delivery.checkpoints import Checkpoints
from airflow_provider_moengage.delivery.ending import Ending
from airflow_provider_moengage.delivery.files import FileSource
from airflow_provider_moengage.delivery.sources import Guarded, Rows, Source
from airflow_provider_moengage.delivery.sql import SqlSource
from airflow_provider_moengage.delivery.staging import StagedRows
from airflow_provider_moengage.hooks.outcome import check_max_bytes

DEFAULT_CONCURRENCY = 16


class DeliveryOptions(TypedDict, total=False):
    """
    What every method that delivers rows takes.

    :param concurrency: requests in flight at most; 16.
    :param max_rejected: rows that may be refused: an int is a count, a float below 1 a share of the rows read; 0.
    :param rejected_path: a folder for refused rows, as ``ObjectStoragePath`` takes it.
    :param replace_rejected: remove the parts an earlier try left in that folder.
    :param validate_only: do everything but sending.
    :param on_report: called with the report once the run has ended, however it ended.
    :param checkpoints: where a later try of the same task reads how far this one got; without, it begins anew.
    :param patience: seconds to wait for a rate window at most; a longer wait ends the run with
        :class:`~airflow_provider_moengage.api.errors.MoEngageWindowSpent`, once all is settled.
    :param ending: carries the order to end the run early, from another thread or a signal's handler.
    """

    concurrency: int
    max_rejected: int | float
    rejected_path: str | None
    replace_rejected: bool
    validate_only: bool
    on_report: Callable[[dict[str, Any]], None] | None
    checkpoints: Checkpoints | None
    patience: float | None
    ending: Ending | None


def as_source(parameter: str, rows: object) -> Source:
    """Give a list of rows as a source; a source is one already."""
    return (
        rows
        if isinstance(rows, (Rows, SqlSource, FileSource, StagedRows, Guarded))
        else Rows(rows, parameter)
    )


def single_or_bulk(single: Endpoint, bulk: bool, max_bytes: int) -> Endpoint:
    """
    Give where rows of one kind go.

    :raises MoEngageParameterError: ``max_bytes`` is more than a call may have.
    """
    check_max_bytes(max_bytes)
    return replace(BULK_IMPORT, max_bytes=max_bytes) if bulk else single
