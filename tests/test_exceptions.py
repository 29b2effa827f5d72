from __future__ import annotations

import pickle

import pytest

from airflow_provider_moengage._compat import AirflowException, AirflowFailException
from airflow_provider_moengage.api import errors
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed


@pytest.mark.parametrize(
    "error",
    [
        errors.MoEngageRecordInvalid("rule", "why"),
        errors.MoEngageNetworkError("no answer", maybe_processed=True),
        errors.MoEngageRecordRefused(
            "400", status=400, type="T", message="m", request_id="r", retry_after=1.0
        ),
        MoEngageTaskFailed("failed", report={"read": 1}),
        MoEngageIncompleteRun("incomplete", report={"read": 1}),
    ],
)
def test_an_error_crosses_processes_whole(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_airflow_retries_an_incomplete_run_and_not_a_failed_task():
    assert issubclass(MoEngageTaskFailed, AirflowFailException)
    assert issubclass(MoEngageIncompleteRun, AirflowException)
    assert not issubclass(MoEngageIncompleteRun, AirflowFailException)


def test_texts_off_the_wire_are_capped():
    error = errors.MoEngageRecordRefused("400", type="t" * 1000, message="m" * 1000)
    assert (error.type, error.message) == ("t" * 500, "m" * 500)
