"""What Airflow's metrics say of a run: StatsD's packets, as they arrive at a socket."""

from __future__ import annotations

import importlib.util
import re
import socket
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_moengage._compat import Stats
from airflow_provider_moengage.delivery.account import progress
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.users import MoEngageDeleteUsersOperator
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker

PACKET = re.compile(r"airflow\.(moengage\.\w+),operation=(\w+):(\d+)\|c")


class StatsClient:
    """As much of the package ``statsd`` as Airflow uses for a counter; not every environment has it."""

    def __init__(self, host: str, port: int, prefix: str, *_: Any, **__: Any) -> None:
        self._address = (host, port)
        self._prefix = prefix

    def incr(self, stat: str, count: float, rate: float) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(f"{self._prefix}.{stat}:{count}|c".encode(), self._address)


def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow read its metrics' configuration, as it does when a task begins."""
    try:
        from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
    except ImportError:  # Airflow 2.11
        from airflow.metrics.statsd_logger import get_statsd_logger

        monkeypatch.setattr(Stats, "instance", get_statsd_logger(Stats))
    else:
        Stats.initialize(factory=get_stats_factory(), export_legacy_names=True)


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[tuple[str, str, int]]]]:
    """Return what has arrived: name, operation and count of each packet."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.setblocking(False)
    if importlib.util.find_spec("statsd") is None:
        statsd = types.ModuleType("statsd")
        monkeypatch.setattr(statsd, "StatsClient", StatsClient, raising=False)
        monkeypatch.setitem(sys.modules, "statsd", statsd)
    with monkeypatch.context() as deployment:
        deployment.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        deployment.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        deployment.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        deployment.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
        configure(monkeypatch)
        yield lambda: received(server)
    if hasattr(Stats, "initialize"):
        configure(monkeypatch)
    server.close()


def received(server: socket.socket) -> list[tuple[str, str, int]]:
    found = []
    while True:
        try:
            packet = server.recv(1_500).decode()
        except BlockingIOError:
            return found
        match = PACKET.fullmatch(packet)
        assert match, packet
        found.append((match[1], match[2], int(match[3])))


def sums(packets: list[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    total: Counter[tuple[str, str]] = Counter()
    for name, operation, count in packets:
        total[name, operation] += count
    return dict(total)


def test_a_short_run_is_counted_at_its_end(track: Tracker, packets):
    track(users=[*users(30), {"customer_id": "unknown"}, {"customer_id": "null"}], max_rejected=2)
    assert packets() == [
        ("moengage.rows_accepted", "track_user", 30),
        ("moengage.rows_rejected", "track_user", 2),
    ]


def test_a_long_run_is_counted_while_it_lasts_and_the_counts_add_up_to_its_report(
    track: Tracker, packets, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    track.sandbox.settings(users_per_minute=20, window_seconds=2.0)
    report = track(users=[*users(49), {"customer_id": "unknown"}], max_rejected=1)
    arrived = packets()
    assert len([name for name, *_ in arrived if name == "moengage.rows_accepted"]) > 1
    assert sums(arrived) == {
        ("moengage.rows_accepted", "track_user"): 49,
        ("moengage.rows_rejected", "track_user"): 1,
        ("moengage.throttled_seconds", "track_user"): round(report["throttled_seconds"]),
    }


def test_a_run_that_fails_is_counted_too(track: Tracker, packets):
    track.sandbox.fault(kind="status", status=500, after=10)
    track.fails(MoEngageIncompleteRun, users=users(20), concurrency=1)
    assert packets() == [("moengage.rows_accepted", "track_user", 10)]


@pytest.mark.parametrize(
    ("operator", "rows", "operation"),
    [
        (
            MoEngageDeleteUsersOperator,
            {"users": ["user-1"]},
            "delete_user",
        ),
        (
            MoEngageBulkImportOperator,
            {"elements": [{"type": "customer", "customer_id": "a1", "attributes": {"plan": "gold"}}]},
            "bulk_import",
        ),
    ],
)
def test_counts_name_the_operation_and_nobody(
    track: Tracker, packets, operator: Any, rows: dict[str, Any], operation: str
):
    track(users=users(2))
    packets()
    track.using(operator)(**rows)
    assert packets() == [("moengage.rows_accepted", operation, 1)]


def test_a_rehearsal_is_not_counted(track: Tracker, packets):
    track(users=[*users(3), {"customer_id": "unknown"}], max_rejected=1, validate_only=True)
    assert packets() == []
