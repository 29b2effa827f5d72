"""Batches of a test's own rows."""

from __future__ import annotations

from airflow_provider_moengage.delivery.batch import Batch, Envelope


def add_row(batch: Batch, content: bytes, user: str, envelope: Envelope, position: int, row: object) -> None:
    """Add a row to a batch."""
    columns = (batch.contents, batch.users, batch.envelopes, batch.positions, batch.rows)
    for column, value in zip(columns, (content, user, envelope, position, row), strict=True):
        column.append(value)  # type: ignore[attr-defined]
