"""The contenders: the operators, and the alternatives that people use. Each is prepared in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from benchmarks.data import CHANGED, CHANGED_EVERY, NIGHT, SELECT, customers, warehouse_customers
from benchmarks.processes import KEY, WORKSPACE, Tasks, memory

#: Users that every contender sends before the measurement, so that imports and look-ups are not measured.
WARM_UP = 20
#: Upper limit of a Bulk Import body.
BULK_BYTES = 100_000
OPENING, CLOSING = b'{"type":"transition","elements":[', b"]}"

#: A made-up record of about the size of a customer, and how many a bulk import has.
CONTENT = (
    b'{"type":"customer","customer_id":"%08d","attributes":{"plan":"gold","contact":"customer@example.com"}}'
)
BATCH = 330

#: The connection that is measured, and one without limits to the same sink.
LIMITED, UNLIMITED = "moengage_default", "unlimited"

Rows = list[dict[str, Any]]
Send = Callable[[Rows], None]
#: Returns as many rows as it is told.
Source = Callable[[int], Rows]


def loop(url: str, count: int) -> Tasks:
    """Prepare ``requests.post`` for each row, without a session: the loop that people write."""
    import requests

    def send(rows: Rows) -> None:
        for row in rows:
            response = requests.post(
                f"{url}/v1/customer/{WORKSPACE}",
                json=element(row),
                auth=(WORKSPACE, KEY),
                headers={"MOE-APPKEY": WORKSPACE},
            )
            response.raise_for_status()

    return _warmed(send, count)


def session(url: str, count: int) -> Tasks:
    """Prepare ``Session.post`` for each row, which reuses the connection."""
    import requests

    kept = requests.Session()
    kept.auth = (WORKSPACE, KEY)
    kept.headers["MOE-APPKEY"] = WORKSPACE

    def send(rows: Rows) -> None:
        for row in rows:
            kept.post(f"{url}/v1/customer/{WORKSPACE}", json=element(row)).raise_for_status()

    return _warmed(send, count)


def pypi(url: str, count: int) -> Tasks:
    """Prepare the client ``moengage`` from PyPI."""
    from moengage.wrapper import Moengage

    client = Moengage(url, WORKSPACE, KEY)

    def send(rows: Rows) -> None:
        for row in rows:
            attributes = dict(row)
            client.create_or_update_user(attributes.pop("customer_id"), **attributes)

    return _warmed(send, count)


def floor(url: str, count: int) -> Tasks:
    """Prepare the minimum of a bulk import: serialise, pack, post, without checks or accounting."""
    return _floor(url, count, customers, element)


def warehouse_floor(url: str, count: int) -> Tasks:
    """Prepare the same with the rows of a warehouse, whose values are converted first."""
    return _floor(url, count, warehouse_customers, lambda row: element(converted(row)))


def _floor(url: str, count: int, source: Source, to_element: Callable[[dict[str, Any]], Any]) -> Tasks:
    import requests
    from pydantic_core import to_json

    kept = requests.Session()
    kept.auth = (WORKSPACE, KEY)
    kept.headers.update({"MOE-APPKEY": WORKSPACE, "Content-Type": "application/json"})

    def post(elements: list[bytes]) -> None:
        body = OPENING + b",".join(elements) + CLOSING
        kept.post(f"{url}/v1/transition/{WORKSPACE}", data=body).raise_for_status()

    def send(rows: Rows) -> None:
        elements: list[bytes] = []
        size = empty = len(OPENING) + len(CLOSING)
        for row in rows:
            content = to_json(to_element(row))
            if elements and size + len(content) + 1 >= BULK_BYTES:
                post(elements)
                elements, size = [], empty
            elements.append(content)
            size += len(content) + 1
        if elements:
            post(elements)

    return _warmed(send, count, source)


def converted(row: dict[str, Any]) -> dict[str, Any]:
    """Convert the values of a warehouse to those of JSON, in the forms that MoEngage documents; leave NULLs out."""
    values: dict[str, Any] = {}
    for column, value in row.items():
        if isinstance(value, datetime):
            value = value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        elif isinstance(value, date):
            value = value.isoformat()
        elif isinstance(value, Decimal):
            value = float(value)
        if value is not None:
            values[column] = value
    return values


def element(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a flat row into the API's format."""
    attributes = dict(row)
    return {"type": "customer", "customer_id": attributes.pop("customer_id"), "attributes": attributes}


