"""Files of users: complete or absent."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.operations.user_outputs import FileSink, ListSink


def test_nothing_is_there_until_it_is_finished(tmp_path: Path):
    target = tmp_path / "users.csv"
    sink = FileSink(str(target))
    sink.add([{"a": 1}])
    sink.add([{"b": [1]}])
    assert list(tmp_path.iterdir()) == []
    sink.finish()
    assert target.read_text().splitlines() == ["a,b", "1,", ",[1]"]


def test_what_is_discarded_is_never_there(tmp_path: Path):
    sink = FileSink(str(tmp_path / "users.csv"))
    sink.add([{"a": 1}])
    sink.discard()
    assert list(tmp_path.iterdir()) == []


FORMULAS = ["=1+1", "+49151", "-2", "@SUM(A1)", "\t=1", "\r=1", "plain", "a=b", ""]


@pytest.mark.parametrize("policy", ["keep", "escape"])
def test_formulas_are_kept_or_escaped(tmp_path: Path, policy: Any):
    target = tmp_path / "users.csv"
    sink = FileSink(str(target), csv_formulas=policy)
    sink.add([{"text": text, "=name": -2} for text in FORMULAS])
    sink.finish()
    with target.open(newline="") as stream:
        names, *rows = csv.reader(stream)
    escaped = [f"'{text}" if text[:1] in set("=+-@\t\r") - {""} and text else text for text in FORMULAS]
    assert [row[0] for row in rows] == (escaped if policy == "escape" else FORMULAS)
    assert [row[1] for row in rows] == ["-2"] * len(FORMULAS)
    assert names == ["text", "'=name" if policy == "escape" else "=name"]


@pytest.mark.parametrize("ending", ["ndjson", "parquet"])
def test_formulas_are_escaped_in_csv_alone(tmp_path: Path, ending: str):
    target = tmp_path / f"users.{ending}"
    sink = FileSink(str(target), csv_formulas="escape")
    sink.add([{"text": "=1+1"}])
    sink.finish()
    assert b"=1+1" in target.read_bytes()
    assert b"'=1+1" not in target.read_bytes()


KILLED = """
import os, signal, sys, tempfile
from airflow_provider_moengage.operations import user_outputs as sinks
sink = sinks.FileSink(sys.argv[1])
sink.add([{"name": "somebody"}] * 10_000)
users = sink._users
def killed():
    for number, user in enumerate(users()):
        if number == 9_000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield user
sink._users = killed
sink.finish()
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has files that are not named before they are whole"
)
@pytest.mark.parametrize("ending", ["ndjson", "csv", "parquet"])
def test_a_process_killed_while_it_writes_leaves_no_profile(tmp_path: Path, ending: str):
    temporary, output = tmp_path / "tmp", tmp_path / "output"
    temporary.mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(output / f"users.{ending}")],
        env={**os.environ, "TMPDIR": str(temporary)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(temporary.iterdir()) == []
    assert list(output.iterdir()) == []


def test_the_list_takes_its_limit_and_no_more():
    sink = ListSink(2)
    sink.add([{}, {}])
    with pytest.raises(MoEngageParameterError, match="output_path"):
        sink.add([{}])
