"""Ids of a run: asked for once, and merged once."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.ids import IdentifierMapping, PairMapping
from airflow_provider_moengage.delivery.watch import Watch


def test_an_id_that_was_refused_was_not_asked_for():
    mapping = IdentifierMapping()
    for _ in range(2):
        with pytest.raises(MoEngageRecordInvalid):
            mapping.item("half \ud83d", Watch())


def test_a_pair_that_was_refused_merges_nothing():
    mapping = PairMapping()
    with pytest.raises(MoEngageRecordInvalid, match="UTF-8"):
        mapping.item({"merged_user": "user-1", "retained_user": "half \ud83d"}, Watch())
    assert mapping.item({"merged_user": "user-1", "retained_user": "user-2"}, Watch())
