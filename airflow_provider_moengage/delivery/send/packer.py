"""Records are packed into request bodies, by count and by bytes."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Batch, Item


class Packer:
    """
    Fills requests to the endpoint's number of records and bytes, in the order of the rows.

    :param endpoint: says how much one call holds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._batch = Batch()
        self._opening = b""
        self._bytes = 0

    def add(self, item: Item, position: int, row: object) -> Sequence[Batch]:
        """
        Take one row.

        :return: the batches that are ready now: none, one, or two.
        :raises MoEngageRecordInvalid: the row alone is larger than a call may be; it was not taken.
        """
        ready: Sequence[Batch] = ()
        content, user, form = item
        opening = form.opening
        grown = self._bytes + 1 + len(content)
        if not self._bytes or opening != self._opening or grown > self._endpoint.max_bytes:
            grown = len(opening) + len(content) + len(form.closing)
            if grown > self._endpoint.max_bytes:
                raise MoEngageRecordInvalid(
                    "record_size",
                    f"the record is over the {self._endpoint.max_bytes} bytes that one call of "
                    f"{self._endpoint.name} takes",
                )
            ready = self.rest()
            self._opening = opening
        batch = self._batch
        batch.add(content, user, form, position, row)
        self._bytes = grown
        if len(batch.contents) >= self._endpoint.max_records:
            return [*ready, *self.rest()]
        return ready

    def __len__(self) -> int:
        return len(self._batch)

    def rest(self) -> Sequence[Batch]:
        """Give what is left once there are no more rows: no batch or one."""
        if not self._batch:
            return ()
        batch, self._batch, self._bytes = self._batch, Batch(), 0
        return (batch,)
