"""Members of a cohort go out packed by bytes, and the cohort is as the rows say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageWindowSpent
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations import SYNC_COHORT
from airflow_provider_moengage.operations.sync_cohort import MemberMapping
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import outcome, refused

MAX_BYTES = 128 * 1024


class Cohort:
    """Delivers members of one cohort to the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def know(self, users: list[str]) -> None:
        """Let the sandbox know users, without a trace of how it came to do so."""
        MoEngageHook().track_users([{"customer_id": user} for user in users], bulk=True)

    def __call__(
        self, rows: object, action: Any = "add_members", max_bytes: int | None = None, **options: Any
    ) -> dict[str, Any]:
        mapping = MemberMapping("c1", "At risk", "airflow", action)
        return dict(
            MoEngageHook().deliver(SYNC_COHORT, rows, mapping=mapping, max_bytes=max_bytes, **options)
        )

    @property
    def members(self) -> list[str]:
        cohorts = self.sandbox.cohorts("c1")
        members: list[str] = cohorts["c1"]["members"] if cohorts else []
        return members

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [call for call in self.sandbox.requests() if call["path"].endswith("/cohortsync")]

    @property
    def window(self) -> dict[str, Any]:
        (window,) = [one for one in self.sandbox.state()["windows"] if one["quota"] == "cohort_syncs"]
        return dict(window)


@pytest.fixture
def cohort(moengage_sandbox_connection: Sandbox, fast_retries: None) -> Cohort:
    moengage_sandbox_connection.settings(bulk_users_per_minute=1_000_000)
    return Cohort(moengage_sandbox_connection)


def compact(body: Any) -> int:
    return len(json.dumps(body, separators=(",", ":")))


