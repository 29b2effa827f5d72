"""Three hundred thousand yielded rows take no more memory than a fraction of them, with a copy of them and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvloop", reason="uvloop, the event loop of the benchmarks' sink, is not installed")

from benchmarks.processes import NO_LIMITS, Measured, Tasks, connection, contender
from benchmarks.sink import running_sink
from tests.end_to_end.tracker import TaskInstance

pytestmark = pytest.mark.volume

MANY = 300_000
MEGABYTE = 1_000_000


def track_yielded(count: int, staging_path: str | None) -> Tasks:
    """Prepare a decorated function that yields so many rows."""
    from airflow_provider_moengage.decorators.users import moengage_track_users_task

    @moengage_track_users_task(bulk=True, staging_path=staging_path)
    def customers(maximum: int) -> Iterator[dict[str, Any]]:
        for number in range(maximum):
            yield {"customer_id": f"customer-{number}", "plan": "gold", "points": number, "city": "Pune"}

    def send(maximum: int) -> int:
        return int(customers(maximum).operator.execute({"ti": TaskInstance()})["accepted"])  # type: ignore[attr-defined]

    send(20)
    return {"run": lambda: send(count)}


# A copy is written in chunks of 10,000 rows, of which two are held. A quarter of a million rows would be a hundred megabytes.
@pytest.mark.parametrize(
    ("staged", "few_rows", "more"),
    [(False, 10_000, 5 * MEGABYTE), (True, 50_000, 10 * MEGABYTE)],
    ids=["as they come", "copied first"],
)
def test_yielded_rows_are_never_held(staged: bool, few_rows: int, more: int, tmp_path: Path):
    def run(count: int) -> Measured:
        with contender(track_yielded, count, staging_path, environment=environment) as ready:
            return ready.run()

    staging_path = tmp_path.as_uri() if staged else None
    with running_sink() as sink:
        environment = {
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
        }
        sink.settings()
        few, many = run(few_rows), run(MANY)
    assert (few.count, many.count) == (few_rows, MANY)
    assert many.peak - few.peak < more
