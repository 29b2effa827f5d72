"""How a run ends for Airflow: what it may cost, and what it raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_moengage.api.endpoints import MAX_BODY_BYTES
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageParameterError,
    MoEngageRequestRefused,
    MoEngageStagedRowsDamaged,
    MoEngageUnreadableValue,
    MoEngageUnsafeRestart,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.delivery.pipeline import Run
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.safe_messages import describe, safe_cause
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed

MAX_CONCURRENCY = 256
#: What users mean that MoEngage does not know, and what becomes of events that got no answer.
ON_MISSING = ("ignore", "fail")
ON_UNKNOWN = ("resend", "reject")
#: What a retry would meet again.
HOPELESS = (
    MoEngageRequestRefused,
    MoEngageParameterError,
    MoEngageStagedRowsDamaged,
    MoEngageUnreadableValue,
    MoEngageUnsafeRestart,
)


def check_max_rejected(value: object) -> None:
    """
    Check the number of rows that may be rejected.

    :raises MoEngageParameterError: it is neither a count nor a share.
    """
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    share = isinstance(value, float) and 0 <= value < 1
    if not count and not share:
        raise MoEngageParameterError(
            f"max_rejected is {value!r}; use a whole number of rows from 0, or a share from 0.0 to below 1.0"
        )


def check_concurrency(value: object) -> None:
    """
    Check the number of requests in flight.

    :raises MoEngageParameterError: it is no whole number from 1 to 256.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONCURRENCY:
        raise MoEngageParameterError(
            f"concurrency is {value!r}; use a whole number from 1 to {MAX_CONCURRENCY}"
        )


def check_max_bytes(value: object) -> None:
    """
    Check the size of a call of Bulk Import.

    :raises MoEngageParameterError: it is no number of bytes, or more than MoEngage takes.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BODY_BYTES:
        raise MoEngageParameterError(f"max_bytes is {value!r}; use a number of bytes up to {MAX_BODY_BYTES}")


def check_one_of(parameter: str, value: object, allowed: Sequence[str]) -> None:
    """
    Check a parameter that is one of a few words.

    :raises MoEngageParameterError: it is another one.
    """
    if not isinstance(value, str) or value not in allowed:
        raise MoEngageParameterError(f"{parameter} is {value!r}; use {' or '.join(map(repr, allowed))}")


def check_max_users(value: object) -> None:
    """
    Check the number of users that may be deleted.

    :raises MoEngageParameterError: it is no whole number from 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MoEngageParameterError(f"max_users is {value!r}; use a whole number from 1")


def conclude(run: Run, max_rejected: float) -> Report:
    """
    Turn how a run ended into a report or into what Airflow understands.

    :raises MoEngageTaskFailed: a retry would not mend it.
    :raises MoEngageIncompleteRun: a retry goes on.
    :raises MoEngageWindowSpent: the run goes on once the rate window has reset.
    """
    report, cause = run.report, run.stopped_by
    if isinstance(cause, HOPELESS):
        # Of an answer the status and the request's id are worth having; the others have said all that there is to say.
        answer = safe_cause(cause) if isinstance(cause, MoEngageRequestRefused) else None
        raise MoEngageTaskFailed(f"{cause} ({_counts(report)})", report=report) from answer
    if isinstance(cause, MoEngageWindowSpent):
        raise cause
    if isinstance(cause, Exception):
        text = f"The run ended early: {describe(cause)} ({_counts(report)})"
        retry_after = cause.retry_after if isinstance(cause, MoEngageError) else None
        raise MoEngageIncompleteRun(text, report=report, retry_after=retry_after) from safe_cause(cause)
    if cause is not None:
        # A time-out or a signal: it must reach Airflow as it is.
        raise cause
    # A quotient and not a product: 0.29 * 100 is less than 29.
    share = isinstance(max_rejected, float)
    rejected = report["rejected"] / report["read"] if share and report["read"] else report["rejected"]
    if rejected > max_rejected:
        raise MoEngageTaskFailed(_too_many_rejected(report, max_rejected), report=report)
    return report


def _counts(report: Mapping[str, Any]) -> str:
    rows = "row" if report["read"] == 1 else "rows"
    return "{read} {rows} read, {accepted} accepted, {rejected} rejected, {unsent} not sent".format_map(
        {**report, "rows": rows}
    )


def _too_many_rejected(report: Mapping[str, Any], max_rejected: float) -> str:
    rejected, read = report["rejected"], report["read"]
    others = read - rejected
    if read == 1:
        what = "The only row was rejected"
    elif not others:
        what = f"All {read} rows were rejected"
    else:
        what = f"{rejected} of {read} rows {'was' if rejected == 1 else 'were'} rejected"
    what += f", more than max_rejected={max_rejected!r} allows"
    if others:
        what += "; " + ("the other row was " if others == 1 else "every other row was ")
        what += "found valid" if "valid" in report else "delivered"
    reasons = "; ".join(f"{count} x {reason}" for reason, count in report["reasons"].items())
    rows = "row" if rejected == 1 else "rows"
    folder = report["rejected_path"]
    kept = (
        f"The rejected {rows} {'is' if rejected == 1 else 'are'} in {folder}"
        if folder
        else f"Set rejected_path to keep the rejected {rows}"
    )
    return f"{what}. {reasons}. {kept}"
