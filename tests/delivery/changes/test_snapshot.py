"""A snapshot finds every entry that was written, and no other."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.changes.fingerprints import ENTRY, HALF, content_of, key_of
from airflow_provider_moengage.delivery.changes.snapshot import BUCKETS, Snapshot, SnapshotWriter


def write(path: Path, entries: list[bytes]) -> Snapshot:
    buckets: list[list[bytes]] = [[] for _ in range(BUCKETS)]
    for entry in sorted(entries):
        buckets[entry[0]].append(entry)
    with open(path, "wb") as stream:
        writer = SnapshotWriter(stream, len(entries))
        for number, bucket in enumerate(buckets):
            writer.write(number, bucket)
        writer.finish()
    return Snapshot(str(path), len(entries))


def entry_of(number: int) -> bytes:
    return key_of(f"user-{number}") + content_of(f"content {number}".encode())


@pytest.mark.parametrize("count", [0, 1, 2, 255, 5_000])
def test_every_entry_is_found_and_no_other(tmp_path: Path, count: int):
    snapshot = write(tmp_path / "snapshot", [entry_of(number) for number in range(count)])
    assert len(snapshot) == count
    for number in range(count):
        place = snapshot.find(key_of(f"user-{number}"))
        assert snapshot.content_at(place) == content_of(f"content {number}".encode())
    assert [snapshot.find(key_of(f"user-{number}")) for number in range(count, count + 500)] == [-1] * 500
    snapshot.close()


def test_buckets_have_all_entries_in_the_order_of_their_keys(tmp_path: Path):
    entries = sorted(entry_of(number) for number in range(5_000))
    snapshot = write(tmp_path / "snapshot", entries)
    found = [pair for number in range(BUCKETS) for pair in snapshot.bucket(number)]
    assert found == list(enumerate(entries))
    assert all(first < second for (_, first), (_, second) in pairwise(found))
    snapshot.close()


@given(st.lists(st.binary(min_size=HALF, max_size=HALF), unique=True, max_size=60), st.data())
def test_keys_that_are_not_uniform_are_found_too(
    tmp_path_factory: pytest.TempPathFactory, keys: list[bytes], data: st.DataObject
):
    # The content repeats the keys, so that a search may find one where no entry begins.
    entries = [key + data.draw(st.sampled_from(keys)) for key in keys]
    snapshot = write(tmp_path_factory.getbasetemp() / "any-keys", entries)
    for entry in entries:
        place = snapshot.find(entry[:HALF])
        assert snapshot.content_at(place) == entry[HALF:]
    assert snapshot.find(b"absent__") == (-1 if b"absent__" not in keys else keys.index(b"absent__"))
    snapshot.close()


def test_a_large_snapshot_is_searched_without_mapping_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow_provider_moengage.delivery.changes.snapshot._MAPPED_UP_TO", 0)
    snapshot = write(tmp_path / "snapshot", [entry_of(number) for number in range(5_000)])
    assert all(snapshot.find(entry_of(number)) >= 0 for number in range(5_000))
    assert snapshot.find(key_of("user-5000")) == -1
    assert sum(1 for number in range(BUCKETS) for _ in snapshot.bucket(number)) == 5_000
    snapshot.close()


def test_the_bytes_of_the_format(tmp_path: Path):
    # If this changes, FORMAT in snapshot_store has to be increased.
    write(tmp_path / "snapshot", [key_of("ann") + content_of(b"{}")]).close()
    content = (tmp_path / "snapshot").read_bytes()
    assert content[:ENTRY].hex() == "8d3adf6abf23f3a501e7b720ff566d53"
    first = content[0]
    index = [0] * (first + 1) + [1] * (BUCKETS - first) + [8]
    assert content[ENTRY:] == b"".join(place.to_bytes(8, "little") for place in index)


@pytest.mark.parametrize("size", [0, 1, ENTRY, 100, -1, -8, -ENTRY])
def test_a_file_of_another_size_is_refused(tmp_path: Path, size: int):
    write(tmp_path / "snapshot", [entry_of(number) for number in range(100)]).close()
    content = (tmp_path / "snapshot").read_bytes()
    (tmp_path / "snapshot").write_bytes(content[:size])
    with pytest.raises(ValueError, match=r"the file is too short|the index does not belong"):
        Snapshot(str(tmp_path / "snapshot"), 100)


def test_it_does_not_depend_on_the_order_of_bytes_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = "big" if sys.byteorder == "little" else "little"
    entries = [entry_of(number) for number in range(100)]
    write(tmp_path / "here", entries).close()
    monkeypatch.setattr(sys, "byteorder", other)
    with open(tmp_path / "there", "wb") as stream:
        writer = SnapshotWriter(stream, 100)
        for number in range(BUCKETS):
            writer.write(number, sorted(entry for entry in entries if entry[0] == number))
        writer.finish()
    here, there = ((tmp_path / name).read_bytes() for name in ("here", "there"))
    assert here != there
    assert len(here) == len(there) == os.path.getsize(tmp_path / "here")
