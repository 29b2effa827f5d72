"""Files of users: complete or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.sinks import FileSink, ListSink


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


def test_the_list_takes_its_limit_and_no_more():
    sink = ListSink(2)
    sink.add([{}, {}])
    with pytest.raises(MoEngageParameterError, match="output_path"):
        sink.add([{}])
