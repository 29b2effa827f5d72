"""The DAGs that run under a real Airflow; what becomes of them there takes minutes, and is looked at by ``make standalone`` and ``make cluster``."""

from __future__ import annotations

import json
import sys

import pytest

from faults.cluster.servers import DAG_ID
from faults.standalone import DAG_IDS
from tests.support.dag_runs import ROOT, airflow_environment, run_program

pytestmark = pytest.mark.airflow_3


def test_the_dags_for_a_real_airflow_parse(tmp_path):
    program = ROOT / "tests" / "example_dags" / "parse.py"
    environment = airflow_environment(
        tmp_path,
        FAULTS_STAGING=(tmp_path / "staging").as_uri(),
        FAULTS_SNAPSHOTS=(tmp_path / "snapshots").as_uri(),
    )
    printed = run_program(sys.executable, program, ROOT / "faults" / "dags", env=environment)
    outcome = json.loads(printed.splitlines()[-1])
    del outcome["shown"]
    assert outcome == {"dags": sorted((*DAG_IDS, DAG_ID)), "import_errors": {}, "calls": []}
