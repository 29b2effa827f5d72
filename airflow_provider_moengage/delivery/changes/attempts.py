"""The attempts that send by one snapshot: those of this run, and those of other runs that have not ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.snapshot_store import (
    HEARD_EVERY,
    Listing,
    Manifest,
    SnapshotStore,
    new_attempt,
)

log = logging.getLogger(__name__)


class Attempts:
    """
    Announces what this attempt sends, keeps its journal for a later one, and knows what others may have sent.

    :param store: the folder of the snapshot.
    :param task: the task instance of this run; empty: it is no task.
    """

    def __init__(self, store: SnapshotStore, task: str) -> None:
        self._store = store
        self._task = task
        self.current = new_attempt()
        #: The name under which removals are announced. No checkpoint has it: a retry does not know what they changed.
        self._removal = new_attempt()
        #: The manifest that this run knows: the one it began with, or one that it has written.
        self._base: list[str] = []
        #: Attempts of this run whose journals no generation has, and the number of their parts.
        self._earlier: dict[str, int] = {}
        self._own = {self.current}
        self._foreign: frozenset[str] = frozenset()
        #: Those of them that had ended before this run began.
        self._ended_before: frozenset[str] = frozenset()
        self._heard = 0.0
        self._parts = 0
        self._journal_is_kept = True
        self.announced = False
        #: Whether the journals of earlier attempts could be read.
        self.journals_are_known = True
        #: Whether another run has written the snapshot since this one began.
        self.superseded = False
        #: Whether an earlier attempt may have sent rows that this one has not read again yet.
        self.unsettled = False

    def resume(self, listing: Listing, manifest: Manifest | None, state: Mapping[str, Any] | None) -> None:
        """
        Take over what the checkpoint of an earlier attempt says.

        :param listing: of the folder.
        :param manifest: of the snapshot that is used.
        :param state: as :meth:`state` returned it; None: there is none.
        :raises OSError: the folder cannot be read.
        """
        earlier = dict(state["attempts"]) if state is not None else {}
        self._own |= earlier.keys()
        self._base = list(listing.manifests)
        if manifest is not None and manifest.attempt in earlier:
            # An attempt of this run has written it: it has the journals up to that attempt's.
            while manifest.attempt in earlier:
                earlier.pop(next(iter(earlier)))
        elif state is not None:
            self._base = state["base"]
            self.superseded = self._base != list(listing.manifests)
        self._earlier = earlier
        self.unsettled = state is not None and not state["settled"]
        written = {manifest.attempt} if manifest is not None else set()
        self._foreign = listing.attempts - self._own - written
        self._ended_before = frozenset(self._foreign_ended() if state is None else state["ended"])

    def journals(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """
        Return the entries of earlier attempts, and the lines of their ids.

        :raises OSError: a part cannot be read.
        :raises ValueError: a part is missing or damaged.
        """
        for attempt, count in self._earlier.items():
            for part in self._store.parts(attempt, count):
                end = 4 + int.from_bytes(part[:4], "big") * ENTRY
                yield part[4:end], part[end:].splitlines(keepends=True)

    def continue_last(self) -> None:
        """Continue the journal of the last attempt if that has ended in order, as before a deferral."""
        if self._earlier and not self.unsettled:
            self.current, self._parts = self._earlier.popitem()

    def announce(self) -> None:
        """
        Announce this attempt, before its first request.

        :raises OSError: the folder cannot be written.
        """
        self._store.announce(self.current, self._task)
        self.announced, self._heard = True, time.monotonic()

    def announce_again(self) -> None:
        """Announce this attempt again, if that was some time ago."""
        if time.monotonic() - self._heard > HEARD_EVERY:
            self._heard = time.monotonic()
            try:
                self._store.announce(self.current, self._task)
            except OSError as error:
                log.warning("%s cannot be written: %s", self._store.folder, type(error).__name__)

    def announce_removal(self) -> None:
        """
        Announce that records are removed, before the first one is.

        :raises OSError: the folder cannot be written.
        """
        self._store.announce(self._removal, self._task)

    def state(self, journal: Journal, *, settled: bool) -> dict[str, Any] | None:
        """
        Write the journal down, and return what the next checkpoint needs of it.

        :param settled: whether the attempt ends, and no row was sent but those that the checkpoint knows of.
        :return: None: it cannot be written.
        """
        entries, ids = journal.take()
        if entries and self._journal_is_kept:
            count = len(entries) // ENTRY
            part = b"".join([count.to_bytes(4, "big"), entries, *ids])
            try:
                self._store.write_part(self.current, self._parts, part)
                self._parts += 1
            except OSError as error:
                self._journal_is_kept = False
                log.warning(
                    "The journal cannot be written to %s (%s); a retry would send every row",
                    self._store.folder,
                    type(error).__name__,
                )
        if not self._journal_is_kept:
            return None
        return {
            "base": self._base,
            "attempts": {**self._earlier, self.current: self._parts},
            "ended": sorted(self._ended_before),
            "settled": settled and not self.unsettled,
        }

    @property
    def others(self) -> bool:
        """Whether other runs have sent something, and did not write the snapshot that is used."""
        return bool(self._foreign)

    @property
    def others_since(self) -> bool:
        """Whether other runs may have sent something since this one began."""
        return not self._foreign <= self._ended_before

    def is_unsure(self, *, completed: bool) -> bool:
        """Whether another attempt may have sent other records than the snapshot and the journal have."""
        return self.others or not self.journals_are_known or (self.unsettled and not completed)

    def ended(self, *, superseded: bool, known: bool) -> set[str]:
        """
        Return the attempts that have ended, and that need not stay announced.

        :param superseded: whether the snapshot is another run's, which may not know of the attempts before this one.
        :param known: whether all that those attempts have sent is known.
        """
        if not known:
            return {self.current}
        return self._own if superseded else self._own | self._foreign_ended() | {self._removal}

    def _foreign_ended(self) -> set[str]:
        return {one for one in self._foreign if self._store.has_ended(one, self._task)}
