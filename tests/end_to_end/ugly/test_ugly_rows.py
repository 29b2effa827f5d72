"""Ugly rows through every medium: what was fit is stored as it was to be, what was not is in the parts, nothing is bent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.ugly import databases
from tests.end_to_end.ugly.media import FILES, LIST, Medium
from tests.end_to_end.ugly.rows import KINDS, logical_rows
from tests.end_to_end.ugly.run import MODES, sent, written

FEW, MANY = 400, 3_000
MEDIA = {medium.name: medium for medium in FILES}


@pytest.fixture(params=["postgres", "mariadb", *MEDIA])
def medium(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Medium:
    name: str = request.param
    if name == "postgres":
        server = request.getfixturevalue("postgres_server")
        monkeypatch.setenv("AIRFLOW_CONN_UGLY_POSTGRES", server.connection_json)
        return databases.postgres(server)
    if name == "mariadb":
        pytest.importorskip("MySQLdb", reason="mysqlclient is not there")
        server = request.getfixturevalue("mariadb_server")
        monkeypatch.setenv("AIRFLOW_CONN_UGLY_MARIADB", server.connection_json())
        return databases.mariadb(server)
    return MEDIA[name]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("rows", "rate"), [(FEW, 0.03), pytest.param(MANY, 0.01, marks=pytest.mark.volume)])
def test_every_row_becomes_what_it_is_to_be(
    moengage_sandbox_connection: Sandbox, tmp_path: Path, medium: Medium, mode: str, rows: int, rate: float
):
    source = written(medium, tmp_path / "rows", rows=rows, seed=rows, rate=rate)
    compared = sent(source, mode, moengage_sandbox_connection)
    found = {what: (count, compared.examples[what]) for what, count in compared.differences.items()}
    assert found == {}
    assert compared.bent == 0
    # The comparison is worth something: rows of both kinds are among them.
    assert min(compared.report["accepted"], compared.report["rejected"]) > rows / 200


@pytest.mark.parametrize(
    "part", [part for medium in FILES for part in medium.parts] + [databases.POSTGRES, databases.MARIADB]
)
def test_each_kind_occurs_in_about_one_row_of_a_hundred(part):
    rows = list(logical_rows(4_000, 1, 0.01, lambda n: part))
    found = Counter(name for row in rows for name in row.kinds)
    wanted = Counter[str]()
    for kind in KINDS:
        if part.looks(kind):
            wanted[kind.name] += 40 * kind.share
    assert found.keys() == wanted.keys()
    for name, count in wanted.items():
        # Where two kinds meet in one column, the first has it.
        assert 0.4 * count - 10 < found[name] < 1.5 * count + 10


def test_the_rows_of_a_seed_are_the_same_in_every_run_and_medium():
    once, again = (list(logical_rows(300, 7, 0.01, lambda n: LIST)) for _ in range(2))
    assert [(row.kinds, row.attributes, row.customer) for row in once] == [
        (row.kinds, row.attributes, row.customer) for row in again
    ]
    others = list(logical_rows(300, 7, 0.01, lambda n: databases.POSTGRES))
    plain = [n for n, row in enumerate(once) if not row.kinds and not others[n].kinds]
    assert len(plain) > 100
    assert all(once[n].attributes == others[n].attributes for n in plain)


def test_the_same_seed_and_another_is_another():
    one, other = (list(logical_rows(50, seed, 0.01, lambda n: LIST)) for seed in (1, 2))
    assert [row.cells for row in one] != [row.cells for row in other]
