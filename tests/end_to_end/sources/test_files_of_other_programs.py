"""Files of other programs: encodings, delimiters, arrays, open quotes, and what is no file at all."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageFileUnreadable, MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.s3_server import S3Server
from tests.support.task_state_store import TaskStateStore


def ids(count: int, first: int = 0) -> list[str]:
    return [f"c-{number:05d}" for number in range(first, first + count)]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('c-01000,"gold', ["c-01000"]),
        ('c-01000,"gold"x', ["c-01000"]),
        ('"c-01000,gold', ["c-01000"]),
    ],
)
def test_an_open_quote_costs_its_own_line(track: Tracker, tmp_path: Path, line: str, kept: list[str]):
    lines = [f"{name},gold" for name in ids(1_500)]
    lines[1_000] = line
    (tmp_path / "users.csv").write_text("customer_id,plan\n" + "\n".join(lines) + "\n")
    report = track(
        path=str(tmp_path / "users.csv"), bulk=True, max_rejected=0.01, rejected_path=str(tmp_path / "r")
    )
    assert outcome(report) == (1_499, 1, 0)
    (rejected,) = refused(tmp_path / "r")
    assert (rejected["position"], rejected["code"], rejected["row"]) == (1_000, "line_csv", line)
    assert set(track.attributes()) == set(ids(1_500)) - set(kept)


def test_a_quote_that_closes_with_the_wrong_number_of_cells_costs_its_own_line(
    track: Tracker, tmp_path: Path
):
    (tmp_path / "users.csv").write_text(
        'customer_id,plan,note\nann,"gold\nben,silver,x\ncid,"two\nlines",y\ndan,gold,"z"\n'
    )
    report = track(path=str(tmp_path / "users.csv"), max_rejected=1, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (3, 1, 0)
    assert refused(tmp_path / "r")[0]["row"] == 'ann,"gold'
    assert track.attributes()["cid"] == {"plan": "two\nlines", "note": "y"}


def test_a_long_cell_that_is_not_sent_costs_nothing(track: Tracker, tmp_path: Path):
    long = "x" * 200_000
    (tmp_path / "users.csv").write_text(
        f'customer_id,plan,log\nann,gold,{long}\nben,silver,"{long}\n{long}"\n'
    )
    assert outcome(track(path=str(tmp_path / "users.csv"), attributes=["plan"])) == (2, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "parameters"),
    [
        ("u.csv", "customer_id,city\nann,Köln\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("u.csv", "customer_id,city\nann,Köln\n".encode("latin-1"), {"encoding": "ISO-8859-1"}),
        ("u.csv", "customer_id,city\r\nann,Köln\r\n".encode("utf-16"), {}),
        ("u.csv.gz", gzip.compress("customer_id,city\r\nann,Köln\r\n".encode("utf-16"), mtime=0), {}),
        ("u.csv", "customer_id,city\nann,Köln\n".encode("utf-32"), {}),
        ("u.csv", "customer_id,city\nann,Köln\n".encode("utf-16-be"), {"encoding": "utf-16-be"}),
        ("u.csv", b"customer_id;city\nann;K\xc3\xb6ln\n", {"delimiter": ";"}),
        ("u.csv", b"customer_id|city\nann|K\xc3\xb6ln\n", {"delimiter": "|"}),
        ("u.tsv", b"customer_id\tcity\nann\tK\xc3\xb6ln\n", {}),
        ("u.tsv.gz", gzip.compress(b"customer_id\tcity\nann\tK\xc3\xb6ln\n", mtime=0), {}),
        ("u.txt", b"customer_id,city\nann,K\xc3\xb6ln\n", {}),
        ("u.txt", b"customer_id\tcity\nann\tK\xc3\xb6ln\n", {"delimiter": "\t"}),
        ("u.csv", b"customer_id,city,,\nann,K\xc3\xb6ln,,\n", {}),
        ("u.csv", b"customer_id,city,plan\nann,K\xc3\xb6ln,NULL\n", {"null_values": ["NULL", "\\N"]}),
        ("u.csv", b"customer_id,city,plan\nann,K\xc3\xb6ln,\\N\n", {"null_values": ["NULL", "\\N"]}),
        ("u.ndjson", '{"customer_id": "ann", "city": "Köln"}\n'.encode("utf-16"), {}),
        ("u.ndjson", '{"customer_id": "ann", "city": "Köln"}\n'.encode("cp1252"), {"encoding": "cp1252"}),
        ("u.json", '[{"customer_id": "ann", "city": "Köln"}]'.encode(), {}),
        ("u.json", '[\n  {\n  "customer_id": "ann",\n  "city": "Köln"\n  }\n]\n'.encode("utf-8-sig"), {}),
        ("u.json.gz", gzip.compress('[{"customer_id": "ann", "city": "Köln"}]'.encode("utf-16"), mtime=0), {}),
        ("u.json", '{\n  "customer_id": "ann",\n  "city": "Köln"\n}\n'.encode(), {}),
    ],
)  # fmt: skip
def test_files_as_other_programs_write_them(
    track: Tracker, tmp_path: Path, name: str, content: bytes, parameters: dict[str, Any]
):
    (tmp_path / name).write_bytes(content)
    assert outcome(track(path=str(tmp_path / name), **parameters)) == (1, 0, 0)
    assert track.attributes() == {"ann": {"city": "Köln"}}


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("u.csv", b"customer_id;plan\nann;gold\n", ("';'", "delimiter=")),
        ("u.csv", b"customer_id\tplan\nann\tgold\n", ("delimiter=",)),
        ("u.txt", b"customer_id|plan\nann|gold\n", ("'|'", "delimiter=")),
        ("u.csv", "customer_id,Größe\nann,1\n".encode("cp1252"), ("UTF-8", "encoding=")),
        ("u.csv", "customer_id,plan\nann,gold\n".encode("utf-16-le"), ("UTF-8", "encoding='utf-16-le'")),
        ("u.ndjson", '{"customer_id": "ann"}\n'.encode("utf-16-be"), ("UTF-8", "encoding='utf-16-be'")),
    ],
)
def test_what_the_header_shows_is_said_before_the_first_row(
    track: Tracker, tmp_path: Path, name: str, content: bytes, named: tuple[str, ...]
):
    (tmp_path / "a.csv").write_text("customer_id,plan\nann,gold\n")
    (tmp_path / name).write_bytes(content)
    error = str(track.fails(MoEngageTaskFailed, path=str(tmp_path)))
    for words in (*named, f"{tmp_path}/{name}"):
        assert words in error
    assert track.requests == 0


def test_a_line_that_is_no_utf_8_is_rejected_and_names_the_remedy(track: Tracker, tmp_path: Path):
    (tmp_path / "u.csv").write_bytes("customer_id,city\nann,Bonn\nben,Köln\ncid,Ulm\n".encode("cp1252"))
    report = track(path=str(tmp_path / "u.csv"), max_rejected=1, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (2, 1, 0)
    (rejected,) = refused(tmp_path / "r")
    assert rejected["code"] == "encoding"
    assert "UTF-8" in rejected["reason"]
    assert "encoding=" in rejected["reason"]
    assert rejected["row"] == {"$type": "str", "$value": "ben,K\\udcf6ln"}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_file_that_is_one_array(track: Tracker, tmp_path: Path, indent: int | None):
    rows = [{"customer_id": name, "n": 1} for name in ids(100)]
    content = json.dumps(rows, indent=indent).replace('"n": 1', '"n": x', 1)
    (tmp_path / "u.json").write_text(content)
    report = track(path=str(tmp_path / "u.json"), max_rejected=1, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (99, 1, 0)
    assert (refused(tmp_path / "r")[0]["position"], refused(tmp_path / "r")[0]["code"]) == (0, "line_json")


def test_an_array_that_is_cut_off_is_not_green(track: Tracker, tmp_path: Path):
    content = json.dumps([{"customer_id": name} for name in ids(100)])
    (tmp_path / "u.json").write_text(content[:-30])
    error = track.fails(MoEngageIncompleteRun, path=str(tmp_path / "u.json"), max_rejected=100)
    assert f"{tmp_path}/u.json" in str(error)
    report = track.ti.xcoms["report"]
    assert (report["accepted"], report["source_exhausted"]) == (98, False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.csv", "customer_id,plan\nann,gold\nben,{}\ncid,gold\n"),
        ("u.ndjson", '{{"customer_id": "ann"}}\n{{"customer_id": "{}"}}\n{{"customer_id": "cid"}}\n'),
        ("u.json", '[{{"customer_id": "ann"}}, {{"customer_id": "{}"}}, {{"customer_id": "cid"}}]'),
    ],
)
def test_a_line_has_a_limit_that_can_be_set(
    track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
):
    monkeypatch.setenv("AIRFLOW__MOENGAGE__MAX_LINE_BYTES", "5000")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.format("x" * 6_000).encode()))
    report = track(path=str(tmp_path), max_rejected=1, rejected_path=str(tmp_path / "_r"))
    assert outcome(report) == (2, 1, 0)
    (rejected,) = refused(tmp_path / "_r")
    assert (rejected["position"], rejected["code"]) == (1, "line_length")
    assert "max_line_bytes" in rejected["reason"]
    assert len(rejected["row"]) <= 1_000
    assert set(track.attributes()) == {"ann", "cid"}


@pytest.mark.parametrize("said", ["ten", "0", "-1", "1.5"])
def test_a_limit_that_is_no_number_is_named(
    track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
):
    monkeypatch.setenv("AIRFLOW__MOENGAGE__MAX_LINE_BYTES", said)
    error = track.fails(MoEngageTaskFailed, path=str(tmp_path))
    assert "max_line_bytes" in str(error)
    assert said in str(error)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # A name of a socket has a hundred characters at most.
        before = Path.cwd()
        os.chdir(path.parent)
        server.bind(path.name)
        os.chdir(before)


def linked_folder(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    target.mkdir()
    (target / "a.csv").write_text("customer_id\nann\n")
    path.symlink_to(target)


def own_parent(path: Path) -> None:
    path.symlink_to(path.parent)


def loop(path: Path) -> None:
    path.symlink_to(path)


def nothing(path: Path) -> None:
    path.symlink_to(path.parent / "gone.csv")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, listening, linked_folder, own_parent, loop, nothing, device])
@pytest.mark.parametrize("how", ["folder", "glob", "below"])
def test_what_is_no_file_is_refused_by_name(
    track: Tracker, tmp_path: Path, make: Callable[[Path], None], how: str
):
    folder = tmp_path / "data"
    (folder / "day=1").mkdir(parents=True)
    (folder / "a.csv").write_text("customer_id\nann\n")
    strange = (folder / "day=1" if how == "below" else folder) / "strange.csv"
    make(strange)
    path = f"{folder}/*.csv" if how == "glob" else str(folder)
    error = track.fails(MoEngageTaskFailed, path=path)
    assert str(strange) in str(error)
    assert track.requests == 0


@pytest.mark.parametrize("make", [pipe, listening, loop, nothing, device])
def test_what_is_no_file_is_refused_where_it_is_named_itself(
    track: Tracker, tmp_path: Path, make: Callable[[Path], None]
):
    make(tmp_path / "strange.csv")
    assert "strange.csv" in str(track.fails(MoEngageTaskFailed, path=str(tmp_path / "strange.csv")))


def test_links_to_files_and_a_linked_folder_that_is_named_itself_are_read(track: Tracker, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "real.csv").write_text("customer_id\nann\n")
    (tmp_path / "data" / "linked.csv").symlink_to(tmp_path / "real.csv")
    (tmp_path / "latest").symlink_to(tmp_path / "data")
    for path in ("data", "latest", "latest/*.csv", "data/linked.csv"):
        assert outcome(track(path=str(tmp_path / path))) == (1, 0, 0)


def test_a_linked_file_that_changes_is_another_file(track: Tracker, tmp_path: Path):
    (tmp_path / "real.csv").write_text("customer_id,n\n" + "".join(f"user-{n},1\n" for n in range(9)))
    (tmp_path / "linked.csv").symlink_to(tmp_path / "real.csv")
    task = Task(MoEngageTrackUsersOperator, TaskStateStore(), path=str(tmp_path / "linked.csv"))
    track.sandbox.fault(kind="status", status=401, after=4)
    task.fails()
    content = (tmp_path / "real.csv").read_text().replace(",1\n", ",2\n")
    (tmp_path / "real.csv").write_text(content)
    os.utime(tmp_path / "real.csv", (1, 1))
    track.sandbox.reset()
    assert task.attempt()["accepted"] == 9
    assert track.attributes() == {f"user-{n}": {"n": "2"} for n in range(9)}


def broken_gzip(path: Path) -> None:
    content = gzip.compress("".join(f'{{"customer_id": "user-{n}"}}\n' for n in range(3_000)).encode())
    path.write_bytes(content[:-8] + b"\0\0\0\0" + content[-4:])


def cut_gzip(path: Path) -> None:
    content = gzip.compress("".join(f'{{"customer_id": "user-{n}"}}\n' for n in range(3_000)).encode())
    path.write_bytes(content[:-100])


def no_gzip(path: Path) -> None:
    path.write_bytes(b'{"customer_id": "user-1"}\n')


def no_deflate(path: Path) -> None:
    path.write_bytes(gzip.compress(b"x" * 100)[:10] + b"\xff" * 50)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("strange.ndjson.gz", broken_gzip),
        ("strange.ndjson.gz", cut_gzip),
        ("strange.ndjson.gz", no_gzip),
        ("strange.ndjson.gz", no_deflate),
        ("strange.parquet", no_gzip),
        ("strange.parquet", lambda path: path.write_bytes(b"")),
    ],
)
def test_errors_of_files_name_the_file(
    track: Tracker, tmp_path: Path, name: str, make: Callable[[Path], None]
):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.ndjson").write_text('{"customer_id": "ann"}\n')
    make(tmp_path / name)
    error = track.fails(MoEngageIncompleteRun, path=str(tmp_path), bulk=True)
    assert f"{tmp_path}/{name}" in str(error)
    assert track.ti.xcoms["report"]["source_exhausted"] is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(track: Tracker, tmp_path: Path):
    (tmp_path / "a.ndjson").write_text('{"customer_id": "ann"}\n')
    (tmp_path / "a.ndjson").chmod(0)
    error = str(track.fails(MoEngageIncompleteRun, path=str(tmp_path)))
    assert "a.ndjson" in error
    assert "PermissionError" in error


def test_an_object_that_vanishes_is_named(lake: S3Server):
    for name in ("a", "b"):
        lake.put(f"users/{name}.csv", f"customer_id\n{name}nn\n".encode() + b"ann\n" * 30_000)
    sent = MoEngageTrackUsersOperator(task_id="push", path="s3://lake_conn@lake/users", bulk=True)
    rows = sent._source().rows(lambda columns: None)
    next(rows)
    lake.client.delete_object(Bucket="lake", Key="users/b.csv")
    with pytest.raises(MoEngageFileUnreadable, match=r"lake/users/b\.csv"):
        list(rows)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"path": "/x.csv", "encoding": "utf-9"}, ("encoding", "'utf-9'")),
        ({"path": "/x.csv", "delimiter": ",,"}, ("delimiter", "',,'")),
        ({"path": "/x.csv", "null_values": "NULL"}, ("null_values", "'NULL'")),
        ({"users": [], "encoding": "utf-8"}, ("encoding", "path=")),
        ({"users": [], "delimiter": ";"}, ("delimiter", "path=")),
        ({"sql": "select 1", "sql_conn_id": "db", "null_values": ["NULL"]}, ("null_values", "path=")),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageTrackUsersOperator(task_id="push", **parameters)
    for words in named:
        assert words in str(caught.value)


def test_a_value_that_python_cannot_hold_is_one_rejected_row(track: Tracker, tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "customer_id": ids(3),
            "day": pa.array([0, 4_000_000, 1], pa.int32()).view(pa.date32()),
            "at": pa.array([0, 1, 2**60], pa.int64()).view(pa.timestamp("us", "UTC")),
            "seen": pa.array([[1_700_000_000_123_456_789]] * 3, pa.list_(pa.timestamp("ns", "UTC"))),
        }
    )
    parquet.write_table(table, tmp_path / "u.parquet")
    report = track(path=str(tmp_path / "u.parquet"), max_rejected=2, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (1, 2, 0)
    assert [(line["position"], line["code"]) for line in refused(tmp_path / "r")] == [
        (1, "value_range"),
        (2, "value_range"),
    ]
    assert track.attributes() == {
        "c-00000": {"day": "1970-01-01", "at": "1970-01-01T00:00:00Z", "seen": ["2023-11-14T22:13:20Z"]}
    }
