"""The wheel, built and installed into an empty environment, as Airflow then sees it."""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from release.constraints import DISTRIBUTION, Difference, Environment, install_beside_airflow, providers
from tests.support.dag_runs import ROOT, airflow_environment, run_program
from tests.support.leaks import KEY, OUTPUT

pytestmark = pytest.mark.airflow_3

PINS = {version: ROOT / "requirements" / f"airflow-{version}.txt" for version in ("3.3", "2.11")}
PARSE = ROOT / "tests" / "example_dags" / "parse.py"
# Where Airflow 3.3 finds examples: its own, and those of the providers it knows.
EXAMPLE_FOLDERS = """
from airflow.dag_processing.bundles.manager import DagBundlesManager
for bundle in DagBundlesManager().get_all_dag_bundles():
    print(bundle.path)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built of a source distribution, so that this is seen to be complete too."""
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation the pinned build backend is used.
    run_program(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, env=dict(os.environ)
    )
    (path,) = folder.glob("*.whl")
    return path


def beside_airflow(environment: Environment, version: str, wheel: Path) -> Difference:
    """Install Airflow under the pins of the tests, and the wheel beside it with what it requires, no extra."""
    (airflow,) = re.findall(r"^apache-airflow==(\S+)$", PINS[version].read_text(), re.MULTILINE)
    return install_beside_airflow(environment, airflow, str(PINS[version]), wheel)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture(scope="module")
def changed(environment, wheel) -> Difference:
    """What installing the wheel changed."""
    return beside_airflow(environment, "3.3", wheel)


@pytest.fixture(scope="module")
def installed(environment, changed):
    """A function that runs a program of the environment that has the wheel."""
    folder = environment.folder.parent
    home = folder / "airflow"

    def run(program: str, *arguments: str | Path, **variables: str) -> str:
        # From a folder of its own: the checkout must not lend it anything.
        return run_program(
            environment.folder / "bin" / program,
            *arguments,
            env=airflow_environment(home, **variables),
            cwd=folder,
        )

    return run


@pytest.fixture
def listed(installed):
    def rows(command: str) -> list[dict[str, str]]:
        printed = installed("airflow", "providers", command, "--output", "json")
        # Warnings may stand before and after the list.
        return json.JSONDecoder().raw_decode(printed, printed.index("[{"))[0]

    return rows


def test_carries_what_is_no_module_of_ours(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    examples = {path.relative_to(ROOT).as_posix() for path in (ROOT / "example_dags").glob("*.py")}
    assert examples
    assert {f"airflow_provider_moengage/{example}" for example in examples} <= names
    assert "airflow_provider_moengage/example_dags/sql/customers.sql" in names
    assert "airflow_provider_moengage/example_dags/data/customers.csv" in names
    assert "airflow_provider_moengage/py.typed" in names
    assert "airflow_provider_moengage/plugin/sync.html" in names
    assert not [
        name
        for name in names
        if name.startswith(("tests/", "demo/", "docs/", "benchmarks/", "faults/", "release/"))
    ]
    assert not [name for name in names if name.endswith(".png")]


def test_registers_with_airflow_pytest_and_the_shell(wheel):
    entry_points = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        entry_points.read_string(archive.read(path).decode())
    assert list(entry_points["apache_airflow_provider"]) == ["provider_info"]
    assert list(entry_points["airflow.plugins"]) == ["moengage"]
    assert list(entry_points["pytest11"]) == ["moengage_sandbox"]
    assert list(entry_points["console_scripts"]) == ["moengage-sandbox"]


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(path).decode())


def test_names_the_address_that_airflow_shows_on_its_page_of_providers(wheel):
    labels = [url.partition(", ")[0] for url in metadata_of(wheel).get_all("Project-URL")]
    assert labels == ["Documentation", "Changelog", "Source", "Issues"]


def test_a_build_that_is_no_release_has_no_sbom(wheel):
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "/sboms/" in name]


def test_installing_it_changes_nothing_of_airflow(changed):
    assert changed.what_is_wrong() == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Airflow 2.11 does not run on it")
def test_installing_it_changes_nothing_of_airflow_2(wheel, tmp_path):
    environment = Environment(tmp_path / "environment")
    assert beside_airflow(environment, "2.11", wheel).what_is_wrong() == []
    assert DISTRIBUTION in providers(environment, tmp_path / "airflow")


def test_the_description_has_no_link_that_leads_nowhere_on_an_index(wheel):
    metadata = metadata_of(wheel)
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload()
    links = re.findall(
        r"""\]\(([^)]+)\)|^\[[^\]]+\]: (\S+)|(?:href|src)=["']([^"']+)""", description, re.MULTILINE
    )
    targets = {target for link in links for target in link if target}
    assert "https://airflow.apache.org/" in targets
    assert {target for target in targets if not target.startswith("https://")} == set()
    readme = (ROOT / "README.md").read_text()
    relative = re.findall(r"(?<!!)\[([^\]]+)\]\((?!https:)", readme)
    assert relative
    assert [text for text in relative if text not in description] == []
    pictures = re.findall(r"!\[([^\]]+)\]", readme)
    assert pictures
    assert [text for text in pictures if text in description] == []
    blocks = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    assert blocks.findall(description) == blocks.findall(readme)


def test_airflow_lists_the_provider(listed):
    assert DISTRIBUTION in [row["package_name"] for row in listed("list")]


def test_airflow_lists_the_hook(listed):
    (hook,) = (row for row in listed("hooks") if row["connection_type"] == "moengage")
    assert hook["class"].endswith("MoEngageHook")


def test_airflow_lists_the_fields_of_the_connection_form(listed):
    fields = [row for row in listed("widgets") if "moengage" in row["connection_parameter_name"]]
    assert any("data_center" in row["connection_parameter_name"] for row in fields)


def test_airflow_lists_the_behaviour_of_the_connection_form(listed):
    assert "moengage" in [row["field_behaviours"] for row in listed("behaviours")]


def test_airflow_loads_the_plugin(installed):
    printed = installed("airflow", "plugins", "--output", "json")
    plugins = json.JSONDecoder().raw_decode(printed, printed.index("[{"))[0]
    (plugin,) = (row for row in plugins if row["name"] == "moengage")
    assert "airflow-provider-moengage" in plugin["source"]


def test_airflow_serves_the_examples(installed):
    folders = installed("python", "-W", "ignore", "-c", EXAMPLE_FOLDERS, AIRFLOW__CORE__LOAD_EXAMPLES="True")
    (folder,) = (
        line for line in folders.splitlines() if line.endswith("airflow_provider_moengage/example_dags")
    )
    outcome = json.loads(installed("python", PARSE, folder).splitlines()[-1])
    assert outcome["import_errors"] == {}
    assert len(outcome["dags"]) == len(list((ROOT / "example_dags").glob("*.py")))


@pytest.mark.shows(KEY, OUTPUT, reason="the key that the sandbox takes by default is no secret")
def test_the_command_is_there(installed):
    assert "--workspace-id" in installed("moengage-sandbox", "--help")


def test_the_operators_import(installed):
    installed("python", "-c", "import airflow_provider_moengage.operators.users")
