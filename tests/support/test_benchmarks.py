"""What the benchmarks' sink promises, over real HTTP: every figure stands on its counts and its windows."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

pytest.importorskip("uvloop", reason="uvloop, the event loop of the benchmarks' sink, is not installed")

from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.track_users import UserMapping
from benchmarks import results
from benchmarks.contenders import converted, element, fingerprints
from benchmarks.data import CHANGED, CREATE, NIGHT, warehouse_customers
from benchmarks.figures import FIGURES, Figure, Sample, chosen
from benchmarks.results import explained
from benchmarks.sink import RunningSink, running_sink
from tests.support.postgres import PostgresServer

CUSTOMER = {"type": "customer", "customer_id": "a1", "attributes": {"plan": "gold"}}
#: Longer than any of these tests, so that no window ends in the middle of one.
WINDOW = 600.0


@pytest.fixture(scope="module")
def started_sink() -> Iterator[RunningSink]:
    with running_sink() as sink:
        yield sink


@pytest.fixture
def sink(started_sink: RunningSink) -> RunningSink:
    started_sink.settings()
    return started_sink


def post(sink: RunningSink, path: str, body: object, key: str = "K") -> requests.Response:
    return requests.post(f"{sink.url}/v1/{path}", json=body, auth=("W", key), timeout=10)


def track(sink: RunningSink, key: str = "K") -> requests.Response:
    return post(sink, "customer/W", CUSTOMER, key)


def compact_bulk(sink: RunningSink, elements: list[str]) -> requests.Response:
    body = '{"type":"transition","elements":[' + ",".join(elements) + "]}"
    return requests.post(f"{sink.url}/v1/transition/W", data=body, auth=("W", "K"), timeout=10)


def test_counts_units_by_what_they_cost(sink: RunningSink) -> None:
    event = '{"type":"event","customer_id":"a1","actions":[{"action":"x"},{"action":"y"}]}'
    ids = {"identifiers": [{"identifier": f"a{number}"} for number in range(20)]}
    for spend, units in (
        (lambda: track(sink), 1),
        (lambda: compact_bulk(sink, ['{"type":"customer","customer_id":"a1"}'] * 3 + [event]), 5),
        (lambda: post(sink, "customers/export?app_id=W", {"data": ids}), 20),
    ):
        before = sink.counters()
        assert spend().status_code == 200
        after = sink.counters()
        assert after["units"] - before["units"] == units
        assert after["calls"] - before["calls"] == 1


def test_gives_the_users_that_are_asked_for(sink: RunningSink) -> None:
    answer = post(sink, "customers/export", {"data": {"identifiers": [{"identifier": "a1"}]}})
    assert answer.json()["data"]["users"] == [{"user_attributes": {"customer_id": "a1"}}]


def test_without_a_window_nothing_is_said_of_one(sink: RunningSink) -> None:
    assert not [name for name in track(sink).headers if name.lower().startswith("x-ratelimit")]


def test_refuses_what_is_over_the_limit_and_says_what_is_left(sink: RunningSink) -> None:
    sink.settings(limit=2, window=WINDOW, phase=0.0)
    answers = [track(sink) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2; w=600"}
    counters = sink.counters()
    assert (counters["calls"], counters["units"], counters["refused"]) == (3, 2, 1)
    assert counters["windows"] == [[0, 2, 1, 1]]


def test_refuses_a_bulk_that_is_larger_than_what_is_left_as_a_whole(sink: RunningSink) -> None:
    sink.settings(limit=5, window=WINDOW, phase=0.0)
    elements = ['{"type":"customer","customer_id":"a1"}'] * 3
    assert [compact_bulk(sink, elements).status_code for _ in range(2)] == [200, 429]
    assert compact_bulk(sink, elements[:2]).status_code == 200
    assert sink.counters()["windows"] == [[0, 5, 1, 1]]


def test_counts_refusals_of_each_caller(sink: RunningSink) -> None:
    sink.settings(limit=1, window=WINDOW, phase=0.0)
    for key in ("first", "first", "second", "first"):
        track(sink, key)
    assert sink.counters()["windows"] == [[0, 1, 3, 2]]


def test_every_window_grants_its_units_anew(sink: RunningSink) -> None:
    sink.settings(limit=1, window=0.1, phase=0.0)
    while sink.counters()["units"] < 3:
        track(sink)
    windows = sink.counters()["windows"]
    assert [units for _, units, *_ in windows] == [1] * len(windows)
    assert len(windows) >= 3


@pytest.mark.parametrize("reset", ["ceil", "floor", "epoch"])
def test_spells_the_reset(sink: RunningSink, reset: str) -> None:
    sink.settings(limit=10, window=WINDOW, phase=0.5, reset=reset)
    ends = sink.counters()["began"] + WINDOW
    before = time.time()
    said = int(track(sink).headers["x-ratelimit-reset"])
    after = time.time()
    if reset == "epoch":
        assert said == math.ceil(ends)
    else:
        rounded = math.ceil if reset == "ceil" else math.floor
        assert rounded(ends - after) <= said <= rounded(ends - before)


def test_settings_begin_to_count_anew(sink: RunningSink) -> None:
    track(sink)
    assert sink.counters()["first"] is not None
    sink.settings()
    counters: dict[str, Any] = sink.counters()
    assert (counters["calls"], counters["units"], counters["first"], counters["windows"]) == (0, 0, None, [])


def test_the_floor_sends_of_a_warehouses_rows_what_the_operator_sends():
    rows = warehouse_customers(50)
    kinds = {type(value).__name__ for value in rows[0].values()}
    assert kinds == {"str", "int", "bool", "Decimal", "datetime", "date", "NoneType"}
    for row in rows:
        sent = json.loads(UserMapping().item(row, RowWarnings())[0])
        assert {name: sent[name] for name in ("type", "customer_id", "attributes")} == element(converted(row))


def test_figures_are_chosen_by_name_and_by_group() -> None:
    assert chosen([], full=True) == list(FIGURES)
    assert [figure.name for figure in chosen(["plain", "bulk.floor"])] == ["plain.cpu", "bulk.floor"]
    with pytest.raises(ValueError, match="'bul' is no figure"):
        chosen(["bul"])


def test_what_takes_minutes_is_chosen_by_its_name_alone() -> None:
    assert [figure for figure in FIGURES if figure not in chosen([])] == chosen(["volume", "fingerprints"])


def test_the_page_names_the_users_of_the_runs() -> None:
    pages = [" ".join(explained(windows=10, apart=False, full=full).split()) for full in (False, True)]
    assert "both send 60,000 users, in every repetition" in pages[0]
    assert "both send 1,000,000 users, once" in pages[1]


def test_of_many_runs_the_page_lists_the_lowest_and_the_highest() -> None:
    few, many = [1.0, 0.5, 2.0], [1.0, *(1 + n / 100 for n in range(40)), 0.5]
    listed = [results.rows({FIGURES[0]: Sample(1.0, runs)})[1][4] for runs in (few, many)]
    assert listed == ["1, 0.5, 2", "42 runs, 0.5 to 1.39"]


def test_fingerprints_are_all_found_again(tmp_path: Path) -> None:
    tasks = fingerprints(1_000, str(tmp_path))
    assert [tasks[step]() for step in ("write", "search", "rewrite")] == [1_000] * 3


def test_one_customer_in_fifty_differs_from_one_night_to_another(postgres_server: PostgresServer) -> None:
    with psycopg2.connect(postgres_server.uri) as database, database.cursor() as cursor:
        cursor.execute(CREATE.format(count=200))
        nights = []
        for query in (NIGHT, NIGHT, CHANGED):
            cursor.execute(query.format(night=len(nights), count=200))
            nights.append({row[0]: row[1:] for row in cursor.fetchall()})
        columns = [column.name for column in cursor.description or ()]
        database.rollback()
    before, after, _ = nights
    changed = {user for user, row in after.items() if before[user] != row}
    assert len(before) == 200
    assert changed == nights[2].keys() == {f"C{number:08d}" for number in (50, 100, 150, 200)}
    assert columns == [*warehouse_customers(1)[0], "visits"]
    kinds = {type(value).__name__ for value in after["C00000050"]}
    assert kinds == {"str", "int", "bool", "Decimal", "datetime", "date", "NoneType"}


def test_a_figure_is_reached_at_its_bound() -> None:
    assert Figure("a", "", 0.7).reached(0.7)
    assert not Figure("a", "", 0.7).reached(0.71)
    assert Figure("a", "", 100, at_least=True).reached(100)
    assert not Figure("a", "", 100, at_least=True).reached(99.9)