def track_users(count: int, parameters: dict[str, Any], source: Source = customers) -> Tasks:
    """Prepare ``MoEngageTrackUsersOperator`` with a list of rows."""
    track = _sender(parameters)

    def send(rows: Rows) -> None:
        accepted = track(rows, LIMITED)
        if accepted != len(rows):
            raise RuntimeError(f"of {len(rows)} users {accepted} were accepted")

    return _warmed(send, count, source)


def finish_tracking(count: int, half: int, parameters: dict[str, Any]) -> Tasks:
    """Prepare the operator with users for several windows, and a second task: half a window's users without a limit."""
    rows = customers(count)
    send = _sender(parameters)
    send(rows[:WARM_UP], UNLIMITED)
    return {"burst": lambda: send(rows[:half], UNLIMITED), "run": lambda: send(rows, LIMITED)}


def finish_reading(count: int, half: int) -> Tasks:
    """Prepare ``MoEngageGetUsersOperator`` with ids for several windows, and a second task: half a window's ids."""
    from airflow_provider_moengage.operators.users import MoEngageGetUsersOperator

    ids = [row["customer_id"] for row in customers(count)]

    def read(users: list[str], moengage_conn_id: str) -> int:
        operator = MoEngageGetUsersOperator(
            task_id="read", users=users, moengage_conn_id=moengage_conn_id, xcom_limit=count
        )
        return len(operator.execute({})["users"])

    read(ids[:WARM_UP], UNLIMITED)
    return {"burst": lambda: read(ids[:half], UNLIMITED), "run": lambda: read(ids, LIMITED)}


def track_without_end(start: int, count: int, times: int, parameters: dict[str, Any]) -> Tasks:
    """Prepare the operator with more users than it can send: the same ones, repeated."""
    rows = customers(count, start) * times
    send = _sender(parameters)
    send(rows[:WARM_UP], UNLIMITED)
    return {"run": lambda: send(rows, LIMITED)}


def track_sql(count: int, parameters: dict[str, Any]) -> Tasks:
    """Prepare the operator with ``sql=``; the task returns how many rows were accepted, or had not changed."""
    send = _sql_sender()
    if "snapshot_path" in parameters:
        # Twice: a snapshot is written, and then searched.
        warm_up = {**parameters, "snapshot_path": f"{parameters['snapshot_path']}/warm-up"}
        send(SELECT.format(count=WARM_UP), LIMITED, **warm_up)
    else:
        warm_up = parameters
    send(SELECT.format(count=WARM_UP), LIMITED, **warm_up)
    return {"run": lambda: _settled(send(SELECT.format(count=count), LIMITED, **parameters))}


def read_sql(count: int) -> Tasks:
    """Prepare the operator so that it reads, shapes and counts rows, which every run does, and nothing else."""
    from airflow_provider_moengage.delivery.attempt import Attempt

    def put_aside(attempt: Any, position: int, row: object, item: object) -> tuple[()]:
        # As an unchanged row is counted: it ends no segment.
        attempt.ledger.leave_unchanged(position)
        attempt._segment_due += 1
        attempt._check_due += 1
        return ()

    # validate_only would do more than that: it learns the types of all attributes.
    Attempt.pack = put_aside  # type: ignore[assignment, method-assign]
    send = _sql_sender()
    send(SELECT.format(count=WARM_UP), LIMITED)

    def read() -> int:
        report = send(SELECT.format(count=count), LIMITED)
        return int(report["read"]) - int(report["unsent"])

    return {"run": read}


