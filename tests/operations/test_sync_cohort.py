"""Rows of a cohort: members that share the description of their cohort."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.send.packer import Packer
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.sync_cohort import COHORT_SYNCS, SYNC_COHORT, MemberMapping


def mapping(**changed: Any) -> MemberMapping:
    return MemberMapping(**{"cohort_id": "c1", "cohort_name": "At risk", "partner": "airflow", **changed})


def batches(members: MemberMapping, rows: list[Any]) -> list[Batch]:
    packer = Packer(SYNC_COHORT.endpoint)
    ready: list[Batch] = []
    for position, row in enumerate(rows):
        ready += packer.add(members.item(row, RowWarnings()), position, row)
    return [*ready, *packer.rest()]


@pytest.mark.parametrize("row", ["a1", {"customer_id": "a1"}, {"customer_id": " a1 ", "risk": 0.9}])
def test_a_row_is_a_bare_id_or_has_it_in_its_column(row: Any):
    content, user, envelope = mapping().item(row, RowWarnings())
    assert (content, user) == (b'{"uid":"a1"}', "a1")
    assert envelope.opening == (
        b'{"action":"add_members","partner":"airflow","parameters":'
        b'{"cohort_name":"At risk","cohort_id":"c1","members":['
    )
    assert envelope.closing == b"]}}"


@pytest.mark.parametrize("row", [12345, {"customer_id": 12345}, {"customer_id": 12345.0}])
def test_a_number_is_an_id(row: Any):
    assert mapping().item(row, RowWarnings())[:2] == (b'{"uid":"12345"}', "12345")


def test_the_id_is_in_another_column():
    members = mapping(id_column="account")
    assert members.item({"account": "a1"}, RowWarnings())[1] == "a1"
    with pytest.raises(MoEngageRecordInvalid, match="customer_id, in column 'account', is missing"):
        members.item({"account": None}, RowWarnings())
    with pytest.raises(MoEngageParameterError, match="no column 'account'; set id_column="):
        members.check_columns(["customer_id", "risk"])
    members.check_columns(["risk", "account"])


def test_members_are_packed_into_one_request_that_costs_one_unit():
    (batch,) = batches(mapping(action="remove_members"), [f"user-{n}" for n in range(100)])
    assert batch.units == {COHORT_SYNCS: 1}
    body = json.loads(batch.body)
    assert body["action"] == "remove_members"
    assert body["parameters"]["members"] == [{"uid": f"user-{n}"} for n in range(100)]


def test_a_request_is_filled_up_to_its_bytes():
    rows = [f"user-{n:06}" for n in range(20_000)]
    packed = batches(mapping(cohort_description="x" * 1_000), rows)
    element = len(b'{"uid":"user-000000"},')
    limit = 128 * 1024
    assert [len(batch.body) <= limit < len(batch.body) + element for batch in packed[:-1]] == [True] * 3
    assert [row for batch in packed for row in batch.rows] == rows


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"action": "replace_members"}, "action is 'replace_members'; use 'add_members' or 'remove_members'"),
        ({"id_column": ""}, "id_column is ''; use the name of a column"),
        ({"cohort_name": "a|b"}, "cohort_name has one of"),
        ({"cohort_name": ".a"}, "cohort_name begins with a dot"),
        ({"cohort_name": " "}, "cohort_name is empty"),
        ({"cohort_id": None}, "cohort_id is NULL"),
        ({"cohort_id": 7}, "cohort_id is of type int; it must be a string"),
        ({"partner": ""}, "partner is empty"),
        ({"partner": "half \ud83d"}, "half of a surrogate pair"),
        ({"cohort_description": ["x"]}, "cohort_description is of type list; it must be a string"),
    ],
)
def test_a_wrong_parameter_is_named(changed: dict[str, Any], text: str):
    with pytest.raises(MoEngageParameterError) as caught:
        mapping(**changed)
    assert text in str(caught.value)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda members: pickle.loads(pickle.dumps(members))])
def test_a_mapping_is_copied_by_its_parameters(duplicate: Any):
    members = mapping(cohort_description="churn above 0.8")
    again = duplicate(members)
    assert again == members
    assert again.item("a1", RowWarnings())[2].opening == members.item("a1", RowWarnings())[2].opening
