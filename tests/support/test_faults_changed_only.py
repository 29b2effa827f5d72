"""The fault campaign of runs that send only changed users, short; and that it would see a row that is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest

from faults.campaign import Campaign
from faults.changed_only.damage import WAYS, damage, let_time_pass
from faults.changed_only.expected import Expected
from faults.changed_only.plots import PLOTS, STATES, steps, stories
from faults.changed_only.rows import rows_of, sent_again, values_of
from faults.rows import Planned
from faults.scenarios import Data, Scenario
from faults.shared import Shared, shared_folder
from faults.verify import Found


def told(count: int, rows: int = 10_000) -> list[Scenario]:
    return [story for pair in islice(stories(7, rows), count) for story in pair]


def short_stories() -> list[Scenario]:
    """Return two stories that are executed at once."""
    first = {story.plot: story for story in reversed(told(12))}
    return [
        replace(first[plot], number=number, map_index=-1, place="local", rows=200, deferrable=False)
        for number, plot in enumerate(("damaged", "no space"))
    ]


def test_killed_runs_leave_no_changed_user_out() -> None:
    chosen = short_stories()
    done = Campaign(iter([chosen]), kills=1_000)()
    assert [violation for result in done for violation in result.violations] == []
    assert len(done) == sum(len(steps(story)) for story in chosen)
    assert sum(result.kills.total() for result in done) > 3
    assert any(result.gave_up for result in done)
    assert sum(result.damaged.total() for result in done) > 0
    assert sum(result.errors for result in done) > 0


def test_a_seed_gives_the_same_stories_again() -> None:
    assert told(10) == told(10)
    assert list(islice(stories(7, 10), 10)) != list(islice(stories(8, 10), 10))
    assert [steps(story) for story in told(10)] == [steps(story) for story in told(10)]
    assert [rows_of(story) for story in told(3)] == [rows_of(story) for story in told(3)]


def test_every_plot_comes_with_every_source_and_in_every_place() -> None:
    all_stories = told(60, 10)
    for names in (("plot", "source"), ("plot", "place"), ("plot", "bulk"), ("source", "bulk", "place")):
        found = {tuple(getattr(story, name) for name in names) for story in all_stories}
        sizes = {"plot": len(PLOTS), "source": 3, "place": 2, "bulk": 2}
        expected = 1
        for name in names:
            expected *= sizes[name]
        assert len(found) == expected, names
    assert {story.map_index for story in all_stories} == {-1, 0, 1}
    assert len({story.snapshot_folder for story in all_stories}) == len(all_stories)


def test_every_story_ends_with_three_undisturbed_runs_of_the_same_rows() -> None:
    for story in told(30, 10):
        *plot, first, second, third = steps(story)
        assert any(step.kills for step in plot)
        assert {first.state, second.state, third.state} == {first.state}
        assert [step.kills + step.damages for step in (first, second, third)] == [0, 0, 0]
        assert [step.number for step in steps(story)] == list(range(len(plot) + 3))


def test_users_change_change_back_come_and_go_and_some_have_rows_that_differ() -> None:
    story = told(1)[0]
    plans = {state: rows_of(replace(story, data=Data("seed", state))) for state in STATES}
    values = {state: values_of(plan) for state, plan in plans.items()}
    a, b, c = (set(values[state]) for state in STATES)
    assert a - b
    assert b - a
    assert b - c
    last = {state: {user: own[-1] for user, own in values[state].items()} for state in STATES}
    both = a & b
    changed = {user for user in both if last["a"][user] != last["b"][user]}
    assert 0.2 * len(both) < len(changed) < 0.6 * len(both)
    twice = {user for user, own in values["a"].items() if len(own) == 2}
    assert len(twice) > 0.05 * len(a)
    assert all(values["a"][user][0] != values["a"][user][1] for user in twice)
    assert [row["number"] for row in plans["a"].rows] == list(range(len(plans["a"].rows)))
    assert plans["a"].rejected


def plan(*rows: tuple[str, str]) -> Planned:
    return Planned(
        [{"customer_id": user, "number": n, "plan": value} for n, (user, value) in enumerate(rows)]
    )


def test_rows_that_a_second_run_has_to_send_again_are_those_of_users_with_rows_that_differ() -> None:
    assert sent_again(plan(("u1", "a"), ("u2", "a"), ("u2", "a"))) == 0
    assert sent_again(plan(("u1", "a"), ("u1", "b"))) == 2
    assert sent_again(plan(("u1", "b"), ("u1", "a"), ("u1", "b"))) == 2


def stored(**values: str) -> dict[str, dict[str, Any]]:
    return {user: {"attributes": {"plan": value}} for user, value in values.items()}


def judged(expected: Expected, users: dict[str, dict[str, Any]], last: Planned) -> list[str]:
    return list(expected.violations(users, last, Found()))


def test_a_user_who_was_left_out_is_seen() -> None:
    expected, last = Expected(), plan(("u1", "a"), ("u1", "b"), ("u2", "a"))
    expected.must(last)
    assert judged(expected, stored(u1="b", u2="a"), last) == []
    assert judged(expected, stored(u1="a", u2="a"), last) == ["u1 has a, not b"]
    assert judged(expected, stored(u1="b"), last) == ["u2 has None, not a"]
    assert judged(expected, stored(u1="b", u2="a", u3="a"), last) == ["1 unexpected customers are stored: u3"]


def test_a_user_who_is_gone_has_to_be_as_before() -> None:
    expected, last = Expected(), plan(("u2", "b"))
    expected.must(plan(("u1", "a"), ("u2", "a")))
    expected.must(last)
    assert judged(expected, stored(u1="a", u2="b"), last) == []
    assert judged(expected, stored(u1="b", u2="b"), last) == ["u1, who has left the source, has b, not a"]


def test_after_a_run_that_was_given_up_both_values_are_possible_until_a_run_has_ended() -> None:
    expected, first, second = Expected(), plan(("u1", "a")), plan(("u1", "b"), ("u2", "b"))
    expected.must(first)
    expected.may(second)
    for users in (stored(u1="a"), stored(u1="b", u2="b")):
        assert judged(expected, users, second) == []
    assert judged(expected, stored(u1="c"), second) == ["u1 has c, not a or b"]
    expected.must(first)
    assert judged(expected, stored(u1="b"), first) == ["u1 has b, not a"]


@pytest.fixture(params=["local", "s3"])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    with shared_folder(request.param, "7") as shared:
        yield shared


def test_files_of_a_snapshot_are_damaged_in_every_way_and_those_of_strangers_in_none(shared: Shared) -> None:
    story, chance = told(1, 10)[0], Random(1)
    folder = story.snapshot_folder
    shared.put_strangers([f"{folder}/part-0.bin", f"{folder}/notes.txt"], chance)
    assert damage(shared, story, chance) is None
    done = set()
    for _ in range(60):
        for name in ("manifest-1.json", "entries-1.bin", "part-1.bin"):
            shared.root.put(f"{folder}/{name}", b'{"known_for": "me", "rows": 1}')
        before = shared.root.digests(folder)
        done.add(damage(shared, story, chance))
        assert len(before.items() - shared.root.digests(folder).items()) == 1
    assert {what.partition(" ")[2] for what in done if what} == set(WAYS)
    assert {what.partition(" ")[0] for what in done if what} == {"manifest", "entries", "part"}
    assert shared.touched() == []


def test_time_passes_for_attempts_that_were_killed(shared: Shared) -> None:
    story = told(1, 10)[0]
    name = f"{story.snapshot_folder}/attempt-1.json"
    shared.root.put(name, json.dumps({"task": "t", "heard": 1000.0}).encode())
    let_time_pass(shared, story, 900)
    assert json.loads(shared.root.read(name)) == {"task": "t", "heard": 100.0}
