"""What MoEngage says of credentials stands in the task's error, and nothing else that an answer may say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.end_to_end.tracker import Tracker

ROW = {"customer_id": "user-1", "city": "Zażółć Gęślą", "score": 4711}


@pytest.fixture
def connect(track: Tracker, monkeypatch: pytest.MonkeyPatch):
    def use(**fields: Any) -> None:
        connection = {**track.sandbox.connection, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))

    return use


@pytest.mark.parametrize(
    ("login", "password", "words"),
    [
        (None, "ANOTHERKEY", "APP_KEY and APP_SECRET do not match"),
        ("ANOTHER", None, "APP_ID is invalid"),
        ("swapped", "swapped", "APP_ID is invalid"),
    ],
)
def test_the_task_and_the_test_tell_a_wrong_key_from_swapped_fields(
    track: Tracker, connect, login: str | None, password: str | None, words: str
):
    key, workspace = track.sandbox.api_key, track.sandbox.workspace_id
    fields = {"login": login or workspace, "password": password or key}
    if login == password:
        fields = {"login": key, "password": workspace}
    connect(**fields)
    said = str(track.fails(MoEngageTaskFailed, users=[ROW]))
    assert said.startswith(
        f'MoEngage answered 401 Authentication required ("{words}"): check the connection, where login is the Workspace ID'
    )
    assert track.requests == 1
    works, tested = MoEngageHook().test_connection()
    assert not works
    assert said.startswith(tested)


@pytest.mark.parametrize("status", [401, 403, 409])
@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("The workspace is on hold", True),
        ("user-1 may not write", False),
        ("GĘŚLĄ is unknown", False),
        ("a score of 4711 is too much", False),
        ("x" * 190 + " is the reason" * 5, True),
    ],
)
def test_an_answer_that_repeats_a_word_of_a_row_is_not_shown(
    track: Tracker, status: int, message: str, shown: bool
):
    track.sandbox.fault(kind="status", status=status, message=message)
    said = str(track.fails(MoEngageTaskFailed, users=[ROW]))
    assert (f'"{message[:200]}"' in said) is shown
    assert message[:210] not in said or len(message) <= 200
    assert ('"' in said) is shown


def test_the_type_of_an_answer_that_repeats_a_word_of_a_row_is_not_shown(track: Tracker):
    track.sandbox.fault(kind="status", status=403, type="user-1", message="no")
    said = str(track.fails(MoEngageTaskFailed, users=[ROW]))
    assert said.startswith('MoEngage answered 403 ("no"): the account is suspended')


@pytest.mark.parametrize("before", [0, 195, 496])
def test_a_key_that_an_answer_repeats_is_masked_before_the_answer_is_cut(track: Tracker, before: int):
    key = track.sandbox.api_key
    header = base64.b64encode(f"{track.sandbox.workspace_id}:{key}".encode()).decode()
    for secret in (key, header):
        track.sandbox.clear_faults()
        track.sandbox.fault(kind="status", status=401, message="x" * before + secret + "!")
        error = track.fails(MoEngageTaskFailed, users=[ROW])
        held = f"{error} {vars(error.__cause__)}"
        assert "***" in held or before == 496
        assert all(secret[:length] not in held for length in range(4, len(secret)))
        works, said = MoEngageHook().test_connection()
        assert not works
        assert secret[:4] not in said


def test_a_page_of_a_proxy_is_not_taken_for_words_of_moengage(track: Tracker):
    track.sandbox.fault(kind="status", status=403, body="html")
    said = str(track.fails(MoEngageTaskFailed, users=[ROW]))
    assert said.startswith("MoEngage answered 403: the account is suspended")
