from __future__ import annotations

import os
import re
import sqlite3
import sys

from demo.__main__ import LOG, RUN
from tests.support.dag_runs import ROOT, run_program
from tests.support.leaks import watch


def test_demo_shows_two_nights_with_counts_rejected_rows_and_profiles():
    printed = run_program(sys.executable, "-m", "demo", env=dict(os.environ), cwd=ROOT)
    first, second = (
        {name: int(count) for name, count in re.findall(r"^  (\w+) +(\d+)   ", night, re.M)}
        for night in printed.split("== A day passes in the shop")
    )
    assert first == {
        "read": 800,
        "accepted": 793,
        "unchanged": 0,
        "rejected": 7,
        "unsent": 0,
        "removed": 0,
        "requests": 793,
    }
    # Ten customers have changed and one has left: eleven requests.
    assert second == {
        "read": 799,
        "accepted": 10,
        "unchanged": 789,
        "rejected": 0,
        "unsent": 0,
        "removed": 1,
        "requests": 11,
    }
    assert len(re.findall(r"^  row \d+: ", printed, re.M)) == 7
    for reason in ("unknown", "date", "characters", "customer_id"):
        assert reason in printed
    assert re.search(r"^  last_order +2019-\d\d-\d\dT\d\d:\d\d:\d\dZ \(datetime\)$", printed, re.M)
    assert re.findall(r"^  is_customer +(\w+) \(boolean\)$", printed, re.M) == ["True", "False"]

    said = LOG.read_text()
    watch.output(said, LOG.name)
    watch.database(RUN / "airflow" / "airflow.db")
    with sqlite3.connect(RUN / "warehouse.db") as warehouse:
        people = warehouse.execute(
            "select customer_id, name from customers where customer_id like 'c-%'"
        ).fetchall()
    warehouse.close()
    assert len(people) > 500
    assert [name for person in people for name in person if name in said] == []
