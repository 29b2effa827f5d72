"""Files are complete or absent, and nobody's files are deleted but a task's own."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import airflow_provider_moengage
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts
from airflow_provider_moengage.delivery.read.staging import StagedRows
from airflow_provider_moengage.delivery.resume.checkpoint_store import Binding, CheckpointFile
from airflow_provider_moengage.delivery.storage import (
    delete_empty_staging_folders,
    delete_file,
    folder_path,
    make_folder,
    names_in,
    own_token,
    read_whole,
    staging_folder,
    task_folder,
    whole_file,
    write_whole,
)
from tests.support.s3_server import S3Server


class Ended(BaseException):
    """What ends a process in the middle of a file, as Airflow's time-out does."""


def instance(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
    return SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def written(path: Any, content: bytes, *, ends: bool = False) -> None:
    with whole_file(path) as stream:
        stream.write(content)
        if ends:
            stream.flush()
            raise Ended


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# --- a task's own folder -------------------------------------------------------------------------------------------

names = st.sampled_from(
    [
        "a",
        "b",
        "..",
        ".",
        "a/b",
        "a_b",
        "a%2Fb",
        "a\\b",
        "*",
        "[a]",
        "?",
        "0",
        "manual__2026-01-01T00:00:00+00:00",
    ]
)
instances = st.tuples(names, names, names, st.integers(-1, 2))


@given(instances, instances)
def test_no_two_task_instances_share_a_folder(one: tuple[Any, ...], other: tuple[Any, ...]):
    folders = [task_folder("file:///R", instance(*ti)) for ti in (one, other)]
    assert (folders[0] == folders[1]) == (one == other)


@given(instances)
def test_a_folder_is_below_the_one_it_was_given(ti: tuple[Any, ...]):
    folder = task_folder("/R/given", instance(*ti))
    assert os.path.normpath(folder) == folder
    assert folder.startswith("/R/given/")
    assert folder.count("/") == 5 + (ti[3] >= 0)


def test_ordinary_names_stay_readable():
    ti = instance("shop", "manual__2026-01-01T00:00:00+00:00", "push.users", 3)
    assert task_folder("s3://c@b/x/", ti) == "s3://c@b/x/shop/manual__2026-01-01T00:00:00+00:00/push.users/3"


# --- whole files ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["local", "local, with names", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local, with names":
        monkeypatch.setattr("airflow_provider_moengage.delivery.storage._open_unnamed", lambda folder: None)
    if request.param != "S3":
        return tmp_path.as_uri()
    request.getfixturevalue("lake")
    return "s3://lake_conn@lake/folder"


#: The larger ones are uploaded in several parts.
@pytest.mark.parametrize("size", [0, 10, 6 * 1024 * 1024, 60 * 1024 * 1024], ids=str)
@pytest.mark.parametrize("before", [None, b"before"], ids=["new", "replaced"])
def test_a_file_is_what_was_written_or_what_was_there_before(place: str, size: int, before: bytes | None):
    path = folder_path(place) / "file"
    if before is not None:
        write_whole(path, before)
    with pytest.raises(Ended):
        written(path, b"x" * size, ends=True)
    assert read_whole(path) == before
    assert names_in(folder_path(place)) == (["file"] if before else [])
    written(path, b"y" * size)
    assert read_whole(path) == b"y" * size
    assert names_in(folder_path(place)) == ["file"]


@pytest.mark.parametrize("step", ["write", "close", "commit"])
def test_an_upload_that_is_interrupted_leaves_nothing_in_the_store(
    lake: S3Server, monkeypatch: pytest.MonkeyPatch, step: str
):
    path = folder_path("s3://lake_conn@lake/folder") / "file"
    import s3fs.core

    def interrupted(self: Any, *args: Any) -> Any:
        if step != "write" or self.loc > 20_000_000:
            raise Ended
        return original(self, *args)

    original = getattr(s3fs.core.S3File, step)
    monkeypatch.setattr(s3fs.core.S3File, step, interrupted)
    with pytest.raises(Ended):
        written(path, b"x" * 60_000_000)
    monkeypatch.undo()
    assert lake.objects() == {}
    assert lake.unfinished_uploads() == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has files that are not named before they are whole"
)
def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path):
    program = (
        "import os, signal, sys\n"
        "from airflow_provider_moengage.delivery.storage import folder_path, whole_file\n"
        "with whole_file(folder_path(sys.argv[1]) / 'file') as stream:\n"
        "    stream.write(b'x' * 1_000_000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path.as_uri()], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("a stranger's")
    (tmp_path / "file").symlink_to(victim)
    write_whole(folder_path(tmp_path.as_uri()) / "file", b"ours")
    assert victim.read_text() == "a stranger's"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"ours"


def test_a_strangers_mode_is_not_kept(tmp_path: Path):
    (tmp_path / "file").touch(mode=0o666)
    (tmp_path / "file").chmod(0o666)
    write_whole(folder_path(tmp_path.as_uri()) / "file", b"ours")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_is_not_there_is_no_error(place: str):
    folder = folder_path(place) / "not" / "there"
    assert names_in(folder) == []
    assert read_whole(folder / "file") is None
    delete_file(folder / "file")


def test_a_prefix_is_no_folder_of_another_that_begins_with_it(place: str):
    for name in ("run", "run2", "run-2"):
        folder = folder_path(place) / name
        make_folder(folder)
        write_whole(folder / f"in-{name}", b"")
    assert names_in(folder_path(place) / "run") == ["in-run"]


def test_nothing_in_the_package_deletes_recursively():
    package = Path(airflow_provider_moengage.__file__).parent
    recursive = re.compile(r"rmtree|removedirs|recursive\s*=|\.rm\(|\.delete\(.*recursive|(?<!os)\.rmdir\(")
    found = [
        f"{path.name}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if recursive.search(line)
    ]
    assert found == []


# --- a shared root -------------------------------------------------------------------------------------------------


class Query:
    """As much of a query as is staged."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    @contextmanager
    def chunks(self, check_columns: Any) -> Iterator[Any]:
        yield ["customer_id"], iter([[(f"{self.mark}-{number}",) for number in range(3)]])

    def restored(self, columns: Any, values: Any) -> Iterator[Any]:
        return (dict(zip(columns, row, strict=True)) for row in values)


class Task:
    """A task that keeps all it can keep below one root."""

    def __init__(self, root: str, ti: Any) -> None:
        self.root, self.ti = root, ti
        self.mark = repr(vars(ti))
        folder = staging_folder(root, ti)
        self.staged = StagedRows(Query(self.mark), folder, Binding("", 0, 1))  # type: ignore[arg-type]
        self.checkpoint = CheckpointFile(folder)
        self.parts = RejectedParts(task_folder(root, ti), replace=True)

    def begin(self) -> None:
        self.staged.prepare(lambda columns: None, Event())
        self.checkpoint.save({"of": self.mark})
        self.parts.open()
        self.parts.add([f"{self.mark}\n".encode()])
        self.parts.flush()

    def is_whole(self) -> bool:
        rows = [row["customer_id"] for row in self.staged.rows(lambda columns: None)]  # type: ignore[index,call-overload]
        (part,) = self.parts.written
        return (
            rows == [f"{self.mark}-{number}" for number in range(3)]
            and self.checkpoint.load() == {"of": self.mark}
            and read_whole(folder_path(self.parts.folder) / part) == f"{self.mark}\n".encode()
        )

    def end(self) -> None:
        self.staged.delete()
        self.checkpoint.delete()
        delete_empty_staging_folders(self.root, self.ti)


strangers = st.dictionaries(
    st.lists(
        st.sampled_from(
            ["a", "b", "0", "part-00000.ndjson", "chunk-00000.ndjson.gz", "notes.txt", ".hidden"]
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
    st.binary(max_size=3),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from(["a", "b", ".."]),
            st.sampled_from("ab"),
            st.integers(-1, 1),
        ),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    strangers,
    st.randoms(use_true_random=False),
)
def test_what_is_not_a_tasks_own_is_there_after_it(
    tis: list[Any], others: dict[tuple[str, ...], bytes], random: Any
):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "R"
        root.mkdir()
        for steps, content in others.items():
            path = root.joinpath(*steps)
            if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        before = contents(root)
        # A folder of a task may have the name of a stranger's file: then the task cannot run at all.
        running = []
        for ti in tis:
            task = Task(root.as_uri(), instance(*ti))
            try:
                task.begin()
            except Exception:
                continue
            running.append(task)
        random.shuffle(running)
        while running:
            assert all(task.is_whole() for task in running)
            running.pop().end()
            assert before.items() <= contents(root).items()
        left = contents(root)
        assert all(own_token_in(name) for name in left.keys() - before.keys())


def own_token_in(name: str) -> bool:
    """Whether a file below a root is a part of rejected rows, which stay."""
    return re.fullmatch(r".*/part-[0-9a-f]{12}-[0-9a-f]{8}-00000\.ndjson", name) is not None


def test_a_later_attempt_deletes_what_an_earlier_one_left_and_nothing_else(tmp_path: Path):
    folder = f"{tmp_path.as_uri()}/dag/run/push"
    first = RejectedParts(folder, replace=True)
    first.open()
    first.add([b"{}\n"])
    first.flush()
    own = tmp_path / "dag" / "run" / "push"
    (written,) = own.iterdir()
    (own / f".{written.name}.{'0' * 32}.unfinished").write_text("{")
    for name in ("part-00000.ndjson", "part-abc-00000.ndjson", ".notes.unfinished"):
        (own / name).write_text("mine")
    RejectedParts(folder, replace=True).open()
    assert {path.name for path in own.iterdir()} == {
        "part-00000.ndjson",
        "part-abc-00000.ndjson",
        ".notes.unfinished",
    }
    assert own_token(folder) in written.name


def test_what_a_killed_process_left_of_a_part_that_stays_is_deleted(tmp_path: Path):
    folder = f"{tmp_path.as_uri()}/dag/run/push"
    first = RejectedParts(folder, replace=True)
    first.open()
    first.add([b"{}\n"])
    first.flush()
    own = tmp_path / "dag" / "run" / "push"
    (written,) = own.iterdir()
    (own / f".{written.name}.{'0' * 32}.unfinished").write_text("{")
    RejectedParts(folder, replace=True).open(kept=first.written)
    assert contents(own) == {written.name: b"{}\n"}


def test_what_a_killed_process_left_of_a_checkpoint_is_deleted(tmp_path: Path):
    place = CheckpointFile(tmp_path.as_uri())
    place.save({"finished": {}})
    (tmp_path / f".checkpoint.json.{'0' * 32}.unfinished").write_text("{")
    (tmp_path / ".checkpoint.json.unfinished").write_text("mine")
    assert place.load() == {"finished": {}}
    assert set(contents(tmp_path)) == {"checkpoint.json", ".checkpoint.json.unfinished"}
