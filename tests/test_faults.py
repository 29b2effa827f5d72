"""The fault campaign, short; and that what it judges by would see a row that is lost, doubled or torn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from faults import verify
from faults.campaign import Campaign
from faults.rows import Planned
from faults.scenarios import Scenario, scenarios
from faults.state_store import FileStateStore

#: Of the twelve ways that rows go, those that have every source with users and with events, single and in bulk.
PICKED = (0, 7, 2, 9, 4, 11)


def short_runs() -> list[Scenario]:
    every = list(islice(scenarios(seed=7, rows=2_000), 12))
    return [replace(every[number], kills=2, deferrable=False) for number in PICKED]


def test_nothing_is_lost_and_counts_are_exact_however_often_a_task_is_killed(tmp_path: Path) -> None:
    runs = short_runs()
    assert {(run.source, run.kind) for run in runs} == {
        (source, kind) for source in ("list", "sql", "file") for kind in ("users", "events")
    }
    done = Campaign(iter(runs), kills=1_000)()
    assert [violation for result in done for violation in result.violations] == []
    assert len(done) == len(runs)
    assert sum(result.kills.total() for result in done) >= len(runs)
    # Rows that were given up are not looked for.
    assert all(result.found.rows > 1_000 for result in done)


#: Three good rows of two customers, and one that has to be refused.
PLAN = Planned(
    [
        {"customer_id": customer, "number": place}
        for place, customer in enumerate(("a1", "unknown", "a1", "b2"))
    ],
    refused={1: "blocked_customer_id"},
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
    assert wrong == ["1 customers are there who should not be: unknown"]


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
    assert wrong == ["2 events are there more than once, and unknown says 1"]


def test_an_event_that_is_there_more_often_than_it_may_is_seen() -> None:
    wrong, found = judged_events(0, 2, 0, 0, 3, unknown=1, most_copies=2)
    assert wrong == ["an event of a1 is there 3 times, 2 are allowed"]
    assert (found.twice, found.copies, found.most_copies) == (1, 2, 3)


LINE = {"position": 1, "code": "blocked_customer_id", "row": PLAN.rows[1]}


def line(**changes: Any) -> str:
    return json.dumps({**LINE, **changes}) + "\n"


@pytest.fixture
def judged_parts(tmp_path: Path) -> Callable[..., tuple[list[str], frozenset[int]]]:
    def judge(*parts: str, name: str = "part-{}.ndjson") -> tuple[list[str], frozenset[int]]:
        for number, content in enumerate(parts):
            (tmp_path / name.format(number)).write_text(content)
        return verify.rejected(PLAN, tmp_path, verify.Found())

    return judge


def test_refused_rows_that_are_complete_are_right(judged_parts: Callable[..., Any]) -> None:
    assert judged_parts(line()) == ([], frozenset())
    unknown = line(position=3, code="unknown", row=PLAN.rows[3])
    assert judged_parts(line(), unknown) == ([], frozenset({3}))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((), "row 1 should be refused as blocked_customer_id, and is as None"),
        (
            (line(), line()),
            "row 1 is refused twice: blocked_customer_id, and in part-1.ndjson blocked_customer_id",
        ),
        ((line()[:-20],), "part-0.ndjson has a torn last line"),
        ((line()[:-1],), "part-0.ndjson has a torn last line"),
        ((line()[:30] + "\n" + line(),), f"part-0.ndjson has a line that is torn: {line()[:30].encode()!r}"),
        ((line(code="http_400"),), "row 1 should be refused as blocked_customer_id, and is as http_400"),
        ((line(), line(position=2, row=PLAN.rows[2])), "good rows are refused: 2 as blocked_customer_id"),
        ((line(row=PLAN.rows[0]),), "row 0 is refused as row 1"),
    ],
)
def test_refused_rows_that_are_missing_doubled_torn_or_others_are_seen(
    judged_parts: Callable[..., Any], parts: tuple[str, ...], says: str
) -> None:
    assert says in judged_parts(*parts)[0]


def test_what_a_kill_leaves_beside_the_parts_is_seen(judged_parts: Callable[..., Any]) -> None:
    judged_parts(line())
    assert judged_parts("", name=".part-{}.ndjson.unfinished")[0] == [
        ".part-0.ndjson.unfinished lies beside the parts"
    ]


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
    assert list(verify.counts(PLAN, REPORT, refused=1)) == []
    assert list(verify.counts(PLAN, {**REPORT, **change}, refused=1)) == [says]


def test_what_remains_after_success_is_seen(tmp_path: Path) -> None:
    state = FileStateStore(tmp_path / "state.json")
    assert list(verify.remains(tmp_path / "state.json", tmp_path / "staged")) == []
    state.set("moengage_checkpoint", {})
    (tmp_path / "staged" / "dag").mkdir(parents=True)
    (tmp_path / "staged" / "dag" / "rows-0").touch()
    assert list(verify.remains(tmp_path / "state.json", tmp_path / "staged")) == [
        "the state of the task still holds moengage_checkpoint",
        "below staging_path there still is dag/rows-0",
    ]
    state.delete("moengage_checkpoint")
    assert state.get("moengage_checkpoint", "nothing") == "nothing"


def test_a_seed_gives_the_same_runs_again() -> None:
    assert list(islice(scenarios(3, 10), 30)) == list(islice(scenarios(3, 10), 30))
    assert list(islice(scenarios(3, 10), 30)) != list(islice(scenarios(4, 10), 30))


def test_every_combination_comes_within_two_rounds() -> None:
    runs = islice(scenarios(3, 10), 48)
    assert len({(run.source, run.kind, run.bulk, run.state_store) for run in runs}) == 24
