"""The loop of a run: read rows, shape, pack, send and account for them."""

from __future__ import annotations

import logging
import time
from contextlib import closing, suppress

from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.attempt import Attempt
from airflow_provider_moengage.delivery.resume.checkpoint_store import CheckpointStore
from airflow_provider_moengage.delivery.run import Delivery, Run
from airflow_provider_moengage.delivery.run_log import log_resumption, log_target

log = logging.getLogger(__name__)


def deliver(delivery: Delivery) -> Run:
    """Deliver until the source ends or something stops the run; requests in flight are settled in any case."""
    with delivery.cancellation.watching():
        try:
            attempt = _open(delivery)
        except BaseException as error:
            # Kept and not raised, since every exit has to return a report.
            delivery.cancellation.stop(error)
            return _unopened(delivery)
        with attempt, closing(attempt.remaining()) as rows:
            for position, row in rows:
                item = attempt.shape(position, row)
                if item is not None:
                    for batch in attempt.pack(position, row, item):
                        attempt.send(batch)
            attempt.send_rest()
        return attempt.run()


def _open(delivery: Delivery) -> Attempt:
    """
    Connect, prepare the source and load the checkpoint; nothing is sent.

    :raises BaseException: whatever prevents it.
    """
    with suppress(TypeError):
        # Raises if the rows are no list, before anything else is looked at.
        len(delivery.source)
    client, checkpoints, cancellation = delivery.connect(), delivery.checkpoints, delivery.cancellation
    cancellation.on_stop(client.windows.wake)
    cancellation.on_abort(client.abort)
    # Nothing else ends a hanging fetch.
    if (cancel := getattr(delivery.source, "cancel", None)) is not None:
        cancellation.on_stop(cancel)
    log_target(
        delivery.source,
        client,
        delivery.operation.endpoint,
        delivery.concurrency,
        validate_only=delivery.validate_only,
    )
    kept = None
    if checkpoints is not None:
        checkpoints.open()
        kept = checkpoints.load(_fingerprint(delivery, checkpoints))
        if kept is not None and kept.window_client is not None:
            client.windows.resume_as(kept.window_client)
    if delivery.changes is not None:
        delivery.changes.open(
            client.workspace,
            kept.changes if kept is not None else None,
            resumed=kept is not None,
            shared=checkpoints is not None and checkpoints.resumable,
        )
    if delivery.sample is not None:
        delivery.sample.open(client.workspace, resumed=kept is not None)
    attempt = Attempt(delivery, client, kept and kept.after_deferral(time.time()))
    if kept is not None:
        log_resumption(kept, attempt.ledger)
    elif checkpoints is not None and checkpoints.retry_effect is not None:
        log.info("%s", checkpoints.retry_effect)
    return attempt


def _fingerprint(delivery: Delivery, checkpoints: CheckpointStore) -> str | None:
    """Prepare the source and return its fingerprint; None if no checkpoint needs it: to hash a list is O(n)."""
    source = delivery.source
    if checkpoints.resumable or getattr(source, "must_be_prepared", False):
        return source.prepare(delivery.mapping.check_columns, delivery.cancellation.event)
    return None


def _unopened(delivery: Delivery) -> Run:
    """Return the result of a run that ended before its first row was read."""
    ledger = Ledger()
    with suppress(Exception):
        ledger.count_source(delivery.source)
    valid = 0 if delivery.validate_only else None
    unchanged = 0 if delivery.changes is not None else None
    report = ledger.report(more={"valid": valid, "unchanged": unchanged, **delivery.responses.counts(0)})
    return Run(report, delivery.cancellation.reason)
