from __future__ import annotations

import os
import re
import sqlite3
import sys

from demo.__main__ import LOG, RUN
from tests.support.dag_runs import ROOT, run_program
from tests.support.leaks import watch


def test_demo_ends_with_counts_refused_rows_and_a_profile():
    printed = run_program(sys.executable, "-m", "demo", env=dict(os.environ), cwd=ROOT)
    counts = {
        name: int(count)
        for name, count in re.findall(r"^  (read|accepted|rejected|unsent) +(\d+)$", printed, re.M)
    }
    assert counts["read"] == counts["accepted"] + counts["rejected"] > 500
    assert counts["rejected"] == 7
    assert counts["unsent"] == 0
    assert len(re.findall(r"^  row \d+: ", printed, re.M)) == 7
    for reason in ("unknown", "date", "characters", "customer_id"):
        assert reason in printed
    assert re.search(r"^  last_order +2019-\d\d-\d\dT\d\d:\d\d:\d\dZ \(datetime\)$", printed, re.M)

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
