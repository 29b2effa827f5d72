"""Makes the next generation of a snapshot out of the last one and the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import repeat

from airflow_provider_moengage.delivery.changes.fingerprints import HALF, UNKNOWN
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.snapshot import BUCKETS, Snapshot, SnapshotWriter

#: The line of an entry whose id is not known; such a record cannot be removed before it is sent again.
NO_ID = b"null\n"

#: Returns what the next generation holds of an entry: itself, another one of the same key, or nothing (None). Called with
#: the entry's place, the entry, and the entry of its key in the journal, if there is one.
Decide = Callable[[int, bytes, "bytes | None"], "bytes | None"]


def write_generation(
    folder: str,
    journal: Journal,
    last: Snapshot | None,
    last_ids: str | None,
    decide: Decide,
    *,
    adds: bool,
) -> int:
    """
    Write the next generation to the files ``entries`` and ``ids`` of a local folder.

    :param last: the last generation; None: nothing of it is kept.
    :param last_ids: the local file with what identifies its entries; None: that was not kept.
    :param decide: decides on each of its entries.
    :param adds: whether the journal's entries are added.
    :return: the number of entries.
    :raises OSError: the disk is full.
    """
    with ExitStack() as files:
        entries_file = files.enter_context(open(os.path.join(folder, "entries"), "wb"))
        ids_file = files.enter_context(open(os.path.join(folder, "ids"), "wb")) if journal.keeps_ids else None
        known: Iterable[bytes] = repeat(NO_ID)
        if ids_file is not None and last_ids is not None:
            known = files.enter_context(open(last_ids, "rb"))
        lines = iter(known)
        writer = SnapshotWriter(entries_file, (len(last) if last is not None else 0) + journal.rows)
        for number in range(BUCKETS):
            latest, ids = journal.bucket(number)
            entries = [entry for entry in latest.values() if not entry.endswith(UNKNOWN)] if adds else []
            for place, entry in last.bucket(number) if last is not None else ():
                key = entry[:HALF]
                kept = decide(place, entry, latest.get(key))
                line = next(lines) if ids_file is not None else NO_ID
                if kept is not None:
                    entries.append(kept)
                    ids[key] = line
            entries.sort()
            writer.write(number, entries)
            if ids_file is not None:
                ids_file.write(b"".join(ids.get(entry[:HALF], NO_ID) for entry in entries))
        writer.finish()
        return writer.rows
