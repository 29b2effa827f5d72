"""Translates how a run ended into a report or an exception for Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_moengage._compat import AirflowFailException, AirflowSkipException
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageParameterError,
    MoEngageRequestRefused,
    MoEngageStagedRowsDamaged,
    MoEngageUnreadableValue,
    MoEngageUnsafeRestart,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.delivery.read.function_rows import FunctionError
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.safe_messages import describe, safe_cause
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed

#: Errors that a retry would meet again.
HOPELESS = (
    MoEngageRequestRefused,
    MoEngageParameterError,
    MoEngageStagedRowsDamaged,
    MoEngageUnreadableValue,
    MoEngageUnsafeRestart,
)


def conclude(report: Report, cause: BaseException | None, max_rejected: float) -> Report:
    """
    Return the report of a run that succeeded, or raise what ended it.

    :param cause: what stopped the run; None: it completed.
    :param max_rejected: rows that may be rejected, as a count or a share.
    :raises MoEngageTaskFailed: a retry would not help.
    :raises MoEngageIncompleteRun: a retry resumes.
    :raises AirflowException: the source's own, which fails the task without a retry or skips it.
    :raises MoEngageWindowSpent: the run resumes once the rate window has reset.
    """
    where = ""
    if isinstance(cause, FunctionError):
        where, cause = f", in {cause.function}()", cause.__cause__
    if isinstance(cause, HOPELESS):
        # The cause adds a response's status and request id; other errors have nothing to add to their text.
        response = safe_cause(cause) if isinstance(cause, MoEngageRequestRefused) else None
        raise MoEngageTaskFailed(f"{cause} ({_counts(report)})", report=report) from response
    if isinstance(cause, MoEngageWindowSpent):
        raise cause
    if isinstance(cause, (AirflowFailException, AirflowSkipException)):
        # A function that returns rows has decided how its task ends.
        raise cause
    if isinstance(cause, Exception):
        text = f"The run ended early: {describe(cause)}{where} ({_counts(report)})"
        retry_after = cause.retry_after if isinstance(cause, MoEngageError) else None
        raise MoEngageIncompleteRun(text, report=report, retry_after=retry_after) from safe_cause(cause)
    if cause is not None:
        # A timeout or a signal must reach Airflow unchanged.
        raise cause
    if are_too_many_rejected(report, max_rejected):
        raise MoEngageTaskFailed(_too_many_rejected(report, max_rejected), report=report)
    return report


def are_too_many_rejected(report: Mapping[str, Any], max_rejected: float) -> bool:
    """
    Whether more rows were rejected than may be.

    :param max_rejected: rows that may be rejected, as a count or a share.
    """
    # Divide instead of multiplying: 0.29 * 100 is less than 29.
    share = isinstance(max_rejected, float)
    rejected: float = report["rejected"] / report["read"] if share and report["read"] else report["rejected"]
    return rejected > max_rejected


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
