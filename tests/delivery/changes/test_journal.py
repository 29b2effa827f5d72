"""A journal has the latest entry of each key, wherever its entries are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.changes import journal as module
from airflow_provider_moengage.delivery.changes.fingerprints import HALF, UNKNOWN
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.snapshot import BUCKETS

KEYS = [bytes([first]) * HALF for first in (0, 1, 254, 255)]
CONTENTS = [UNKNOWN, b"content1", b"content2"]


def merged(journal: Journal) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    latest: dict[bytes, bytes] = {}
    ids: dict[bytes, bytes] = {}
    for number in range(BUCKETS):
        some, lines = journal.bucket(number)
        assert all(key[0] == number for key in some)
        latest |= some
        ids |= lines
    return latest, ids


@pytest.mark.parametrize("held", [1, 3, 1_000])
@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(CONTENTS)), max_size=20))
def test_the_latest_entry_of_a_key_counts_unless_one_is_unknown(
    tmp_path_factory: pytest.TempPathFactory, held: int, entries: list[tuple[bytes, bytes]]
):
    folder = tmp_path_factory.mktemp("journal")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_HELD", held)
        journal = Journal(str(folder), keeps_ids=True, shared=False)
        for key, content in entries:
            journal.add(key + content, [key.hex().encode() + b"\n"])
        latest, ids = merged(journal)
    unknown = {key for key, content in entries if content == UNKNOWN}
    expected = {key: key + content for key, content in entries}
    assert latest == {key: key + UNKNOWN if key in unknown else entry for key, entry in expected.items()}
    assert ids == {key: key.hex().encode() + b"\n" for key, _ in entries}
    assert journal.rows == len(entries)


def test_what_was_taken_is_taken_once(tmp_path: Path):
    journal = Journal(str(tmp_path), keeps_ids=False, shared=True)
    journal.add(KEYS[0] + CONTENTS[1], taken=True)
    journal.add(KEYS[1] + CONTENTS[1])
    journal.add(KEYS[2] + CONTENTS[1])
    assert journal.take() == (KEYS[1] + CONTENTS[1] + KEYS[2] + CONTENTS[1], [])
    assert journal.take() == (b"", [])
    assert set(merged(journal)[0]) == set(KEYS[:3])


def test_nothing_is_held_for_a_run_that_nobody_resumes(tmp_path: Path):
    journal = Journal(str(tmp_path), keeps_ids=False, shared=False)
    journal.add(KEYS[0] + CONTENTS[1])
    assert journal.take() == (b"", [])
