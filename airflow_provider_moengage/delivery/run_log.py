"""Log lines at the start of a run: its source, its target, the rate limit and where it resumes."""

from __future__ import annotations

import logging
import re

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.endpoint import WINDOW_SECONDS, Endpoint
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.read.sources import Source, described

log = logging.getLogger(__name__)


def log_target(
    source: Source,
    client: MoEngageClient,
    endpoint: Endpoint,
    concurrency: int | None,
    *,
    validate_only: bool,
) -> None:
    """Log the source and the target, without the Workspace ID: its field may hold the key by mistake."""
    description, where = without_credentials(described(source)), client.workspace.location
    if validate_only:
        log.info("%s, validate_only: %s, nothing is sent to MoEngage %s", endpoint.name, description, where)
        return
    direction = "from" if endpoint.reads else "to"
    log.info(
        "%s: %s %s MoEngage %s%s",
        endpoint.name,
        description,
        direction,
        where,
        "" if concurrency is None else f", concurrency {concurrency}",
    )


def log_workspace(client: MoEngageClient, endpoint: Endpoint) -> None:
    """Log the workspace and its rate window, once a response has proven the credentials."""
    log.info("Workspace %s, rate window: %s", client.workspace.app_id, _rate(client, endpoint))


def log_resumption(checkpoint: Checkpoint, ledger: Ledger) -> None:
    """
    Log where a run resumes.

    :param checkpoint: the checkpoint it resumes from, as loaded.
    :param ledger: of the resuming run, with the number of rows if it is known.
    """
    earlier = ledger.earlier
    log.info(
        "Resumed %s: %s done, %s of them rejected",
        "after a deferral"
        if checkpoint.deferred_at is not None
        else f"where try {checkpoint.try_number} ended",
        f"{earlier.settled:,} of {counted(ledger.read, 'row')} are"
        if ledger.source_exhausted
        else f"{counted(earlier.settled, 'row')} {'is' if earlier.settled == 1 else 'are'}",
        f"{earlier.rejected:,}",
    )


def without_credentials(text: str) -> str:
    """Return a text with the passwords in URLs and the query strings of http(s) URLs masked."""
    masked = re.sub(r"(\b[\w+.-]+://[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)
    return re.sub(r"(\bhttps?://[^?\s]*)\?\S*", r"\1?***", masked)


def _rate(client: MoEngageClient, endpoint: Endpoint) -> str:
    workspace = client.workspace
    share = workspace.rate_limit_share
    windows = {quota: client.windows.window(quota) for quota in endpoint.quotas}
    limits = []
    for quota, window in windows.items():
        part = f"{window.capacity:,} of " if share < 1 else ""
        unit = "requests" if quota.counts == "requests" else quota.name.rpartition("_")[2]
        limits.append(f"{part}{window.limit:,} {unit}")
    periods = {window.period for window in windows.values()}
    period = "a minute" if periods == {WINDOW_SECONDS} else f"in {max(periods):g} s"
    learned = any(window.limit != workspace.limit(quota) for quota, window in windows.items())
    if learned or periods != {WINDOW_SECONDS}:
        origin = "published"
    elif any(quota.name in workspace.limits for quota in endpoint.quotas):
        origin = "limits of the connection"
    else:
        origin = "MoEngage's default"
    return (
        f"{' and '.join(', '.join(limits).rsplit(', ', 1))} {period} ({origin}"
        + (f", rate_limit_share {share:g}" if share < 1 else "")
        + (", shared through Redis)" if client.windows.is_shared else ")")
    )
