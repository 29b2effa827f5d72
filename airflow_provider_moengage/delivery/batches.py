"""Records become request bodies: by count, by bytes, each with the rows it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid


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
class Item:
    """
    What one row becomes: a whole body, or one element of a body that rows share.

    :param content: the element, serialised once.
    :param user: whose order is kept; empty where nobody's is.
    :param units: what it costs, by quota.
    :param opening: what stands before the elements of its body; only rows with the same opening share one.
    :param closing: what stands behind them.
    """

    content: bytes
    user: str
    units: Mapping[str, int]
    opening: bytes = b""
    closing: bytes = b""


@dataclass(frozen=True)
class Batch:
    """
    One request and the rows in it.

    :param items: what the rows became, in their order.
    :param entries: the rows themselves, in the same order.
    :param unknown: whether an earlier request with these rows got no answer.
    """

    items: tuple[Item, ...]
    entries: tuple[Entry, ...]
    unknown: bool = False

    @property
    def body(self) -> bytes:
        """The request's body."""
        first = self.items[0]
        return first.opening + b",".join(item.content for item in self.items) + first.closing

    @property
    def units(self) -> Mapping[str, int]:
        """What it costs, by quota."""
        if len(self.items) == 1:
            return self.items[0].units
        units: Counter[str] = Counter()
        for item in self.items:
            units.update(item.units)
        return units

    @property
    def users(self) -> frozenset[str]:
        """The ids in it: while it is on its way, no other batch with one of them may leave."""
        return frozenset(item.user for item in self.items if item.user)

    def halves(self, *, unknown: bool) -> tuple[Batch, Batch]:
        """
        Cut it in two, to find the row that was refused.

        :param unknown: whether the request with all of them got no answer at first.
        """
        middle = len(self.items) // 2
        unknown = unknown or self.unknown
        return (
            Batch(self.items[:middle], self.entries[:middle], unknown),
            Batch(self.items[middle:], self.entries[middle:], unknown),
        )


class Packer:
    """
    Fills requests to the endpoint's number of records and bytes, in the order of the rows.

    :param endpoint: says how much one call holds.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._items: list[Item] = []
        self._entries: list[Entry] = []
        self._bytes = 0

    def add(self, item: Item, entry: Entry) -> list[Batch]:
        """
        Take one row.

        :return: the batches that are ready now: none, one, or two.
        :raises MoEngageRecordInvalid: the row alone is larger than a call may be; it was not taken.
        """
        alone = len(item.opening) + len(item.content) + len(item.closing)
        if alone > self._endpoint.max_bytes:
            raise MoEngageRecordInvalid(
                "record_size",
                f"the record is over the {self._endpoint.max_bytes} bytes that one call of "
                f"{self._endpoint.name} takes",
            )
        ready = []
        if self._items and (
            item.opening != self._items[0].opening
            or self._bytes + 1 + len(item.content) > self._endpoint.max_bytes
        ):
            ready.append(self._take())
        self._bytes += 1 + len(item.content) if self._items else alone
        self._items.append(item)
        self._entries.append(entry)
        if len(self._items) >= self._endpoint.max_records:
            ready.append(self._take())
        return ready

    def rest(self) -> list[Batch]:
        """Give what is left once there are no more rows: no batch or one."""
        return [self._take()] if self._items else []

    def _take(self) -> Batch:
        batch = Batch(tuple(self._items), tuple(self._entries))
        self._items, self._entries, self._bytes = [], [], 0
        return batch
