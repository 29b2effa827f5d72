"""The fault campaign, short; and that what it judges by would see a row or a file that is lost, doubled or torn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest

from faults import verify
from faults.campaign import Campaign
from faults.rows import Planned, planned
from faults.scenarios import PLACES, Scenario, dags
from faults.shared import AT_THE_TOP, STAGED, LocalRoot, S3Root, Shared, shared_folder, strangers_of
from faults.state_store import FileStateStore
from tests.support.s3_server import BUCKET


def short_dags() -> list[list[Scenario]]:
    """Return the six ways that rows go, some at once: of one of them two runs of a DAG, and one on S3."""
    # The first twelve DAGs have every source with users and with events, single and in bulk.
    runs = [
        replace(first, map_index=-1, place="local", rows=1_500, kills=2, deferrable=False)
        for first, *_ in islice(dags(seed=7, rows=10), 12)
    ]
    two_runs = [replace(runs[7], run=run, seed=f"7/{run}", state_store=False) for run in range(2)]
    # With this seed it is killed after 256 rows, and after 421 more.
    on_s3 = replace(runs[4], place="s3", state_store=False, seed="7/s3/51")
    return [[*two_runs, runs[0], runs[9]], [runs[2], runs[11]], [on_s3]]


def test_killed_tasks_lose_nothing_touch_nothing_and_count_exactly() -> None:
    chosen = short_dags()
    runs = [run for dag in chosen for run in dag]
    assert {(run.source, run.kind) for run in runs} == {
        (source, kind) for source in ("list", "sql", "file") for kind in ("users", "events")
    }
    assert len({run.dag_id for run in runs}) == len({run.own_folder for run in runs}) - 1 == 6
    campaign = Campaign(iter(chosen), kills=1_000)
    done = campaign()
    assert [violation for result in done for violation in result.violations] == []
    assert len(done) == len(runs)
    assert sum(result.kills.total() for result in done) >= len(runs)
    assert [result.kills.total() > 0 for result in done if result.scenario.place == "s3"] == [True]
    # Rows that were given up are not looked for.
    assert all(result.found.rows > 750 for result in done)
    assert set(campaign.shared) == set(PLACES)


#: Three good rows of two customers, and one that has to be rejected.
PLAN = Planned(
    [
        {"customer_id": customer, "number": place}
        for place, customer in enumerate(("a1", "unknown", "a1", "b2"))
    ],
    rejected={1: "blocked_customer_id"},
)


def user(*numbers: int) -> dict[str, Any]:
    history = [{"number": number} for number in numbers]
    return {"history": history, "updates": len(numbers), "attributes": history[-1] if history else {}}


def judged_users(**stored: dict[str, Any]) -> tuple[list[str], verify.Found]:
    found = verify.Found()
    return list(verify.users(PLAN, stored, found)), found


@pytest.mark.parametrize("applied", [(0, 2), (0, 0, 2), (0, 2, 0, 2)])
def test_users_may_be_applied_again_in_their_order(applied: tuple[int, ...]) -> None:
    wrong, found = judged_users(a1=user(*applied), b2=user(3))
    assert wrong == []
    assert (found.rows, found.lost, found.users, found.users_repeated) == (3, 0, 2, len(applied) > 2)


@pytest.mark.parametrize(
    ("applied", "says"),
    [
        ((0,), "rows of a1 are lost: 2"),
        ((), "rows of a1 are lost: 0, 2"),
        ((2, 0, 2), "rows of a1 arrived as 2, 0, not as 0, 2"),
        ((0, 2, 0), "a1 ends as row 0 left it, not row 2"),
    ],
)
def test_a_user_of_whom_a_row_is_lost_or_overtaken_is_seen(applied: tuple[int, ...], says: str) -> None:
    wrong, _ = judged_users(a1=user(*applied), b2=user(3))
    assert says in wrong


def test_a_user_who_should_not_be_there_is_seen() -> None:
    wrong, _ = judged_users(a1=user(0, 2), b2=user(3), unknown=user(1))
    assert wrong == ["1 unexpected customers are stored: unknown"]


def judged_events(
    *numbers: int, unknown: int = 0, given_up: frozenset[int] = frozenset(), most_copies: int | None = None
) -> tuple[list[str], verify.Found]:
    found = verify.Found(unknown=unknown)
    stored = [{"customer_id": PLAN.rows[n]["customer_id"], "attributes": {"number": n}} for n in numbers]
    return list(verify.events(PLAN, stored, given_up, most_copies, found)), found


def test_events_may_be_there_again_where_they_count_as_unknown() -> None:
    wrong, found = judged_events(0, 2, 0, 3, unknown=1)
    assert wrong == []
    assert (found.rows, found.lost, found.twice, found.copies, found.most_copies) == (3, 0, 1, 1, 2)


def test_an_event_that_is_lost_is_seen() -> None:
    wrong, found = judged_events(0, 3)
    assert wrong == ["rows of a1 are lost: 2"]
    assert found.lost == 1


def test_an_event_that_was_given_up_is_not_lost() -> None:
    assert judged_events(0, 3, given_up=frozenset({2}))[0] == []


def test_events_that_overtake_one_another_are_seen() -> None:
    assert judged_events(2, 0, 3)[0] == ["rows of a1 arrived as 2, 0, not as 0, 2"]


def test_events_that_are_there_again_and_do_not_count_as_unknown_are_seen() -> None:
    wrong, _ = judged_events(0, 2, 0, 2, 3, unknown=1)
    assert wrong == ["2 events are duplicated, but unknown is 1"]


def test_an_event_that_is_there_more_often_than_it_may_is_seen() -> None:
    wrong, found = judged_events(0, 2, 0, 0, 3, unknown=1, most_copies=2)
    assert wrong == ["an event of a1 is stored 3 times, 2 are allowed"]
    assert (found.twice, found.copies, found.most_copies) == (1, 2, 3)


LINE = {"position": 1, "code": "blocked_customer_id", "row": PLAN.rows[1]}


def line(**changes: Any) -> str:
    return json.dumps({**LINE, **changes}) + "\n"


def judged_parts(*parts: str) -> tuple[list[str], frozenset[int]]:
    files = {f"part-{number}.ndjson": content.encode() for number, content in enumerate(parts)}
    return verify.rejected(PLAN, files, verify.Found())


def test_rejected_rows_that_are_complete_are_right() -> None:
    assert judged_parts(line()) == ([], frozenset())
    unknown = line(position=3, code="unknown", row=PLAN.rows[3])
    assert judged_parts(line(), unknown) == ([], frozenset({3}))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((), "row 1 should be rejected as blocked_customer_id, but is as None"),
        (
            (line(), line()),
            "row 1 is rejected twice: blocked_customer_id, and in part-1.ndjson blocked_customer_id",
        ),
        ((line()[:-20],), "part-0.ndjson has a torn last line"),
        ((line()[:-1],), "part-0.ndjson has a torn last line"),
        ((line()[:30] + "\n" + line(),), f"part-0.ndjson has a line that is torn: {line()[:30].encode()!r}"),
        ((line(code="http_400"),), "row 1 should be rejected as blocked_customer_id, but is as http_400"),
        ((line(), line(position=2, row=PLAN.rows[2])), "good rows are rejected: 2 as blocked_customer_id"),
        ((line(row=PLAN.rows[0]),), "row 0 is rejected as row 1"),
    ],
)
def test_rejected_rows_that_are_missing_doubled_torn_or_others_are_seen(
    parts: tuple[str, ...], says: str
) -> None:
    assert says in judged_parts(*parts)[0]


REPORT: dict[str, Any] = {
    "read": 4, "accepted": 3, "rejected": 1, "unsent": 0, "reasons": {"blocked": 1}, "source_exhausted": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"read": 5}, "read is 5, not 4"),
        ({"accepted": 4}, "accepted is 4, not 3"),
        ({"rejected": 0}, "rejected is 0, not 1"),
        ({"unsent": 1}, "unsent is 1, not 0"),
        ({"reasons": {}}, "the reasons add up to 0, not 1"),
        ({"source_exhausted": False}, "the source counts as not exhausted"),
    ],
)
def test_counts_that_are_not_exact_are_seen(change: dict[str, Any], says: str) -> None:
    assert list(verify.counts(PLAN, REPORT, rejected=1)) == []
    assert list(verify.counts(PLAN, {**REPORT, **change}, rejected=1)) == [says]


def test_what_remains_after_success_is_seen(tmp_path: Path) -> None:
    state = FileStateStore(tmp_path / "state.json")
    finished = json.dumps({"finished": REPORT}).encode()
    kept = {"part-0.ndjson": b"", "_staged/checkpoint.json": finished}
    assert list(verify.remains(tmp_path / "state.json", kept)) == []
    state.set("moengage_checkpoint", {})
    left = {
        **kept,
        "_staged/checkpoint.json": b"{}",
        "_staged/chunk-00000.ndjson.gz": b"",
        ".part-0.ndjson.unfinished": b"",
    }
    assert list(verify.remains(tmp_path / "state.json", left)) == [
        "the state of the task still contains moengage_checkpoint",
        "the task's folder still contains .part-0.ndjson.unfinished, _staged/checkpoint.json, _staged/chunk-00000.ndjson.gz",
    ]
    state.delete("moengage_checkpoint")
    assert state.get("moengage_checkpoint", "nothing") == "nothing"


@pytest.fixture(params=PLACES, scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    with shared_folder(request.param, "7") as shared:
        yield shared


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Scenario:
    """One of a DAG of the test's own."""
    first, *_ = next(dags(seed=7, rows=10))
    return replace(first, number=crc32(request.node.name.encode()), map_index=1)


