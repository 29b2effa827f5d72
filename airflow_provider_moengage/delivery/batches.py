"""Records become request bodies, each with the rows it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.api.records import User


@dataclass(frozen=True)
class Entry:
    """
    A row on its way.

    :param position: the row's place in its source, from 0.
    :param row: the row as the source gave it.
    """

    position: int
    row: object


@dataclass(frozen=True)
class Batch:
    """
    One request and the rows in it.

    :param units: what it costs in the endpoint's window.
    :param users: the ids in it: while it is on its way, no other batch with one of them may leave.
    """

    endpoint: Endpoint
    body: bytes
    entries: tuple[Entry, ...]
    units: int
    users: frozenset[str]


def single(endpoint: Endpoint, record: User, entry: Entry) -> Batch:
    """
    Give one record a call of its own.

    :raises MoEngageRecordInvalid: the record alone is larger than a call may be.
    """
    body = record.to_json()
    if len(body) > endpoint.max_bytes:
        raise MoEngageRecordInvalid(
            "record_size",
            f"the record is over the {endpoint.max_bytes} bytes that one call of {endpoint.name} takes",
        )
    return Batch(endpoint, body, (entry,), 1, frozenset((record.customer_id,)))
