"""Rows that wait because an earlier row of their user is in flight."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from airflow_provider_moengage.delivery.batch import Batch


class HeldRows:
    """
    Holds rows in their order until their users are free; not thread-safe.

    Rows of several batches may leave in one batch, which is no larger than the largest of the batches added, and so
    within the endpoint's limits.
    """

    def __init__(self) -> None:
        self._rows = Batch()
        self._size = 0
        self._max_rows = 0
        self._max_size = 0
        #: The users of the rows.
        self.users: AbstractSet[str] = frozenset()

    def is_full(self, max_batches: int) -> bool:
        """
        Whether no more rows should be added.

        :param max_batches: how many of the largest batches added the rows may amount to, in rows and in bytes.
        """
        return bool(self._rows) and (
            len(self._rows) >= max_batches * self._max_rows or self._size >= max_batches * self._max_size
        )

    def add(self, batch: Batch, in_flight: AbstractSet[str]) -> Batch:
        """
        Add the rows of a batch whose users are in flight or wait already, and return the others.

        :param in_flight: users of whom a row is in flight.
        """
        self._max_rows = max(self._max_rows, len(batch))
        self._max_size = max(self._max_size, batch.size)
        waiting, free = batch.select([user in in_flight or user in self.users for user in batch.users])
        self._set(self._rows.joined(waiting))
        return free

    def take(self, in_flight: AbstractSet[str]) -> Batch | None:
        """
        Remove and return the first rows whose users are free, as many as one request holds; None if there are none.

        :param in_flight: users of whom a row is in flight.
        """
        if self.users <= in_flight:
            return None
        taken, size, opening = 0, 0, b""
        chosen: list[bool] = []
        later: set[str] = set()
        for content, user, envelope in zip(
            self._rows.contents, self._rows.users, self._rows.envelopes, strict=True
        ):
            free = user not in in_flight and user not in later
            if free:
                if not taken:
                    opening = envelope.opening
                    size = len(opening) + len(envelope.closing)
                grown = size + len(content) + 1
                if taken == self._max_rows or grown > self._max_size or envelope.opening != opening:
                    # The later rows of this user must not overtake this one.
                    later.add(user)
                    free = False
                else:
                    taken, size = taken + 1, grown
            chosen.append(free)
        ready, rest = self._rows.select(chosen)
        self._set(rest)
        return ready

    def _set(self, rows: Batch) -> None:
        self._rows = rows
        self._size = rows.size
        self.users = rows.ids