def own(run: Scenario, name: str) -> str:
    return f"{run.own_folder}/{name}"


def delete(shared: Shared, name: str) -> None:
    root = shared.root
    if isinstance(root, LocalRoot):
        path = root.folder / name
        path.rmdir() if name.endswith("/") else path.unlink()
    else:
        assert isinstance(root, S3Root)
        root.client.delete_object(Bucket=BUCKET, Key=f"{root.prefix}/{name}")


def test_files_of_strangers_lie_among_those_of_a_task_and_are_none_of_its_files(
    shared: Shared, run: Scenario
) -> None:
    chance = Random(1)
    names = strangers_of([run], chance)
    assert {name.rpartition("/")[0] for name in names} >= {run.own_folder, own(run, STAGED)}
    shared.put_strangers(names, chance)
    files = {"part-0.ndjson": b"[1]", f"{STAGED}/checkpoint.json": b"[2]"}
    for name, content in files.items():
        shared.root.put(own(run, name), content)
    assert shared.strangers >= {*AT_THE_TOP, *names}
    assert set(shared.own(run)) == {own(run, name) for name in files}
    assert shared.content(run) == files
    assert shared.touched() == []


@pytest.mark.parametrize("name", ["keep.csv", "run/other.bin", "empty/"])
def test_a_strangers_file_that_is_deleted_is_seen_once(shared: Shared, run: Scenario, name: str) -> None:
    there = f"{run.dag_id}/{name}"
    shared.put_strangers([there], Random(0))
    delete(shared, there)
    assert shared.touched() == [f"{there}, a stranger's, was deleted by another task"]
    assert shared.touched() == []


