from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_moengage.sandbox import Sandbox

PLUGIN = "airflow_provider_moengage.sandbox.pytest_plugin"

BLOCKER = """\
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("starlette", "uvicorn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.split() == [
        "airflow_provider_moengage",
        "airflow_provider_moengage.sandbox",
        PLUGIN,
    ]


def test_the_client_needs_the_standard_library_only() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_moengage.sandbox import Sandbox, running_sandbox\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(ended.stdout.split()) & {
        "starlette",
        "uvicorn",
        "requests",
        "airflow",
        "pydantic",
        "pytest",
    }


def test_each_test_gets_a_clean_sandbox_of_one_server(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(
        "urls = []\n"
        "def test_one(moengage_sandbox):\n"
        "    urls.append(moengage_sandbox.url)\n"
        "    moengage_sandbox.settings(users_per_minute=1)\n"
        "def test_two(moengage_sandbox, moengage_sandbox_server):\n"
        "    assert urls == [moengage_sandbox.url]\n"
        "    assert moengage_sandbox is moengage_sandbox_server\n"
        "    assert moengage_sandbox.settings()['users_per_minute'] == 10_000\n"
    )
    ended = run_pytest(tmp_path)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


def test_without_the_extra_the_fixture_fails_and_names_it(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # The server runs in a process of its own: the blocker has to be in every interpreter.
    (blocked / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "test_users.py").write_text(
        "def test_sandbox(moengage_sandbox):\n    pass\ndef test_other():\n    pass\n"
    )
    ended = run_pytest(tmp_path, blocked)
    assert "1 passed, 1 error" in ended.stdout, ended.stdout + ended.stderr
    assert "pip install 'airflow-provider-moengage[sandbox]'" in ended.stdout
    assert "Traceback" not in ended.stdout


def run_pytest(folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    search = os.pathsep.join(str(path) for path in (*paths, root))
    # Once is enough where the package is installed and its entry point has loaded the plugin already.
    environment = {**os.environ, "PYTHONPATH": search, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        PLUGIN,
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        str(folder),
    ]
    return subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, env=environment, cwd=folder, timeout=120
    )


def test_the_connection_is_set_only_for_a_test_that_asks(moengage_sandbox: Sandbox) -> None:
    assert moengage_sandbox.port != int(
        json.loads(os.environ.get("AIRFLOW_CONN_MOENGAGE_DEFAULT", "{}")).get("port", 0)
    )


def test_the_connection_leads_to_the_sandbox(moengage_sandbox_connection: Sandbox) -> None:
    sandbox = moengage_sandbox_connection
    assert json.loads(os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"]) == sandbox.connection
    assert sandbox.connection == {
        "conn_type": "moengage",
        "host": "http://127.0.0.1",
        "port": sandbox.port,
        "login": "SANDBOX_WORKSPACE",
        "password": "SANDBOX_KEY",
    }


@pytest.mark.parametrize("form", ["connection_json", "connection_uri"])
def test_airflow_reads_the_connection_in_both_forms(
    moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    models = pytest.importorskip("airflow.models.connection")
    text = getattr(moengage_sandbox, form)
    connection = (
        models.Connection.from_json(text) if form == "connection_json" else models.Connection(uri=text)
    )
    assert connection.conn_type == "moengage"
    assert connection.host.removeprefix("http://") == "127.0.0.1"
    assert (connection.port, connection.login) == (moengage_sandbox.port, "SANDBOX_WORKSPACE")
    assert connection.password == "SANDBOX_KEY"
