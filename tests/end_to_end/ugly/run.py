"""Sends ugly rows through one medium in one mode, and compares what came of every row with what was to come of it."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.ugly.media import Medium
from tests.end_to_end.ugly.rows import ZONE, Row, logical_rows, stored

#: Mode → the operator's parameters; with ``drop`` a bad attribute costs no row.
MODES: Mapping[str, Mapping[str, Any]] = {
    "single": {},
    "bulk": {"bulk": True},
    "drop": {"bulk": True, "on_bad_attribute": "drop"},
}
SETTINGS = {
    "users_per_minute": 100_000_000,
    "bulk_users_per_minute": 100_000_000,
    "object_attributes": True,
    # Rows of 300 attributes are to be taken here.
    "max_user_attributes": 10_000,
    "requests_kept": 0,
}


@dataclass
class Written:
    """Rows as they stand in a medium, and the operator's parameters that read them."""

    medium: Medium
    rows: list[Row]
    parameters: Mapping[str, Any]


@dataclass
class Compared:
    """
    How a run went.

    :param differences: kinds of a row's ugliness, and what is not as it was to be → how many rows.
    :param examples: the same → a sentence about the first such row.
    :param positions: of the rows that differ.
    """

    medium: str
    mode: str
    report: Mapping[str, Any]
    bent: int
    seconds: float
    differences: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    positions: set[int] = field(default_factory=set)

    def differs(self, what: str, example: str) -> None:
        self.differences[what] += 1
        self.examples.setdefault(what, example)


