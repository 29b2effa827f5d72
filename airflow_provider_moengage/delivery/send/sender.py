"""A batch becomes requests, and what comes of each is entered."""

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
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.api.rate_limit.limiter import Permit
from airflow_provider_moengage.delivery.account.ledger import HOPELESS_REFUSALS, Ledger
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.operation import Operation
from airflow_provider_moengage.delivery.resume.checkpointer import Journal


def unknown() -> MoEngageRecordInvalid:
    """Give the reason for refusing what may have been taken."""
    return MoEngageRecordInvalid(
        "unknown", "no answer came: MoEngage may or may not have taken it, and on_unknown is 'reject'"
    )


class Sender:
    """
    Sends batches, from many threads at once.

    :param ledger: is told what became of every row.
    :param journal: writes it down.
    :param halt: once it is set, nothing more is sent.
    :param stop: called with what ends the run.
    :param patience: seconds to wait for a rate window at most; None: as long as it takes.
    """

    def __init__(
        self,
        client: MoEngageClient,
        operation: Operation,
        ledger: Ledger,
        journal: Journal,
        halt: threading.Event,
        stop: Callable[[BaseException], None],
        patience: float | None = None,
    ) -> None:
        self._client = client
        self._operation = operation
        self._ledger = ledger
        self._journal = journal
        self._halt = halt
        self._stop = stop
        self._patience = patience
        self._answers: SimpleQueue[tuple[Batch, Response]] = SimpleQueue()
        self._silent = 0
        #: User → why, where answers are received: rows that repeat others share their fate.
        self.refused: dict[str, MoEngageError] = {}

    def send(self, batch: Batch) -> None:
        """
        Send a batch, in as many requests as the rate window and MoEngage's refusals make of it.

        :raises OSError: the folder of refused rows cannot be written.
        """
        parts = [batch]
        while parts:
            try:
                permit = self._client.windows.acquire(
                    parts[-1].units, self._halt, parts[-1].least, self._patience
                )
            except MoEngageWindowSpent as spent:
                self._stop(spent)
                return
            except MoEngageStopped:
                return
            part = parts.pop()
            if permit.units != part.units:
                # What the window has left is spent at once; the rest of the batch waits for the next one.
                part, behind = part.cut(part.fitting(permit.units))
                parts.append(behind)
                permit.keep(part.units)
            parts += reversed(self._send_once(part, permit))
            self._journal.keep()

    def receive(self) -> None:
        """Hand over the answers that have come, in this thread: not every sink can be used from another."""
        while self._operation.receive is not None and not self._answers.empty():
            self._operation.receive(*self._answers.get())

    def _send_once(self, batch: Batch, permit: Permit) -> Sequence[Batch]:
        """Send one request and enter what came of it; gives what is to be sent in its place."""
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
        if isinstance(exchange.outcome, Response):
            doubt = operation.doubts(batch, exchange.outcome)
            exchange = replace(exchange, outcome=doubt or exchange.outcome)
        self._ledger.settle(batch, exchange)
        outcome = exchange.outcome
        if isinstance(outcome, Response):
            self._silent = 0
            if operation.receive is not None:
                self._answers.put((batch, outcome))
        elif operation.forgives(outcome):
            self._ledger.forgive(batch)
        elif (
            isinstance(outcome, MoEngageRateLimited)
            and len(batch) > 1
            and self._client.windows.exceeds(batch.units)
        ):
            return batch.cut(len(batch) // 2)
        elif isinstance(outcome, MoEngageRecordRefused):
            return self._narrow_down(batch, outcome)
        elif exchange.unanswered and not operation.repeatable and self._silent < MAX_RETRIES:
            self._silent += 1
            for entry in batch.entries:
                self._ledger.refuse(entry, unknown())
        elif isinstance(outcome, MoEngageWindowSpent) or not isinstance(outcome, MoEngageStopped):
            self._stop(outcome)
        return ()

    def _narrow_down(self, batch: Batch, refused: MoEngageRecordRefused) -> Sequence[Batch]:
        """Halve a refused batch until the bad row stands alone, and refuse that one."""
        if len(batch) > 1:
            return batch.cut(len(batch) // 2)
        self._ledger.refuse(next(batch.entries), refused)
        if self._operation.receive is not None:
            self.refused[batch.users[0]] = refused
        hopeless = self._ledger.hopeless
        if hopeless:
            self._stop(
                MoEngageRequestRefused(
                    f"MoEngage rejected {HOPELESS_REFUSALS} rows with {hopeless} and accepted none: the fault is not "
                    "the rows'; look at the rejected rows, the workspace's settings and the connection"
                )
            )
        return ()
