"""Rows of files: NDJSON, CSV, gzipped, Parquet, folders and globs."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker

NDJSON = '{"customer_id": "ann", "n": 1}\n\n{"customer_id": "ben", "tags": ["a"]}\n'
CSV = "customer_id,n,seen,flag,plan\nann,1,2026-01-31 10:00,yes,007\nben,,,,\n"


@pytest.mark.parametrize(
    "name", ["users.ndjson", "users.jsonl", "users.json", "users.ndjson.gz", "USERS.JSONL.GZ"]
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_rows_of_ndjson_arrive(track: Tracker, tmp_path: Path, name: str, scheme: str):
    content = NDJSON.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
    assert outcome(track(path=f"{scheme}{tmp_path / name}")) == (2, 0, 0)
    assert track.attributes() == {"ann": {"n": 1}, "ben": {"tags": ["a"]}}


@pytest.mark.parametrize("name", ["users.csv", "users.csv.gz"])
def test_csv_cells_are_texts_unless_types_says_otherwise(track: Tracker, tmp_path: Path, name: str):
    content = b"\xef\xbb\xbf" + CSV.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    track(
        path=str(tmp_path / name),
        types={"n": "number", "seen": "datetime", "flag": "boolean"},
        timezone="Europe/Berlin",
    )
    assert track.attributes() == {
        "ann": {"n": 1, "seen": "2026-01-31T09:00:00Z", "flag": True, "plan": "007"},
        "ben": {},
    }


def test_csv_texts_with_line_breaks_commas_and_quotes(track: Tracker, tmp_path: Path):
    (tmp_path / "users.csv").write_text(
        'customer_id,note\r\nann,"a,b ""c""\nd"\r\nben,"{{ ds }}"\r\n', newline=""
    )
    track(path=str(tmp_path / "users.csv"))
    assert track.attributes() == {"ann": {"note": 'a,b "c"\nd'}, "ben": {"note": "{{ ds }}"}}


def test_csv_lines_of_another_length_are_refused_alone(track: Tracker, tmp_path: Path):
    (tmp_path / "users.csv").write_text("customer_id,n\nann,1\nben\ncid,3,4\n\ndan,5\n")
    report = track(path=str(tmp_path / "users.csv"), max_rejected=2, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (2, 2, 0)
    assert [(line["position"], line["code"], line["row"]) for line in refused(tmp_path / "r")] == [
        (1, "line_csv", ["ben"]),
        (2, "line_csv", ["cid", "3", "4"]),
    ]


@pytest.mark.parametrize("tail", ["ben,2\n", "ben,2\n" * 300])
def test_a_quote_that_is_never_closed_does_not_swallow_the_lines_behind_it(
    track: Tracker, tmp_path: Path, tail: str
):
    (tmp_path / "users.csv").write_text('customer_id,name\nann,"Ann\n' + tail)
    report = track.report(MoEngageTaskFailed, path=str(tmp_path / "users.csv"))
    assert outcome(report) == (tail.count("\n"), 1, 0)
    assert track.attributes() == {"ben": {"name": "2"}}


def test_ndjson_lines_that_are_broken_are_refused_alone(track: Tracker, tmp_path: Path):
    (tmp_path / "users.ndjson").write_bytes(
        b'{"customer_id": "ann"}\n{"customer_id": \n[1]\n"text"\n\xff\xfe\n{"customer_id": "b\xff"}\n{"customer_id": "ben"}'
    )
    report = track(path=str(tmp_path / "users.ndjson"), max_rejected=5, rejected_path=str(tmp_path / "r"))
    assert outcome(report) == (2, 5, 0)
    codes = {line["position"]: line["code"] for line in refused(tmp_path / "r")}
    assert codes == {1: "line_json", 2: "row_type", 3: "row_type", 4: "encoding", 5: "encoding"}
    assert set(track.attributes()) == {"ann", "ben"}


def test_numbers_that_json_spells_in_odd_ways(track: Tracker, tmp_path: Path):
    (tmp_path / "users.ndjson").write_text(
        '{"customer_id": 12345, "a": 1.50, "b": 1e3, "c": NaN}\n{"customer_id": 678.0, "a": 12345678901234567890}\n'
    )
    track(path=str(tmp_path / "users.ndjson"))
    assert track.attributes() == {
        "12345": {"a": 1.5, "b": 1000},
        "678": {"a": 12345678901234567890},
    }


def test_a_folder_is_read_with_all_that_is_below_it(track: Tracker, tmp_path: Path):
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "part-0.ndjson").write_text('{"customer_id": "ann", "n": 1}\n')
    (tmp_path / "day=2").mkdir()
    (tmp_path / "day=2" / "part-0.csv").write_text("customer_id,n\nann,two\n")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part.crc").write_text("")
    assert outcome(track(path=str(tmp_path))) == (2, 0, 0)
    # In the order of their names.
    assert track.attributes() == {"ann": {"n": "two"}}


def test_a_glob_reads_the_files_that_match(track: Tracker, tmp_path: Path):
    for name in ("a-1", "a-2", "b-1"):
        (tmp_path / f"{name}.ndjson").write_text(f'{{"customer_id": "{name}"}}\n')
    track(path=f"file://{tmp_path}/a-*.ndjson")
    assert sorted(track.attributes()) == ["a-1", "a-2"]


def test_an_empty_folder_and_empty_files_are_no_rows(track: Tracker, tmp_path: Path):
    assert track(path=str(tmp_path))["read"] == 0
    for name in ("a.csv", "b.ndjson"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.csv").write_text("customer_id,n\n")
    assert track(path=str(tmp_path))["read"] == 0


@pytest.mark.parametrize("name", ["users.xlsx", "users", "users.parquet.gz", "users.xml.gz", "csv"])
def test_a_file_of_an_unknown_format(track: Tracker, tmp_path: Path, name: str):
    (tmp_path / name).write_text("")
    error = track.fails(MoEngageTaskFailed, path=str(tmp_path / name))
    assert name in str(error)
    assert ".csv" in str(error)


def test_a_file_that_is_not_there(track: Tracker, tmp_path: Path):
    assert "does not exist" in str(track.fails(MoEngageTaskFailed, path=str(tmp_path / "no.csv")))


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("customer_id,status", "account_status"),
        ("uid,plan", "id_column="),
        ("customer_id,plan,plan", "twice"),
        ("customer_id,moe_plan", "moe_plan"),
    ],
)
def test_the_columns_of_all_files_are_looked_at_before_the_first_row(
    track: Tracker, tmp_path: Path, header: str, named: str
):
    (tmp_path / "1.csv").write_text("customer_id,plan\nann,gold\n")
    (tmp_path / "2.csv").write_text(f"{header}\n{'x,' * header.count(',')}x\n")
    assert named in str(track.fails(MoEngageTaskFailed, path=str(tmp_path)))
    assert track.requests == 0


def test_a_gzip_that_ends_early_settles_the_rows_before(track: Tracker, tmp_path: Path):
    content = gzip.compress("".join(f'{{"customer_id": "user-{n}"}}\n' for n in range(50_000)).encode())
    (tmp_path / "users.ndjson.gz").write_bytes(content[: len(content) // 60])
    report = track.report(MoEngageIncompleteRun, path=str(tmp_path / "users.ndjson.gz"))
    assert report["source_exhausted"] is False
    assert report["rejected"] == 0
    assert report["accepted"] == len(track.attributes()) > 0


def test_lines_of_a_rejected_part_are_unwrapped_and_look_alikes_are_not(track: Tracker, tmp_path: Path):
    line = {
        "position": 7,
        "reason": "x",
        "code": "y",
        "request_id": None,
        "row": {"customer_id": "ann", "n": 1},
    }
    alike = {**line, "customer_id": "ben", "row": "text"}
    (tmp_path / "part.ndjson").write_text(f"{json.dumps(line)}\n{json.dumps(alike)}\n")
    track(path=str(tmp_path))
    assert track.attributes()["ann"] == {"n": 1}
    assert track.attributes()["ben"]["position"] == 7


def test_rows_of_parquet_arrive_with_their_types(track: Tracker, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    moment = datetime(2026, 1, 31, 10, tzinfo=timezone.utc)
    table = pyarrow.table(
        {
            "customer_id": pyarrow.array([1001, 1002]),
            "price": pyarrow.array([Decimal("12.50"), None]),
            "seen": pyarrow.array([moment, None], pyarrow.timestamp("ns", tz="UTC")),
            "day": pyarrow.array([date(2026, 2, 28), None]),
            "tags": pyarrow.array([["a", "b"], None]),
            "box": pyarrow.array([{"a": 1}, None]),
            "plan": pyarrow.array(["gold", None]).dictionary_encode(),
        }
    )
    parquet.write_table(table, tmp_path / "users.parquet")
    track(path=str(tmp_path / "users.parquet"))
    assert track.attributes() == {
        "1001": {
            "price": 12.5,
            "seen": "2026-01-31T10:00:00Z",
            "day": "2026-02-28",
            "tags": ["a", "b"],
            "box": {"a": 1},
            "plan": "gold",
        },
        "1002": {},
    }


def test_parquet_columns_are_looked_at_first(track: Tracker, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    parquet.write_table(pyarrow.table({"customer_id": ["ann"], "status": ["x"]}), tmp_path / "users.parquet")
    assert "account_status" in str(track.fails(MoEngageTaskFailed, path=str(tmp_path)))