def finish_changed(count: int, half: int, snapshot_path: str, parameters: dict[str, Any]) -> Tasks:
    """Prepare the operator with changed users for several windows among those that have not changed since a first run."""
    send = _sql_sender()
    changed_only = {"changed_only": True, "snapshot_path": snapshot_path, **parameters}
    rows = count * CHANGED_EVERY
    send(NIGHT.format(night=0, count=rows), UNLIMITED, **{**changed_only, "bulk": True})

    def burst() -> int:
        # The optimum is that of the changed users alone.
        return _settled(send(CHANGED.format(night=1, count=half), UNLIMITED, **parameters))

    def run() -> int:
        report = send(NIGHT.format(night=1, count=rows), LIMITED, **changed_only)
        if report["unchanged"] != rows - count:
            raise RuntimeError(f"of {rows} users {report['unchanged']} had not changed")
        return int(report["accepted"])

    return {"burst": burst, "run": run}


def fingerprints(count: int, folder: str) -> Tasks:
    """Prepare made-up records: the snapshot of all is written, each is looked up, and the snapshot is written again."""
    from airflow_provider_moengage.delivery.changes.fingerprints import content_of, key_of
    from airflow_provider_moengage.delivery.changes.generation import write_generation
    from airflow_provider_moengage.delivery.changes.journal import Journal
    from airflow_provider_moengage.delivery.changes.snapshot import Snapshot

    found = bytearray(count)
    opened: list[Snapshot] = []

    def entries(start: int, end: int) -> Iterator[bytes]:
        for number in range(start, end):
            yield key_of(f"C{number:08d}") + content_of(CONTENT % number)

    def generation(journal: Journal, last: Snapshot | None) -> int:
        return write_generation(
            folder, journal, last, None, lambda place, entry, _: entry if found[place] else None, adds=True
        )

    def write() -> int:
        journal = Journal(folder, keeps_ids=False, shared=False)
        for start in range(0, count, BATCH):
            journal.add(b"".join(entries(start, min(start + BATCH, count))))
        return generation(journal, None)

    def search() -> int:
        last = os.path.join(folder, "last")
        os.rename(os.path.join(folder, "entries"), last)
        opened.append(Snapshot(last, count))
        for entry in entries(0, count):
            found[opened[0].find(entry)] = 1
        return sum(found)

    def rewrite() -> int:
        with tempfile.TemporaryDirectory() as empty:
            return generation(Journal(empty, keeps_ids=False, shared=False), opened[0])

    return {
        "write": write,
        "search": search,
        "rewrite": rewrite,
        "peak": lambda: memory("VmHWM"),
        "anonymous": lambda: memory("RssAnon"),
    }


def nothing() -> Tasks:
    """Import Airflow: the first process to do so writes its configuration and the bytecode."""
    import airflow_provider_moengage.operators.users  # noqa: F401

    return {}


def _sender(parameters: dict[str, Any]) -> Callable[[Rows, str], int]:
    from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

    def send(users: Rows, moengage_conn_id: str) -> int:
        operator = MoEngageTrackUsersOperator(
            task_id="push", users=users, moengage_conn_id=moengage_conn_id, **parameters
        )
        return int(operator.execute({})["accepted"])

    return send


def _sql_sender() -> Callable[..., Mapping[str, Any]]:
    from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator

    def send(sql: str, moengage_conn_id: str, **parameters: Any) -> Mapping[str, Any]:
        operator = MoEngageTrackUsersOperator(
            task_id="push", sql=sql, sql_conn_id="warehouse", moengage_conn_id=moengage_conn_id, **parameters
        )
        return operator.execute({})

    return send


def _settled(report: Mapping[str, Any]) -> int:
    """Return how many rows were accepted or had not changed."""
    return int(report["accepted"]) + int(report.get("unchanged") or 0)


def _warmed(send: Send, count: int, source: Source = customers) -> Tasks:
    rows = source(count)
    send(source(WARM_UP))

    def run() -> int:
        send(rows)
        return len(rows)

    return {"run": run}
