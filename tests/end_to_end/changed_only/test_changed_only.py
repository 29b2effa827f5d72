"""Only what has changed since it was last accepted is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.devices import MoEngageTrackDevicesOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def folder(tmp_path: Path) -> dict[str, Any]:
    return {"changed_only": True, "snapshot_path": f"file://{tmp_path}/snapshots"}


def rows(count: int = 20, **more: Any) -> list[dict[str, Any]]:
    return [{**row, **more} for row in users(count)]


@pytest.mark.parametrize("bulk", [False, True])
def test_a_second_run_sends_only_what_has_changed(track: Tracker, folder: dict[str, Any], bulk: bool):
    first = track(users=rows(), bulk=bulk, **folder)
    assert (first["accepted"], first["unchanged"]) == (20, 0)
    before = track.requests
    second = track(users=rows(), bulk=bulk, **folder)
    assert (second["accepted"], second["unchanged"], second["requests"]) == (0, 20, 0)
    assert track.requests == before
    changed = [*rows()[:15], *rows(plan="other")[15:], {"customer_id": "new"}]
    third = track(users=changed, bulk=bulk, **folder)
    assert (third["accepted"], third["unchanged"]) == (6, 15)
    assert track.attributes()["user-17"]["plan"] == "other"


def test_single_requests_and_bulk_share_a_snapshot(track: Tracker, folder: dict[str, Any]):
    track(users=rows(), **folder)
    assert track(users=rows(), bulk=True, **folder)["unchanged"] == 20


def test_another_mapping_sends_everything(track: Tracker, folder: dict[str, Any]):
    track(users=rows(plan=1), **folder)
    assert track(users=rows(plan=1), types={"plan": "string"}, **folder)["accepted"] == 20
    assert track(users=rows(plan=1), types={"plan": "string"}, **folder)["unchanged"] == 20


def test_two_rows_of_a_user_are_sent_in_order_and_the_last_one_counts(track: Tracker, folder: dict[str, Any]):
    def row(plan: str) -> dict[str, Any]:
        return {"customer_id": "ann", "plan": plan}

    track(users=[row("a"), row("b")], **folder)
    assert track(users=[row("b")], **folder)["unchanged"] == 1
    # The first one is not what MoEngage has, so the second one has to follow it.
    assert track(users=[row("a"), row("b")], **folder)["accepted"] == 2
    assert track.attributes()["ann"]["plan"] == "b"
    assert track(users=[row("b"), row("b")], **folder)["unchanged"] == 2
    assert track(users=[row("b"), row("a")], **folder)["accepted"] == 1
    assert track.attributes()["ann"]["plan"] == "a"


def test_rejected_rows_are_tried_again_in_every_run(track: Tracker, folder: dict[str, Any]):
    bad = {"customer_id": "bad", "birthday": "31/12/2025 10:00"}
    for _ in range(2):
        report = track(users=[*rows(), bad], max_rejected=1, **folder)
        assert report["rejected"] == 1
    assert report["unchanged"] == 20


def test_rows_that_moengage_rejects_are_tried_again(track: Tracker, folder: dict[str, Any]):
    track.sandbox.fault(kind="status", status=400, customer_id="user-3")
    assert track(users=rows(), max_rejected=1, **folder)["rejected"] == 1
    track.sandbox.clear_faults()
    report = track(users=rows(), **folder)
    assert (report["accepted"], report["unchanged"]) == (1, 19)


def test_rows_without_a_known_response_are_tried_again(track: Tracker, folder: dict[str, Any]):
    track.sandbox.fault(kind="drop_after", times=1, customer_id="user-3")
    first = track(users=rows(), **folder)
    assert (first["accepted"], first["unknown"]) == (20, 1)
    report = track(users=rows(), **folder)
    assert (report["accepted"], report["unchanged"]) == (1, 19)


def test_a_full_resync_sends_everything(track: Tracker, folder: dict[str, Any]):
    track(users=rows(), **folder)
    report = track(users=rows(), full_resync=True, **folder)
    assert (report["accepted"], report["unchanged"]) == (20, 0)
    assert track(users=rows(), **folder)["unchanged"] == 20


def test_runs_send_everybody_again_within_the_number_asked_for(track: Tracker, folder: dict[str, Any]):
    track(users=rows(), **folder)
    reports = [track(users=rows(), resync_every=4, **folder) for _ in range(4)]
    assert sum(report["accepted"] for report in reports) == 20
    assert all(report["accepted"] < 20 for report in reports)
    assert {len(user["history"]) for user in track.sandbox.users().values()} == {2}


def test_devices_are_told_apart_by_user_and_device(track: Tracker, folder: dict[str, Any]):
    track(users=[{"customer_id": "ann"}])
    devices = [
        {"customer_id": "ann", "device_id": f"d{n}", "platform": "iOS", "push_id": "p"} for n in range(3)
    ]
    track.using(MoEngageTrackDevicesOperator)
    track(devices=devices, **folder)
    devices[1]["push_id"] = "q"
    report = track(devices=devices, **folder)
    assert (report["accepted"], report["unchanged"]) == (1, 2)


def test_attributes_are_unset_once(track: Tracker, folder: dict[str, Any]):
    track(users=rows(plan="gold"))
    track.using(MoEngageUnsetAttributesOperator)
    track(users=rows(), unset=["plan"], **folder)
    assert track(users=rows(), unset=["plan"], **folder)["unchanged"] == 20
    assert track(users=rows(), unset=["plan", "n"], **folder)["accepted"] == 20


def test_a_query_of_values_that_change_by_themselves_is_warned_of(
    track: Tracker, folder: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    track(users=rows(at=1), **folder)
    assert "changes by itself" not in caplog.text
    track(users=rows(at=2), **folder)
    assert "changes by itself" in caplog.text


def test_a_dry_run_tells_new_from_changed_rows(track: Tracker, folder: dict[str, Any]):
    track(users=rows(), **folder)
    before = track.requests
    again = [*rows()[2:10], *rows(plan="other")[10:], {"customer_id": "new"}]
    report = track(users=again, validate_only=True, **folder)
    assert (report["valid"], report["unchanged"], report["added"], report["changed"]) == (11, 8, 1, 10)
    assert track.requests == before
    assert track(users=rows(), **folder)["unchanged"] == 20


class TestRemoved:
    def test_nothing_happens_to_who_left_unless_it_is_asked_for(self, track: Tracker, folder: dict[str, Any]):
        track(users=rows(), **folder)
        assert "removed" not in track(users=rows()[:10], max_rejected=0, **folder)
        assert len(track.attributes()) == 20

    def test_attributes_are_unset(self, track: Tracker, folder: dict[str, Any]):
        more = {"on_removed": "unset", "removed_attributes": ["plan"], **folder}
        track(users=rows(plan="gold"), **more)
        report = track(users=rows(plan="gold")[1:], **more)
        assert (report["unchanged"], report["removed"], report["requests"]) == (19, 1, 1)
        assert "plan" not in track.attributes()["user-0"]
        # It is done once, and undone when the user is back.
        assert track(users=rows(plan="gold")[1:], **more)["removed"] == 0
        assert track(users=rows(plan="gold"), **more)["accepted"] == 1
        assert track.attributes()["user-0"]["plan"] == "gold"

    @pytest.mark.parametrize("bulk", [False, True])
    def test_attributes_are_updated(self, track: Tracker, folder: dict[str, Any], bulk: bool):
        more = {"on_removed": "update", "removed_attributes": {"active": False}, "bulk": bulk, **folder}
        track(users=rows(), **more)
        assert track(users=rows()[2:], **more)["removed"] == 2
        assert [user for user, values in track.attributes().items() if values.get("active") is False] == [
            "user-0",
            "user-1",
        ]

    def test_users_are_deleted(self, track: Tracker, folder: dict[str, Any]):
        more = {"on_removed": "delete", **folder}
        track(users=rows(), **more)
        report = track(users=rows()[1:], **more)
        assert report["removed"] == 1
        (call,) = track.sandbox.requests()[-1:]
        assert call["path"].startswith("/v1/customers/delete") or "delete" in call["path"]

    def test_too_many_fail_the_task_once_all_rows_are_delivered(self, track: Tracker, folder: dict[str, Any]):
        more = {"on_removed": "delete", **folder}
        track(users=rows(), **more)
        error = track.fails(MoEngageTaskFailed, users=rows(plan="x")[3:], **more)
        assert "3 records of 20 left the source, more than max_removed=0.1 allows" in str(error)
        assert track.ti.xcoms["report"]["accepted"] == 17
        assert track.ti.xcoms["report"]["removed"] == 0
        # They are not forgotten.
        assert track(users=rows(plan="x")[3:], max_removed=3, **more)["removed"] == 3

    @pytest.mark.parametrize(
        "again",
        [
            {"users": []},
            {"users": [*rows()[1:], {"customer_id": "x", "at": "31/12/2025 10:00"}], "max_rejected": 1},
            {"users": rows()[1:], "full_resync": True},
        ],
        ids=["empty", "rejected", "full resync"],
    )
    def test_nothing_is_removed_when_it_is_not_certain_who_left(
        self, track: Tracker, folder: dict[str, Any], again: dict[str, Any]
    ):
        more = {"on_removed": "delete", **folder}
        track(users=rows(), **more)
        assert track(**again, **more)["removed"] == 0
        assert track(users=rows()[1:], **more)["removed"] == 1

    def test_ids_are_kept_only_where_they_are_needed(
        self, track: Tracker, folder: dict[str, Any], tmp_path: Path
    ):
        track(users=rows(), **folder)
        found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"user-" not in found
        # The ids of unchanged rows are added without sending them again, and go as soon as nobody asks for them.
        assert track(users=rows(), on_removed="delete", **folder)["unchanged"] == 20
        assert track(users=rows()[1:], on_removed="delete", **folder)["removed"] == 1
        track(users=rows()[1:], **folder)
        found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"user-" not in found

    def test_who_left_before_ids_were_kept_is_said(
        self, track: Tracker, folder: dict[str, Any], caplog: pytest.LogCaptureFixture
    ):
        track(users=rows(), **folder)
        more = {"on_removed": "unset", "removed_attributes": ["plan"], "max_removed": 5, **folder}
        track(users=rows()[1:], **more)
        report = track(users=rows()[2:], **more)
        assert (report["removed"], report["removed_unsent"]) == (1, 1)
        assert "Not removed: 1, because they left before what identifies them was kept" in caplog.text


class TestParameters:
    @pytest.mark.parametrize(
        ("operator", "noun", "why"),
        [
            (MoEngageTrackEventsOperator, "events", "two equal events happened twice"),
            (MoEngageMergeUsersOperator, "pairs", "a merge"),
            (MoEngageDeleteUsersOperator, "users", "a deletion"),
        ],
    )
    def test_what_is_no_state_is_always_sent_and_the_error_says_why(self, operator: Any, noun: str, why: str):
        with pytest.raises(MoEngageParameterError, match=f"changed_only is True, but .*{why}"):
            operator(task_id="push", changed_only=True, **{noun: []})

    @pytest.mark.parametrize(
        ("parameters", "error"),
        [
            ({"changed_only": "yes"}, "changed_only is 'yes'; use True or False"),
            ({"full_resync": True}, "full_resync is given without changed_only=True"),
            ({"resync_every": 7}, "resync_every is given without changed_only=True"),
            ({"changed_only": True, "resync_every": 0}, "resync_every is 0; use a whole number from 1"),
            ({"on_removed": "delete"}, "on_removed is given without changed_only=True"),
            (
                {"changed_only": True, "on_removed": "erase"},
                "on_removed is 'erase'; use one of ignore, unset",
            ),
            ({"changed_only": True, "on_removed": "unset"}, "needs removed_attributes, a list of names"),
            ({"changed_only": True, "removed_attributes": ["a"]}, "it belongs to 'unset' and 'update'"),
            (
                {"changed_only": True, "on_removed": "update", "removed_attributes": ["a"]},
                "use a dict of attribute and value",
            ),
            (
                {
                    "changed_only": True,
                    "on_removed": "update",
                    "removed_attributes": {"at": "31/12/2025 10:00"},
                },
                "removed_attributes: attribute 'at' has a string that looks like a date",
            ),
            ({"changed_only": True, "max_removed": 1.5}, "max_removed is 1.5; use a whole number of users"),
            (
                {"changed_only": True, "on_removed": "delete", "identifiers": ["moe_mobile"]},
                "who has left is known by customer_id alone",
            ),
        ],
    )
    def test_a_wrong_one_is_refused_before_the_task_runs(self, parameters: dict[str, Any], error: str):
        with pytest.raises(MoEngageParameterError, match=re.escape(error)):
            MoEngageTrackUsersOperator(task_id="push", users=[], **parameters)

    def test_a_folder_is_needed(self, track: Tracker):
        error = track.fails(MoEngageTaskFailed, users=rows(), changed_only=True)
        assert "set snapshot_path=, or [moengage] snapshot_path" in str(error)
        assert track.requests == 0

    def test_the_deployment_may_have_a_folder(
        self, track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("AIRFLOW__MOENGAGE__SNAPSHOT_PATH", f"file://{tmp_path}")
        track(users=rows(), changed_only=True)
        assert track(users=rows(), changed_only=True)["unchanged"] == 20

    @pytest.mark.parametrize(("text", "accepted"), [("True", 20), ("false", 0), ("", 0), ("None", 0)])
    def test_full_resync_may_come_from_a_template(
        self, track: Tracker, folder: dict[str, Any], text: str, accepted: int
    ):
        track(users=rows(), **folder)
        assert track(users=rows(), full_resync=text, **folder)["accepted"] == accepted

    def test_another_text_is_no_switch(self, track: Tracker, folder: dict[str, Any]):
        error = track.fails(MoEngageTaskFailed, users=rows(), full_resync="perhaps", **folder)
        assert "full_resync is 'perhaps' at run time; use True or False" in str(error)

    def test_an_unknown_option_of_the_hook_is_refused(self, track: Tracker):
        with pytest.raises(MoEngageParameterError, match="changes is of type str; use a ChangedOnly"):
            MoEngageHook().track_users([], changes="yes")  # type: ignore[arg-type]
        with pytest.raises(MoEngageParameterError, match="changed_only is True, but track_events"):
            MoEngageHook().track_events([], changes=ChangedOnly("file:///nowhere"))