def written(medium: Medium, folder: Path, *, rows: int, seed: int, rate: float) -> Written:
    """Write rows into a medium, as many into each of its parts."""
    size = -(-rows // len(medium.parts))
    every = list(logical_rows(rows, seed, rate, lambda n: medium.parts[n // size]))
    folder.mkdir()
    parameters = medium.write([every[first : first + size] for first in range(0, len(every), size)], folder)
    return Written(medium, [row for row in every for _ in range(row.lines)], parameters)


def sent(source: Written, mode: str, sandbox: Sandbox) -> Compared:
    """Send the rows to a clean sandbox, and compare."""
    sandbox.reset()
    sandbox.settings(**SETTINGS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        parameters = {**source.parameters, **MODES[mode]}
        report, failure = _run(parameters, folder, len(source.rows))
        rejected = list(_rejected(folder))
        compared = Compared(
            source.medium.name, mode, report, sandbox.state()["bent"], time.monotonic() - began
        )
        if failure:
            compared.differs("the run failed", failure)
            return compared
        _compare_counts(compared, source.rows, drop=mode == "drop")
        _compare_rejected(compared, source.rows, rejected, drop=mode == "drop")
        _compare_stored(compared, source.rows, sandbox, drop=mode == "drop")
        if mode == "bulk":
            _send_again(compared, source, sandbox, folder)
    return compared


def _run(parameters: Mapping[str, Any], folder: str, rows: int) -> tuple[Mapping[str, Any], str]:
    try:
        operator = MoEngageTrackUsersOperator(
            task_id="ugly",
            timezone=ZONE,
            concurrency=16,
            max_rejected=rows,
            rejected_path=folder,
            **parameters,
        )
        return operator.execute({}), ""
    except Exception as error:
        # Whatever it is, it is a difference, and the other media are still to be looked at.
        return getattr(error, "report", None) or {}, f"{type(error).__name__}: {error}"


def _rejected(folder: str) -> Iterator[dict[str, Any]]:
    for part in sorted(Path(folder).rglob("*.ndjson")):
        yield from map(json.loads, part.read_text("utf-8").splitlines())


def _compare_counts(compared: Compared, rows: list[Row], *, drop: bool) -> None:
    accepted = sum(row.accepted(drop) for row in rows)
    expected = {"read": len(rows), "accepted": accepted, "rejected": len(rows) - accepted, "unsent": 0}
    found = {name: compared.report.get(name) for name in expected}
    if drop:
        # By attribute they are counted together beyond the commonest.
        dropped: Mapping[str, Mapping[str, int]] = compared.report.get("dropped", {})
        found["dropped"] = sum(sum(reasons.values()) for reasons in dropped.values())
        expected["dropped"] = sum(len(row.bad) for row in rows if row.accepted(drop))
    for name, count in expected.items():
        if found[name] != count:
            compared.differs(f"report: {name}", f"{found[name]} in place of {count}")


def _compare_rejected(
    compared: Compared, rows: list[Row], lines: Iterable[Mapping[str, Any]], *, drop: bool
) -> None:
    reasons: dict[int, str] = {}
    for line in lines:
        if line["position"] in reasons:
            compared.differs("rejected more than once", f"position {line['position']}")
        reasons[line["position"]] = line["reason"]
    for position, row in enumerate(rows):
        if row.accepted(drop) == (position in reasons):
            what = "was not rejected" if position not in reasons else "was rejected"
            _differs(compared, position, row, what, reasons.get(position, ""))
    for position in set(reasons) - set(range(len(rows))):
        compared.differs("rejected without being a row", f"position {position}: {reasons[position]}")


def _compare_stored(compared: Compared, rows: list[Row], sandbox: Sandbox, *, drop: bool) -> None:
    if compared.bent:
        for line in sandbox.bent():
            compared.differs(f"bent: {line['attribute']}: {line['what']}", str(line["customer_id"]))
    expected = stored(rows, drop)
    # Who wrote to a customer, for whoever has to find out what went wrong.
    position_of = {row.customer: position for position, row in enumerate(rows) if row.accepted(drop)}
    for customer, attributes in _users(sandbox):
        wanted = expected.pop(customer, None)
        if wanted is None:
            compared.differs("stored, and by no row", repr(customer))
            continue
        for name in sorted({*wanted, *attributes}):
            if name not in wanted or name not in attributes or not _same(wanted[name], attributes[name]):
                position = position_of[customer]
                found = f"{attributes.get(name, 'nothing')!r} in place of {wanted.get(name, 'nothing')!r}"
                _differs(compared, position, rows[position], f"has another {name}", found)
    for customer in expected:
        position = position_of[customer]
        if position not in compared.positions:
            _differs(compared, position, rows[position], "is not stored", "")


def _send_again(compared: Compared, source: Written, sandbox: Sandbox, folder: str) -> None:
    """Send the rejected rows as they are: nothing that was unfit is fit now, and no placeholder is data."""
    kept = ("types", "null_values", "fold_columns")
    parameters = {name: value for name, value in source.parameters.items() if name in kept}
    users = sandbox.state()["users"]
    rejected = compared.report.get("rejected", 0)
    with tempfile.TemporaryDirectory() as again:
        report, failure = _run({"path": folder, "bulk": True, **parameters}, again, len(source.rows))
        if failure:
            compared.differs("sent again, the run failed", failure)
        read = len(list(_rejected(again)))
    if (report.get("read"), report.get("rejected"), read) != (rejected, rejected, rejected):
        compared.differs(
            "sent again, rejected rows were accepted", f"{rejected} rejected; then {dict(report)}"
        )
    if (users, compared.bent) != (sandbox.state()["users"], sandbox.state()["bent"]):
        compared.differs("sent again, rejected rows were stored", "")


def _differs(compared: Compared, position: int, row: Row, what: str, detail: str) -> None:
    compared.positions.add(position)
    kinds = " + ".join(row.kinds) or "a plain row"
    compared.differs(
        f"{kinds}: {what}", f"position {position}: {detail}" if detail else f"position {position}"
    )


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one to JSON, in which 1 is 1.0 and not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _users(sandbox: Sandbox) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stored users, a page at a time: all of them with their histories would fill the memory."""
    connection = http.client.HTTPConnection(sandbox.host, sandbox.port, timeout=60)
    offset = 0
    while True:
        connection.request("GET", f"/_sandbox/users?offset={offset}&limit=1000")
        page = json.loads(connection.getresponse().read())["users"]
        if not page:
            break
        yield from ((user["customer_id"], user["attributes"]) for user in page)
        offset += len(page)
    connection.close()