def test_a_strangers_file_that_is_overwritten_is_seen(shared: Shared, run: Scenario) -> None:
    there = own(run, "manifest.json.bak")
    shared.put_strangers([there], Random(0))
    shared.root.put(there, b"{}")
    assert shared.touched() == [f"{there}, a stranger's, was changed by another task"]


def test_files_that_come_into_a_strangers_folder_are_no_violation(shared: Shared, run: Scenario) -> None:
    shared.put_strangers([f"{run.dag_id}/keep.csv"], Random(0))
    shared.root.put(own(run, "part-0.ndjson"), b"{}")
    assert shared.touched() == []


@pytest.mark.parametrize("name", ["part-0.ndjson", "_staged/chunk-00000.ndjson.gz"])
def test_a_file_of_a_run_that_another_one_touches_is_seen(shared: Shared, run: Scenario, name: str) -> None:
    there = own(run, name)
    shared.root.put(there, b"[1]")
    files = shared.own(run)
    shared.keep(files)
    assert shared.touched() == []
    shared.root.put(there, b"[2]")
    assert shared.touched() == [f"{there}, a run's, was changed by another task"]
    shared.keep(shared.own(run))
    delete(shared, there)
    assert shared.touched() == [f"{there}, a run's, was deleted by another task"]


def test_a_run_itself_may_change_and_delete_its_files(shared: Shared, run: Scenario) -> None:
    for name in ("part-0.ndjson", "part-1.ndjson"):
        shared.root.put(own(run, name), b"[1]")
    files = shared.own(run)
    shared.keep(files)
    shared.release(files)
    shared.root.put(own(run, "part-0.ndjson"), b"[2]")
    delete(shared, own(run, "part-1.ndjson"))
    assert shared.touched() == []


def test_an_upload_that_nobody_finished_is_seen(shared: Shared, run: Scenario) -> None:
    there = own(run, "part-0.ndjson")
    if isinstance(shared.root, S3Root):
        shared.root.client.create_multipart_upload(Bucket=BUCKET, Key=f"{shared.root.prefix}/{there}")
        assert shared.root.unfinished_uploads(run.own_folder) == [there]
        assert shared.root.unfinished_uploads(f"{run.own_folder}/1") == []
    else:
        assert shared.root.unfinished_uploads(run.own_folder) == []


def test_a_seed_gives_the_same_runs_again() -> None:
    assert list(islice(dags(3, 10), 30)) == list(islice(dags(3, 10), 30))
    assert list(islice(dags(3, 10), 30)) != list(islice(dags(4, 10), 30))


def test_every_combination_comes_within_two_rounds_in_both_places() -> None:
    firsts = [dag[0] for dag in islice(dags(3, 10), 48)]
    assert len({(run.source, run.kind, run.bulk, run.state_store) for run in firsts[:24]}) == 24
    assert len({(run.source, run.kind, run.bulk, run.place) for run in firsts[:24]}) == 24
    assert len({(run.source, run.kind, run.bulk, run.place, run.state_store) for run in firsts}) == 48


def test_runs_at_once_share_neither_a_folder_nor_rows() -> None:
    for dag in islice(dags(3, 40), 48):
        assert {(run.dag_id, run.place, run.source, run.kind) for run in dag} == {
            (dag[0].dag_id, dag[0].place, dag[0].source, dag[0].kind)
        }
        assert {run.run for run in dag} == {0, 1}
        assert (
            len({run.own_folder for run in dag}) == len({str(planned(run).rows) for run in dag}) == len(dag)
        )
    assert {len(dag) for dag in islice(dags(3, 40), 48)} == {2, 4}
