"""Writes the next generation of a snapshot, at the end of a run."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from airflow_provider_moengage.delivery.changes.attempts import Attempts
from airflow_provider_moengage.delivery.changes.generation import Decide, write_generation
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.known_records import KnownRecords, without_other_contents
from airflow_provider_moengage.delivery.changes.snapshot_store import Listing, Manifest, SnapshotStore
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.storage_errors import described, remedy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """
    The next generation of a snapshot.

    :param writes: whether it is written.
    :param decide: what it keeps of a record of the last one.
    :param adds: whether it has records that the last one lacks.
    :param completed: the number of completed runs that it counts.
    :param ended: the attempts that need not stay announced.
    """

    writes: bool
    decide: Decide
    adds: bool
    completed: int
    ended: set[str]


@dataclass(frozen=True)
class GenerationWriter:
    """
    Writes the next generation of a snapshot.

    :param store: where the snapshot is.
    :param folder: a local folder, for the files before they are complete.
    :param known: the records of the last generation, and which of them the run has seen and sent.
    :param attempts: the attempts that are announced.
    :param journal: what the run has sent.
    :param opened: what the store had when the run began.
    :param keeps_ids: whether the snapshot has what identifies its records.
    :param resumed: whether an earlier attempt of the run has settled rows, which may not have been seen.
    :param resync_every: of the unchanged rows, the nth part is sent in each run; None: none is.
    """

    store: SnapshotStore
    folder: str
    known: KnownRecords
    attempts: Attempts
    journal: Journal
    opened: Listing
    keeps_ids: bool
    resumed: bool
    resync_every: int | None

    def write(self, *, completed: bool, removed: bool | None) -> None:
        """
        Write the next generation if it differs from the last one, and delete what is no longer needed.

        :param completed: whether the source was read to its end and no row was left unsent.
        :param removed: whether the records that have left the source were removed; False: some may have been; None: none.
        :raises OSError: it cannot be written.
        """
        now = self.store.open()
        plan = self._planned(now, completed=completed, removed=removed)
        manifest = self._write_generation(plan, now.generation + 1) if plan.writes else None
        if manifest is None and not self.attempts.announced:
            return
        ended = plan.ended
        if manifest is not None and self.store.open().manifests != (manifest.name,):
            # Another run has written at the same moment, without what this one has sent, which stays announced.
            ended = set()
        self._tidy(manifest, ended)

    def _planned(self, now: Listing, *, completed: bool, removed: bool | None) -> _Plan:
        """Decide whether the next generation is written, and what it keeps; load what another run has written meanwhile."""
        known, attempts = self.known, self.attempts
        if attempts.superseded or now.manifests != self.opened.manifests:
            usable = known.load(now) is None and known.manifest is not None
            is_known = attempts.journals_are_known and (completed or not attempts.unsettled)
            return _Plan(
                writes=usable and self.journal.rows > 0,
                decide=without_other_contents,
                adds=False,
                completed=known.manifest.completed if known.manifest else 0,
                ended=attempts.ended(superseded=True, known=is_known),
            )
        writes, unsure = self._differs(completed, removed), attempts.is_unsure(completed=completed)
        return _Plan(
            writes=writes,
            decide=known.updated(
                drops_unseen=completed and (removed is True or not (self.keeps_ids or self.resumed)),
                unsure_of_unseen=unsure or removed is False,
                unsure=unsure,
            ),
            adds=True,
            completed=(known.manifest.completed if known.manifest else 0) + completed,
            ended=attempts.ended(superseded=False, known=writes or not unsure),
        )

    def _write_generation(self, plan: _Plan, generation: int) -> Manifest:
        folder, known, store = self.folder, self.known, self.store
        rows = write_generation(
            folder, self.journal, known.snapshot, known.ids_file, plan.decide, adds=plan.adds
        )
        manifest = store.write(
            {kind: os.path.join(folder, kind) for kind in self._kinds},
            generation=generation,
            attempt=self.attempts.current,
            known_for=known.known_for,
            rows=rows,
            completed=plan.completed,
        )
        log.info("The snapshot of %s is in %s", counted(rows, "row"), store.folder)
        return manifest

    def _tidy(self, manifest: Manifest | None, ended: set[str]) -> None:
        try:
            self.store.tidy(manifest, ended)
        except OSError as error:
            log.warning(
                "What the snapshot no longer needs cannot be deleted from %s (%s)%s; a later run deletes it, and may send "
                "every row once",
                self.store.folder,
                described(error),
                remedy(error, "list and delete there"),
            )

    @property
    def _kinds(self) -> tuple[str, ...]:
        return ("entries", "ids") if self.keeps_ids else ("entries",)

    def _differs(self, completed: bool, removed: bool | None) -> bool:
        """Whether the next generation differs from the last one."""
        if self.journal.rows or removed is not None or (self.attempts.unsettled and completed):
            return True
        if not completed:
            return False
        manifest = self.known.manifest
        if manifest is None or self.resync_every is not None:
            return True
        # Ids are kept no longer than they are needed.
        return not self.keeps_ids and (self.known.left > 0 or manifest.ids is not None)
