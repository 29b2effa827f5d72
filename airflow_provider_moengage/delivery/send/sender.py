"""Sends batches and records the outcome of each request in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue

from airflow_provider_moengage.api.client import MAX_RETRIES, MoEngageClient
from airflow_provider_moengage.api.concurrency.limiter import ConcurrencyLimiter
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRateLimited,
    MoEngageRecordInvalid,
    MoEngageRecordRefused,
    MoEngageRequestRefused,
    MoEngageStopped,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.api.rate_limit.limiter import Permit
from airflow_provider_moengage.delivery.account.ledger import HOPELESS_REJECTIONS, Ledger
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.changes.kept_sample import KeptSample
from airflow_provider_moengage.delivery.operation import Operation, Responses
from airflow_provider_moengage.delivery.resume.checkpointer import Checkpointer
from airflow_provider_moengage.delivery.send.cancellation import Cancellation


def unconfirmed_error() -> MoEngageRecordInvalid:
    """Return the reason for rejecting a row that MoEngage may have accepted."""
    return MoEngageRecordInvalid(
        "unknown", "no response came: MoEngage may or may not have accepted it, and on_unknown is 'reject'"
    )


class Sender:
    """
    Sends batches, from many threads at once.

    :param responses: what the responses mean.
    :param ledger: records the outcome of every row.
    :param checkpointer: writes the outcomes down.
    :param cancellation: ends the run; nothing more is sent then.
    :param limiter: limits the requests in flight.
    :param resends: whether a request without a response is sent again; if not, its rows are rejected.
    :param max_wait: maximum seconds to wait for a rate window; None: no maximum.
    :param changes: records what was sent, if only changed rows are.
    :param sample: records what was accepted.
    """

    def __init__(
        self,
        client: MoEngageClient,
        operation: Operation,
        responses: Responses,
        ledger: Ledger,
        checkpointer: Checkpointer,
        cancellation: Cancellation,
        limiter: ConcurrencyLimiter,
        *,
        resends: bool,
        max_wait: float | None,
        changes: ChangedRows | None = None,
        sample: KeptSample | None = None,
    ) -> None:
        self._client = client
        self._endpoint = operation.endpoint
        self._responses = responses
        self._ledger = ledger
        self._checkpointer = checkpointer
        self._cancellation = cancellation
        self._limiter = limiter
        self._resends = resends
        self._max_wait = max_wait
        self._changes = changes
        self._sample = sample
        self._received: SimpleQueue[tuple[Batch, Response]] = SimpleQueue()
        self._unconfirmed_requests = 0
        #: User → error, where responses are received: duplicates of the user's row get its outcome.
        self.rejected: dict[str, MoEngageError] = {}

    def send(self, batch: Batch) -> None:
        """
        Send a batch, split into as many requests as the rate window and rejections require.

        :raises OSError: the folder of rejected rows cannot be written.
        """
        try:
            self._send(batch)
        except BaseException as error:
            # At once: other threads may wait for the place of this request among those in flight.
            self._cancellation.stop(error)
            raise

    def _send(self, batch: Batch) -> None:
        pieces = [batch]
        while pieces:
            try:
                permit = self._limiter.acquire(
                    pieces[-1].units, self._cancellation.event, pieces[-1].minimum_units, self._max_wait
                )
            except MoEngageWindowSpent as spent:
                self._cancellation.stop(spent)
                return
            except MoEngageStopped:
                return
            piece = pieces.pop()
            if permit.units != piece.units:
                # The units left in the window are spent at once; the rest of the batch waits for the next window.
                piece, rest = piece.split(piece.rows_within(permit.units))
                pieces.append(rest)
                permit.keep(piece.units)
            pieces += reversed(self._send_once(piece, permit))
            self._checkpointer.keep()

    def receive(self) -> None:
        """Process the responses so far in this thread, since not every sink can be used from another."""
        while not self._received.empty():
            self._responses.receive(*self._received.get())

    def _send_once(self, batch: Batch, permit: Permit) -> Sequence[Batch]:
        """Send one request, record its outcome and return the batches to send in its place."""
        self._ledger.begin(batch)
        exchange = self._client.send(
            self._endpoint,
            batch.body,
            batch.units,
            self._cancellation.event,
            idempotent=self._resends,
            permit=permit,
            max_wait=self._max_wait,
            limiter=self._limiter,
        )
        if isinstance(exchange.outcome, Response):
            error = self._responses.verify(batch, exchange.outcome)
            exchange = replace(exchange, outcome=error) if error is not None else exchange
        accepted = isinstance(exchange.outcome, Response)
        if self._changes is not None and (accepted or exchange.unconfirmed):
            # Before the ledger: a checkpoint that counts the rows has their records.
            self._changes.record(batch, confirmed=accepted and not exchange.unconfirmed)
        if self._sample is not None and accepted:
            self._sample.record(batch)
        self._ledger.settle(batch, exchange)
        outcome = exchange.outcome
        if isinstance(outcome, Response):
            self._unconfirmed_requests = 0
            if self._responses.receives:
                self._received.put((batch, outcome))
        elif self._responses.forgives(outcome):
            self._ledger.forgive(batch)
        elif (
            isinstance(outcome, MoEngageRateLimited)
            and len(batch) > 1
            and self._client.windows.exceeds(batch.units)
        ):
            return batch.split(len(batch) // 2)
        elif isinstance(outcome, MoEngageRecordRefused):
            return self._bisect(batch, outcome)
        elif exchange.unconfirmed and not self._resends and self._unconfirmed_requests < MAX_RETRIES:
            self._unconfirmed_requests += 1
            for entry in batch.entries:
                self._ledger.reject(entry, unconfirmed_error())
        elif isinstance(outcome, MoEngageWindowSpent) or not isinstance(outcome, MoEngageStopped):
            self._cancellation.stop(outcome)
        return ()

    def _bisect(self, batch: Batch, rejection: MoEngageRecordRefused) -> Sequence[Batch]:
        """Halve a rejected batch until the bad row stands alone, and reject that one."""
        if len(batch) > 1:
            return batch.split(len(batch) // 2)
        self._ledger.reject(next(batch.entries), rejection)
        if self._responses.receives:
            self.rejected[batch.users[0]] = rejection
        hopeless = self._ledger.hopeless
        if hopeless:
            self._cancellation.stop(
                MoEngageRequestRefused(
                    f"MoEngage rejected {HOPELESS_REJECTIONS} rows with {hopeless} and accepted none: the fault is not "
                    "the rows'; look at the rejected rows, the workspace's settings and the connection"
                )
            )
        return ()
