"""A snapshot that cannot be relied on means that every row is sent, or an error before the first; never a row left out."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.changes import snapshot_store
from airflow_provider_moengage.delivery.changes.changed_only import ChangedOnly
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def folder(tmp_path: Path) -> dict[str, Any]:
    return {"changed_only": True, "snapshot_path": f"file://{tmp_path}/snapshots"}


def files(tmp_path: Path, kind: str = "") -> list[Path]:
    found = (path for path in (tmp_path / "snapshots").rglob(f"{kind}*") if path.is_file())
    return sorted(found)


def test_a_generation_is_a_few_files_that_only_its_owner_reads(
    track: Tracker, folder: dict[str, Any], tmp_path: Path
):
    track(users=users(20), **folder)
    entries, manifest = files(tmp_path)
    assert entries.parent == tmp_path / "snapshots" / "dag" / "push"
    assert (entries.name[:19], manifest.name[:20]) == ("entries-0000000001-", "manifest-0000000001-")
    assert entries.stat().st_mode & 0o077 == 0
    fields = json.loads(manifest.read_text())
    assert (fields["rows"], fields["generation"], fields["format"]) == (20, 1, snapshot_store.FORMAT)
    assert track.sandbox.workspace_id not in manifest.read_text()
    track(users=users(21), **folder)
    assert [path.name[:19] for path in files(tmp_path)] == ["entries-0000000002-", "manifest-0000000002"]


@pytest.mark.parametrize("kind", ["manifest", "entries"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "gone"])
def test_damage_sends_everything_with_a_warning(
    track: Tracker,
    folder: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    damage: str,
):
    track(users=users(20), **folder)
    (path,) = files(tmp_path, kind)
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        path.write_bytes({"cut": content[:half], "emptied": b"", "flipped": flipped}[damage])
    report = track(users=users(20), **folder)
    assert (report["accepted"], report["unchanged"]) == (20, 0)
    if (kind, damage) != ("manifest", "gone"):
        assert "Every row is sent, changed or not, because " in caplog.text
    assert track(users=users(20), **folder)["unchanged"] == 20


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("format", 99, "it has format 99, and this package reads 1"),
        ("known_for", "other", "the snapshot is of another workspace or operation"),
        ("rows", 19, "the index does not belong to the entries"),
    ],
)
def test_a_snapshot_of_something_else_sends_everything(
    track: Tracker,
    folder: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    field: str,
    value: Any,
    why: str,
):
    track(users=users(20), **folder)
    (path,) = files(tmp_path, "manifest")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert track(users=users(20), **folder)["accepted"] == 20
    assert why in caplog.text


def test_another_project_of_the_workspace_has_its_own_users(track: Tracker, folder: dict[str, Any]):
    track(users=users(20), **folder)
    track.sandbox.settings(project_code="p1")
    assert track(users=users(20), project_code="p1", **folder)["accepted"] == 20


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_sent(track: Tracker, tmp_path: Path):
    (tmp_path / "file").write_text("")
    more = {"changed_only": True, "snapshot_path": f"file://{tmp_path}/file/snapshots"}
    error = track.fails(MoEngageIncompleteRun, users=users(20), **more)
    assert "snapshot_path" in str(error)
    assert "nothing was sent" in str(error)
    assert track.requests == 0


def test_a_disk_that_is_full_at_the_end_is_a_warning_and_the_next_run_sends_everything(
    track: Tracker, folder: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    track(users=users(20), **folder)

    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(snapshot_store.SnapshotStore, "write", full)
        assert track(users=[{**row, "plan": "x"} for row in users(20)], **folder)["accepted"] == 20
    assert "No space left on device); make room there; the next run sends every row" in caplog.text
    # Without it, the rows of the first run would be taken for unchanged.
    assert track(users=users(20), **folder)["accepted"] == 20
    assert track(users=users(20), **folder)["unchanged"] == 20


def test_files_of_others_in_the_folder_stay(track: Tracker, folder: dict[str, Any], tmp_path: Path):
    own = tmp_path / "snapshots" / "dag" / "push"
    own.mkdir(parents=True)
    for name in ("README.md", "manifest-1.json", "entries.bin"):
        (own / name).write_text("kept")
    for count in (20, 21, 22):
        track(users=users(count), **folder)
    assert [(own / name).read_text() for name in ("README.md", "manifest-1.json", "entries.bin")] == [
        "kept"
    ] * 3


def test_a_run_that_was_killed_is_not_relied_on_until_a_run_has_sent_everything(
    track: Tracker, folder: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    track(users=users(20), **folder)
    own = tmp_path / "snapshots" / "dag" / "push"
    (own / f"attempt-{'0' * 32}.json").write_text(json.dumps({"task": "another", "heard": 0.0}))
    assert track(users=users(20), **folder)["accepted"] == 20
    assert "another run of this task is sending rows, or was killed while it did" in caplog.text
    assert track(users=users(20), **folder)["unchanged"] == 20


def test_a_run_that_is_heard_of_is_not_relied_on_as_long_as_it_is(
    track: Tracker, folder: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    track(users=users(20), **folder)
    own = tmp_path / "snapshots" / "dag" / "push"
    clock = 1_000_000.0
    monkeypatch.setattr("airflow_provider_moengage.delivery.changes.snapshot_store.time.time", lambda: clock)
    (own / f"attempt-{'0' * 32}.json").write_text(json.dumps({"task": "another", "heard": clock - 60}))
    for _ in range(2):
        assert track(users=users(20), **folder)["accepted"] == 20
    clock += snapshot_store.GONE_AFTER
    assert track(users=users(20), **folder)["accepted"] == 20
    assert track(users=users(20), **folder)["unchanged"] == 20


def test_two_runs_at_once_leave_out_nothing(track: Tracker, root: str):
    sandbox = track.sandbox

    def rows(plan: str) -> list[dict[str, Any]]:
        return [{**row, "plan": plan} for row in users(20)]

    def run(plan: str) -> dict[str, Any]:
        changes = ChangedOnly(f"{root}/dag/push")
        # Operators are not to be run in threads.
        return dict(MoEngageHook().track_users(rows(plan), changes=changes, concurrency=1))

    sandbox.fault(kind="slow", seconds=0.3, customer_id="user-5", times=1)
    reports: dict[str, dict[str, Any]] = {}
    threads = [
        threading.Thread(target=lambda plan=plan: reports.setdefault(plan, run(plan))) for plan in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {plan: report["accepted"] for plan, report in reports.items()} == {"a": 20, "b": 20}
    # Whichever was last, the next run makes it right.
    run("a")
    assert {values["plan"] for values in track.attributes().values()} == {"a"}
