"""The pieces of ``make cluster`` that need no Airflow; the whole takes minutes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faults.cluster import servers
from faults.cluster.components import Worker
from faults.cluster.source import PERSONAL, SHARDS, Customers, shard_condition
from faults.cluster.windows import FIRST, KILLED, LAST, least_used, pauses, shown, windows_of
from faults.sessions import end_session
from tests.support.dag_runs import ROOT
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

LIMIT, SECONDS = 100, 10.0


def ended(*used: int, pause: float = 0.5) -> list[dict[str, Any]]:
    return [
        {"opened": 1_000.0 + place * (SECONDS + pause), "used": units, "rejected_429": 0}
        for place, units in enumerate(used)
    ]


def test_a_window_is_whole_unless_the_tasks_start_or_end_in_it_or_the_worker_dies():
    windows = windows_of(ended(40, 100, 98, 30, 99, 7), SECONDS, killed_at=1_035.0)
    assert [one.excluded for one in windows] == [FIRST, "", "", KILLED, "", LAST]
    assert least_used(windows, LIMIT) == 0.98
    assert pauses(windows, SECONDS) == (0.5, 0.5)


def test_units_granted_before_a_window_opens_are_of_that_window():
    windows = windows_of(ended(100, 100, 50, 100, 100), SECONDS, killed_at=1_020.7)
    assert [one.excluded for one in windows] == [FIRST, "", KILLED, "", LAST]


def test_a_run_without_a_whole_window_has_used_none():
    assert least_used(windows_of(ended(100, 100), SECONDS, killed_at=0.0), LIMIT) == 0.0
    assert windows_of([], SECONDS, killed_at=0.0) == []
    assert pauses([], SECONDS) == (0.0, 0.0)


def test_every_window_has_a_line():
    one, *_ = ended(40)
    lines = list(shown(windows_of([{**one, "rejected_429": 2}], SECONDS, 1_000.0), LIMIT))
    assert lines == [f"   0.0 s  40.00%      40 units, 2 got a 429 ({LAST})"]


def test_the_customers_are_divided_and_their_outcome_is_known(postgres_server: PostgresServer):
    customers = Customers(postgres_server.uri)
    customers.create(6_000)
    try:
        rejected = {17: "date_format", 23: "blocked_customer_id", 5_017: "date_format"}
        assert customers.rejected() == rejected
        profiles = customers.profiles()
        assert len(profiles) == 6_000 - len(rejected)
        assert sum(customers.count(shard) for shard in range(SHARDS)) == 6_000
        assert profiles["customer-7"]["joined"] == "2019-12-31T18:37:00Z"
        personal = re.compile(PERSONAL)
        for text in ("customer-7", profiles["customer-7"]["city"], str(profiles["customer-7"]["points"])):
            assert personal.search(text.encode())
        assert customers.change_every(1_000) == 6
        customers.add(6_000, 50)
        changed = customers.profiles()
        assert len(changed) == len(profiles) + 50
        assert sum(changed[id_] != profile for id_, profile in profiles.items()) == 6
    finally:
        customers.execute("drop table customers")


def test_the_dag_divides_as_the_checks_do():
    text = (ROOT / "faults" / "dags" / "cluster.py").read_text()
    assert shard_condition(3).replace("= 3", "= {shard}").replace("% 8", "% {shards}") in text
    assert f"SHARDS = {SHARDS}\n" in text


def test_what_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "make cluster" in servers.missing()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("faults.cluster.servers.postgres.find_programs", lambda: None)
    assert "postgresql" in servers.missing()
    monkeypatch.setattr("faults.cluster.servers.postgres.find_programs", lambda: Path("/"))
    monkeypatch.setattr("faults.cluster.servers.redis_server.find_program", lambda: None)
    assert "redis-server" in servers.missing()
    monkeypatch.setattr("faults.cluster.servers.redis_server.find_program", lambda: "redis-server")
    assert servers.missing() == ""


def test_a_killed_worker_leaves_no_process(tmp_path: Path):
    # Airflow moves each task to a process group of its own.
    child = "import os, time; os.setpgid(0, 0); print(1, flush=True); time.sleep(600)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with open(tmp_path / "output", "w") as output:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=output, start_new_session=True)
    try:
        wait_until(lambda: (tmp_path / "output").read_text() != "", "the child has a group of its own")
        worker = Worker("worker-1", process)
        assert len(worker.processes()) == 2
        worker.kill()
        wait_until(lambda: worker.processes() == [], "all processes have ended")
    finally:
        end_session(process)
