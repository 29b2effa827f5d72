"""Sends batches and records the outcome of each request in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue

from airflow_provider_moengage.api.client import MAX_RETRIES, MoEngageClient
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRateLimited,
    MoEngageRecordInvalid,
    MoEngageRecordRefused,
    MoEngageRequestRefused,
    MoEngageStopped,
    MoEngageWindowSpent,
)
from airflow_provider_moengage.api.http.classify import Answer
from airflow_provider_moengage.api.rate_limit.limiter import Permit
from airflow_provider_moengage.delivery.account.ledger import HOPELESS_REJECTIONS, Ledger
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.operation import Operation
from airflow_provider_moengage.delivery.resume.checkpointer import Checkpointer


def unconfirmed_error() -> MoEngageRecordInvalid:
    """Return the reason for rejecting a row that MoEngage may have accepted."""
    return MoEngageRecordInvalid(
        "unknown", "no response came: MoEngage may or may not have accepted it, and on_unknown is 'reject'"
    )


class Sender:
    """
    Sends batches, from many threads at once.

    :param ledger: records the outcome of every row.
    :param checkpointer: writes the outcomes down.
    :param halt: nothing more is sent once it is set.
    :param stop: called with the error that ends the run.
    :param patience: maximum seconds to wait for a rate window; None: no maximum.
    """

    def __init__(
        self,
        client: MoEngageClient,
        operation: Operation,
        ledger: Ledger,
        checkpointer: Checkpointer,
        halt: threading.Event,
        stop: Callable[[BaseException], None],
        patience: float | None = None,
    ) -> None:
        self._client = client
        self._operation = operation
        self._ledger = ledger
        self._checkpointer = checkpointer
        self._halt = halt
        self._stop = stop
        self._patience = patience
        self._responses: SimpleQueue[tuple[Batch, Answer]] = SimpleQueue()
        self._unanswered = 0
        #: User → error, where responses are received: duplicates of the user's row get its outcome.
        self.rejected: dict[str, MoEngageError] = {}

    def send(self, batch: Batch) -> None:
        """
        Send a batch, split into as many requests as the rate window and rejections require.

        :raises OSError: the folder of rejected rows cannot be written.
        """
        pieces = [batch]
        while pieces:
            try:
                permit = self._client.windows.acquire(
                    pieces[-1].units, self._halt, pieces[-1].minimum_units, self._patience
                )
            except MoEngageWindowSpent as spent:
                self._stop(spent)
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
        while self._operation.receive is not None and not self._responses.empty():
            self._operation.receive(*self._responses.get())

    def _send_once(self, batch: Batch, permit: Permit) -> Sequence[Batch]:
        """Send one request, record its outcome and return the batches to send in its place."""
        operation = self._operation
        self._ledger.begin(batch)
        exchange = self._client.send(
            operation.endpoint,
            batch.body,
            batch.units,
            self._halt,
            repeatable=operation.repeatable,
            permit=permit,
            patience=self._patience,
        )
        if isinstance(exchange.outcome, Answer):
            error = operation.verify(batch, exchange.outcome)
            exchange = replace(exchange, outcome=error or exchange.outcome)
        self._ledger.settle(batch, exchange)
        outcome = exchange.outcome
        if isinstance(outcome, Answer):
            self._unanswered = 0
            if operation.receive is not None:
                self._responses.put((batch, outcome))
        elif operation.forgives(outcome):
            self._ledger.forgive(batch)
        elif (
            isinstance(outcome, MoEngageRateLimited)
            and len(batch) > 1
            and self._client.windows.exceeds(batch.units)
        ):
            return batch.split(len(batch) // 2)
        elif isinstance(outcome, MoEngageRecordRefused):
            return self._bisect(batch, outcome)
        elif exchange.unanswered and not operation.repeatable and self._unanswered < MAX_RETRIES:
            self._unanswered += 1
            for entry in batch.entries:
                self._ledger.reject(entry, unconfirmed_error())
        elif isinstance(outcome, MoEngageWindowSpent) or not isinstance(outcome, MoEngageStopped):
            self._stop(outcome)
        return ()

    def _bisect(self, batch: Batch, rejection: MoEngageRecordRefused) -> Sequence[Batch]:
        """Halve a rejected batch until the bad row stands alone, and reject that one."""
        if len(batch) > 1:
            return batch.split(len(batch) // 2)
        self._ledger.reject(next(batch.entries), rejection)
        if self._operation.receive is not None:
            self.rejected[batch.users[0]] = rejection
        hopeless = self._ledger.hopeless
        if hopeless:
            self._stop(
                MoEngageRequestRefused(
                    f"MoEngage rejected {HOPELESS_REJECTIONS} rows with {hopeless} and accepted none: the fault is not "
                    "the rows'; look at the rejected rows, the workspace's settings and the connection"
                )
            )
        return ()
