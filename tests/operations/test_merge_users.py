"""Pairs of a run: each is merged once."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.merge_users import PairMapping


def test_a_pair_that_was_refused_merges_nothing():
    mapping = PairMapping()
    with pytest.raises(MoEngageRecordInvalid, match="UTF-8"):
        mapping.item({"merged_user": "user-1", "retained_user": "half \ud83d"}, RowWarnings())
    assert mapping.item({"merged_user": "user-1", "retained_user": "user-2"}, RowWarnings())
