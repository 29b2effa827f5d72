"""Ids of a run: each is asked for once."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.get_users import IdentifierMapping


def test_an_id_that_was_refused_was_not_asked_for():
    mapping = IdentifierMapping()
    for _ in range(2):
        with pytest.raises(MoEngageRecordInvalid):
            mapping.item("half \ud83d", RowWarnings())


def test_one_id_under_two_kinds_is_two_identifiers():
    mapping = IdentifierMapping(identifier_type_column="kind")
    rows = [{"customer_id": "nobody", "kind": kind} for kind in ("customer_id", "id", "moengage_id", "id")]
    items = [mapping.item(row, RowWarnings()) for row in rows]
    assert [bool(content) for content, _, _ in items] == [True, True, True, False]
    first, second, third, again = (user for _, user, _ in items)
    assert len({first, second, third}) == 3
    # A row that repeats another is settled by what it was asked for as.
    assert again == second
