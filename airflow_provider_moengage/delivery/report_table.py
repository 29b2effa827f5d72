"""Log lines at the end of a run: how it ended, and its report as a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageWindowSpent
from airflow_provider_moengage.delivery.quantities import counted, span
from airflow_provider_moengage.delivery.run_log import without_credentials

log = logging.getLogger(__name__)

#: Counts that every table shows, even if 0: of a run that sends, and of one that only validates.
SENT = ("read", "accepted", "rejected", "unsent", "requests")
VALIDATED = ("read", "valid", "rejected")
#: Counts in the order of the table; those not named above are shown if they are not 0.
COUNTS = (
    "read",
    "accepted",
    "valid",
    "unchanged",
    "added",
    "changed",
    "rejected",
    "unsent",
    "removed",
    "removed_rejected",
    "removed_unsent",
    "unknown",
    "missing",
    "found",
    "not_found",
    "requests",
    "retried",
    "deferrals",
)


class LoggedEnd:
    """
    Logs how a run ended when the block is left, even by an exception; a deferral is not logged.

    :param report: the report of the run.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._report = report

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, MoEngageWindowSpent):
            return
        level = logging.INFO if error is None else logging.WARNING
        log.log(level, "%s", outcome(self._report, failed=error is not None))
        log_report(self._report)


def log_report(report: Mapping[str, Any]) -> None:
    """Log a report as a table, one line per count and reason."""
    for line in table(report):
        log.info("%s", line)


def outcome(report: Mapping[str, Any], *, failed: bool) -> str:
    """
    Return in one line how a run ended, and how long it took.

    :param failed: whether the run ended with an error.
    """
    validated = "valid" in report
    if not failed:
        verb = "Validated in" if validated else "Completed in"
    else:
        verb = "Stopped after" if report["unsent"] or not report["source_exhausted"] else "Failed after"
    time = f"{verb} {span(max(report['duration_seconds'], 0.1))}"
    if not report["read"]:
        return f"{time}: no rows" if report["source_exhausted"] else f"{time}: no row was read"
    good, what = (report["valid"], "valid") if validated else (report["accepted"], "accepted")
    parts = [
        f"{good:,} of {counted(report['read'], 'row')} {what}",
        *([f"{report['unchanged']:,} unchanged"] if "unchanged" in report else []),
        f"{report['rejected']:,} rejected",
        *([f"{report['unsent']:,} not sent"] if report["unsent"] else []),
        *(["nothing was sent"] if validated else []),
    ]
    return f"{time}: {', '.join(parts)}"


def table(report: Mapping[str, Any]) -> list[str]:
    """
    Return a report as lines, aligned for a monospaced font.

    Optional counts that are 0 are left out, and all counts if there were no rows; the folder of rejected rows has a
    line of its own.
    """
    if not report["read"]:
        return []
    always = VALIDATED if "valid" in report else SENT
    counts = {name: f"{report[name]:,}" for name in COUNTS if report.get(name) or name in always}
    if report["throttled_seconds"] >= 1:
        counts["throttled_seconds"] = f"{report['throttled_seconds']:,.0f}"
    if not report["source_exhausted"]:
        counts["source_exhausted"] = "False"
    names, values = max(map(len, counts)), max(map(len, counts.values()))
    lines = [f"{name:<{names}}  {value:>{values}}" for name, value in counts.items()]
    lines += [f"Rejected: {counted(rows, 'row')}, {reason}" for reason, rows in report["reasons"].items()]
    for attribute, reasons in report["dropped"].items():
        lines += [
            f"Dropped {attribute!r} of {counted(rows, 'row')}: {reason}" for reason, rows in reasons.items()
        ]
    if report["rejected_path"]:
        lines.append(f"Rejected rows: {without_credentials(report['rejected_path'])}")
    return lines