def test_ten_thousand_members_are_as_many_requests_as_their_bytes_need(cohort: Cohort):
    users = [f"user-{n:05}" for n in range(10_000)]
    cohort.know(users)
    report = cohort([{"customer_id": user} for user in users])
    assert outcome(report) == (10_000, 0, 0)
    assert sorted(cohort.members) == users
    bodies = [call["body"] for call in cohort.calls]
    without = compact({**bodies[0], "parameters": {**bodies[0]["parameters"], "members": []}})
    element = compact({"uid": users[0]}) + 1
    in_one = (MAX_BYTES - without + 1) // element
    assert report["requests"] == len(bodies) == -(-10_000 // in_one)
    assert max(map(compact, bodies)) <= MAX_BYTES
    assert cohort.window["used_total"] == len(bodies)
    assert cohort.sandbox.bent() == []


def test_members_are_removed_and_the_others_stay(cohort: Cohort):
    users = [f"user-{n}" for n in range(100)]
    cohort.know(users)
    cohort(users)
    assert outcome(cohort(users[:40], "remove_members")) == (40, 0, 0)
    assert cohort.members == users[40:]
    assert [call["body"]["action"] for call in cohort.calls] == ["add_members", "remove_members"]


def test_members_come_from_a_query(cohort: Cohort, sqlite_warehouse: Callable[..., None]):
    cohort.know(["ann", "ben", "carl"])
    sqlite_warehouse("create table scores (customer_id text, risk real);")
    sqlite_warehouse("insert into scores values (?, ?)", [("ann", 0.9), ("ben", 0.1), ("carl", 0.8)])
    at_risk = SqlSource("warehouse", "select customer_id from scores where risk > 0.5")
    assert outcome(cohort(at_risk)) == (2, 0, 0)
    assert cohort.members == ["ann", "carl"]


def test_a_source_without_the_id_column_sends_nothing(cohort: Cohort, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table scores (account text);")
    with pytest.raises(MoEngageTaskFailed, match="no column 'customer_id'; set id_column="):
        cohort(SqlSource("warehouse", "select * from scores"))
    assert cohort.calls == []


def test_a_bad_id_is_rejected_with_its_reason_and_the_others_are_sent(cohort: Cohort, tmp_path: Path):
    cohort.know(["ann", "ben"])
    rows: list[Any] = ["ann", "unknown", None, {"customer_id": 1.5}, {"id": "ben"}, "x", "ben"]
    report = cohort(rows, max_rejected=5, rejected_path=str(tmp_path))
    assert outcome(report) == (2, 5, 0)
    assert {line["position"]: line["code"] for line in refused(tmp_path)} == {
        1: "blocked_customer_id",
        2: "row_type",
        3: "customer_id_type",
        4: "customer_id_missing",
        5: "customer_id_length",
    }
    assert all(line["reason"] for line in refused(tmp_path))
    assert cohort.members == ["ann", "ben"]


def test_one_bad_id_too_many_fails_the_run_after_the_others_are_sent(cohort: Cohort):
    cohort.know(["ann"])
    with pytest.raises(MoEngageTaskFailed):
        cohort(["ann", "unknown"])
    assert cohort.members == ["ann"]


def test_a_name_that_moengage_rejects_is_refused_before_anything_is_sent(cohort: Cohort):
    for name in (".At risk", *(f"At {character} risk" for character in '|*?\\:<>=$"'), "", " "):
        with pytest.raises(MoEngageParameterError, match="cohort_name"):
            MoEngageHook().deliver(SYNC_COHORT, ["ann"], mapping=MemberMapping("c1", name, "airflow"))
    assert cohort.calls == []


@pytest.mark.parametrize("name", ["At.risk", "a/b", "A & B, 50% (new)!", "gefährdet ✓", "it's"])
def test_a_name_that_is_accepted_arrives_as_it_is(cohort: Cohort, name: str):
    cohort.know(["ann"])
    mapping = MemberMapping("c1", name, "airflow", cohort_description='"above" 0.8 \\ ✓')
    assert MoEngageHook().deliver(SYNC_COHORT, ["ann"], mapping=mapping)["accepted"] == 1
    assert cohort.sandbox.cohorts()["c1"] == {
        "cohort_id": "c1",
        "cohort_name": name,
        "cohort_description": '"above" 0.8 \\ ✓',
        "partner": "airflow",
        "members": ["ann"],
    }


def test_a_mapping_is_required(cohort: Cohort):
    with pytest.raises(MoEngageParameterError, match="mapping is missing; sync_cohort has no default"):
        MoEngageHook().deliver(SYNC_COHORT, ["ann"])


@pytest.mark.parametrize("max_bytes", [None, 200])
def test_duplicates_are_harmless(cohort: Cohort, max_bytes: int | None):
    users = [f"user-{n}" for n in range(20)]
    cohort.know(users)
    assert outcome(cohort([*users, *reversed(users), *users], max_bytes=max_bytes)) == (60, 0, 0)
    assert sorted(cohort.members) == sorted(users)
    assert outcome(cohort([*users[:10], *users[:10]], "remove_members", max_bytes)) == (20, 0, 0)
    assert sorted(cohort.members) == sorted(users[10:])


def test_a_user_whom_moengage_does_not_know_is_accepted_and_ignored(cohort: Cohort):
    cohort.know(["ann"])
    assert outcome(cohort(["ann", "nobody"])) == (2, 0, 0)
    assert cohort.members == ["ann"]
    assert [bent["customer_id"] for bent in cohort.sandbox.bent()] == ["nobody"]


def test_the_window_counts_requests_and_is_waited_for(cohort: Cohort):
    cohort.sandbox.settings(cohort_syncs_per_minute=3, window_seconds=1.0)
    users = [f"user-{n:02}" for n in range(80)]
    cohort.know(users)
    opening = len(
        b'{"action":"add_members","partner":"airflow","parameters":'
        b'{"cohort_name":"At risk","cohort_id":"c1","members":['
    )
    # Ten members a request: eight requests, in three windows.
    ten = opening + 10 * len(b'{"uid":"user-00"},') - 1 + len(b"]}}")
    report = cohort(users, max_bytes=ten)
    assert outcome(report) == (80, 0, 0)
    assert sorted(cohort.members) == users
    assert [len(call["body"]["parameters"]["members"]) for call in cohort.calls if call["status"] == 200] == [
        10
    ] * 8
    assert report["throttled_seconds"] > 0
    assert cohort.window["used_total"] == 8
    # One a window at most, if the published reset was rounded.
    assert cohort.window["rejected_429"] <= 3


def test_the_connections_limit_holds_where_no_header_tells_it(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
):
    users = [f"user-{n:02}" for n in range(40)]
    cohort.know(users)
    cohort.sandbox.settings(limit_style="none")
    connection = {**cohort.sandbox.connection, "extra": {"limits": {"cohort_syncs": 2}}}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    with pytest.raises(MoEngageWindowSpent):
        cohort(users, max_bytes=400, max_wait=0.0)
    assert len(cohort.calls) == cohort.window["used_total"] == 2


def test_errors_of_the_server_cost_no_member(cohort: Cohort):
    users = [f"user-{n}" for n in range(50)]
    cohort.know(users)
    cohort.sandbox.fault(kind="status", status=503, times=2, path="/cohortsync")
    cohort.sandbox.fault(kind="drop_after", times=1, path="/cohortsync")
    report = cohort(users)
    assert (outcome(report), report["retried"], report["unknown"]) == ((50, 0, 0), 3, 50)
    assert cohort.members == users


def test_a_body_that_the_server_finds_too_large_is_split(cohort: Cohort):
    users = [f"user-{n}" for n in range(100)]
    cohort.know(users)
    cohort.sandbox.settings(max_body_bytes=600)
    assert outcome(cohort(users)) == (100, 0, 0)
    assert sorted(cohort.members) == sorted(users)


def test_the_log_names_the_limit_in_requests(cohort: Cohort, caplog: pytest.LogCaptureFixture):
    cohort.know(["ann"])
    with caplog.at_level("INFO"):
        cohort(["ann"])
    assert "rate window: 300 requests a minute (MoEngage's default)" in caplog.text


def test_nothing_is_sent_where_rows_are_only_validated(cohort: Cohort):
    assert cohort(["ann", "ben"], validate_only=True)["valid"] == 2
    assert cohort.sandbox.requests() == []
