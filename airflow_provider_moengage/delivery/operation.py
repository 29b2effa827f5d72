"""What one operation does with its requests beside sending them; all of them run through the same loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRecordRefused,
    MoEngageServerError,
)
from airflow_provider_moengage.api.http.classify import Answer
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.ids import Missing
from airflow_provider_moengage.operations.user_outputs import Sink


def never(error: MoEngageError) -> bool:
    """Forgive nothing."""
    return False


def no_doubt(batch: Batch, answer: Answer) -> MoEngageError | None:
    """Believe every answer that says success."""
    return None


def is_not_found(error: MoEngageError) -> bool:
    """Whether MoEngage says that there is no such user."""
    return isinstance(error, MoEngageRecordRefused) and (error.type or "").strip().casefold() == "not found"


@dataclass(frozen=True)
class Operation:
    """
    One way to use an endpoint.

    :param endpoint: where to.
    :param repeatable: whether a request may be sent again when no answer came, though MoEngage may have taken it.
    :param forgives: refusals that count as done, and as ``missing`` in the report.
    :param doubts: tells what is wrong with an answer that says success.
    :param receive: takes each answer, in the task's own thread.
    :param repeated_row: makes a row of the user of one that asked for what an earlier one had asked for; only that is
        remembered of it.
    """

    endpoint: Endpoint
    repeatable: bool = True
    forgives: Callable[[MoEngageError], bool] = never
    doubts: Callable[[Batch, Answer], MoEngageError | None] = no_doubt
    receive: Callable[[Batch, Answer], None] | None = None
    repeated_row: Callable[[str], object] = str


class UsersRead:
    """
    Takes the answers of Get User.

    :param sink: where the users go.
    :param missing: what is kept of an identifier that MoEngage does not know.
    """

    def __init__(self, sink: Sink, missing: Callable[[dict[str, Any]], Missing]) -> None:
        self._sink = sink
        self._missing = missing
        self.found = 0
        self.not_found: list[Missing] = []

    def doubts(self, batch: Batch, answer: Answer) -> MoEngageError | None:
        """Tell whether an answer leaves users out; their order does not matter, that none is lost does."""
        data = answer.body.get("data")
        told = len(_listed(data, "users")) + len(_listed(data, "users_not_found"))
        if told == len(batch):
            return None
        return MoEngageServerError(
            f"MoEngage accounted for {told} of {len(batch)} users that it was asked for",
            request_id=answer.request_id,
        )

    def receive(self, batch: Batch, answer: Answer) -> None:
        """Take one answer."""
        data = answer.body.get("data")
        users = _listed(data, "users")
        missing = _listed(data, "users_not_found")
        self._sink.add([user.get("user_attributes") or {} for user in users])
        self.found += len(users)
        self.not_found.extend(map(self._missing, missing))


def _listed(data: Any, name: str) -> list[dict[str, Any]]:
    listed = data.get(name) if isinstance(data, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
