"""Packs records into request bodies, by count and by bytes."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Batch, Envelope, Item


class Packer:
    """
    Packs records into batches up to the endpoint's maximum of records and bytes, in the order of the rows.

    :param endpoint: defines how much one request holds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._max_records, self._max_bytes = endpoint.max_records, endpoint.max_bytes
        #: The rows of the batch that is not full yet, each with its content, user, envelope and position.
        self._rows: list[tuple[bytes, str, Envelope, int, object]] = []
        self._opening = b""
        self._bytes = 0

    def add(self, item: Item, position: int, row: object) -> Sequence[Batch]:
        """
        Add one row.

        :return: the batches that are full now: none, one or two.
        :raises MoEngageRecordInvalid: the row alone is larger than a request may be; it was not added.
        """
        ready: Sequence[Batch] = ()
        content, user, envelope = item
        opening = envelope.opening
        grown = self._bytes + 1 + len(content)
        if not self._bytes or opening != self._opening or grown > self._max_bytes:
            grown = len(opening) + len(content) + len(envelope.closing)
            if grown > self._max_bytes:
                raise MoEngageRecordInvalid(
                    "record_size",
                    f"the record is over the {self._max_bytes} bytes that one request to "
                    f"{self._endpoint.name} may have",
                )
            ready = self.rest()
            self._opening = opening
        self._rows.append((content, user, envelope, position, row))
        self._bytes = grown
        if len(self._rows) >= self._max_records:
            return [*ready, *self.rest()]
        return ready

    def __len__(self) -> int:
        return len(self._rows)

    def rest(self) -> Sequence[Batch]:
        """Return the batch that is not full yet: none or one."""
        if not self._rows:
            return ()
        batch = Batch(*map(list, zip(*self._rows, strict=True)))
        self._rows, self._bytes = [], 0
        return (batch,)
