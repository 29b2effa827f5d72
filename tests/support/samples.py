"""Samples of users that a test has sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.changes.changed_only import SampleRequest
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.track_users import UserMapping
from tests.support.batches import add_row


def batch_of(rows: Sequence[dict[str, Any]], **mapping: Any) -> Batch:
    """Return rows as the operation sends them, in one batch."""
    shape, batch, warnings = UserMapping(**mapping).for_run(), Batch(), RowWarnings()
    for position, row in enumerate(rows):
        add_row(batch, *shape.item(row, warnings), position, row)
    return batch


def send_with_sample(
    rows: Sequence[dict[str, Any]], folder: str, *, size: int = 300, bulk: bool = False, **mapping: Any
) -> str:
    """Send rows, all of which must be accepted, and return the URL of their sample."""
    report = MoEngageHook().track_users(
        rows, mapping=UserMapping(**mapping), bulk=bulk, sample=SampleRequest(folder, size)
    )
    assert report["accepted"] == len(rows)
    return report["sample_path"]
