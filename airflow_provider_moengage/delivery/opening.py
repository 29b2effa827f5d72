"""What the log says when a run begins: from where, to where, how fast, and what a retry would do."""

from __future__ import annotations

import logging
import re

from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.delivery.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.ledger import Ledger
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.sources import Source, described

log = logging.getLogger(__name__)


def log_target(
    source: Source, client: MoEngageClient, endpoint: Endpoint, concurrency: int, *, validate_only: bool
) -> None:
    """Log which rows go to which workspace."""
    description = without_credentials(described(source))
    if validate_only:
        log.info(
            "%s, validate_only: %s for %s, nothing is sent", endpoint.name, description, client.workspace
        )
        return
    direction = "from" if endpoint.reads else "to"
    log.info(
        "%s: %s %s %s, concurrency %d", endpoint.name, description, direction, client.workspace, concurrency
    )


def log_conditions(client: MoEngageClient, endpoint: Endpoint, retry_effect: str | None) -> None:
    """
    Log the rate window, and what a retry would do.

    :param retry_effect: what it would do; None: there is no retry to speak of.
    """
    log.info("Rate window: %s", _rate(client, endpoint))
    if retry_effect is not None:
        # A line of its own: Airflow's page of a log cuts long ones off.
        log.info("%s", retry_effect)


def log_resumption(checkpoint: Checkpoint, ledger: Ledger) -> None:
    """
    Log where a run goes on.

    :param checkpoint: as it was kept.
    :param ledger: of the run that goes on, with the number of rows where it is known.
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
    """Return a text in which the passwords in URLs are masked, and what stands behind the ``?`` of one of the web."""
    masked = re.sub(r"(\b[\w+.-]+://[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)
    return re.sub(r"(\bhttps?://[^?\s]*)\?\S*", r"\1?***", masked)


def _rate(client: MoEngageClient, endpoint: Endpoint) -> str:
    workspace = client.workspace
    share = workspace.rate_limit_share
    limits = [(workspace.limit(quota), quota.rpartition("_")[2]) for quota in endpoint.quotas]
    parts = [
        f"{f'{int(units * share):,} of ' if share < 1 else ''}{units:,} {noun}" for units, noun in limits
    ]
    configured = any(quota in workspace.limits for quota in endpoint.quotas)
    origin = "limits of the connection" if configured else "MoEngage's default"
    return (
        f"{' and '.join(', '.join(parts).rsplit(', ', 1))} a minute ({origin}"
        + (f", rate_limit_share {share:g}" if share < 1 else "")
        + (", shared through Redis)" if client.windows.is_shared else ")")
    )
