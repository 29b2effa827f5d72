"""What a release is made with: the check of its tag, its SBOM, the comparison of what an installation changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from release import sbom, tag
from release.constraints import DISTRIBUTION, difference
from tests.support.dag_runs import ROOT

VERSION = tag.package_version()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Enough of one to be released from."""
    package = tmp_path / "airflow_provider_moengage"
    package.mkdir()
    (package / "__init__.py").write_text('"""Package."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-01-01)\n\n- A change.\n")
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nSource = "https://github.com/owner/name"\n')
    return tmp_path


def test_a_tag_that_says_what_is_there_is_released(checkout: Path):
    assert tag.what_is_wrong("v1.2.3", "owner/name", checkout) == []


@pytest.mark.parametrize("name", ["v1.2.4", "1.2.3", "v1.2.3-rc1"])
def test_a_tag_of_another_version_is_not_released(checkout: Path, name: str):
    (reason,) = tag.what_is_wrong(name, "owner/name", checkout)
    assert f"The tag {name} is not v1.2.3" in reason


@pytest.mark.parametrize("heading", ["## Unreleased", "## 1.2.30", "### 1.2.3"])
def test_a_version_without_a_section_of_the_changelog_is_not_released(checkout: Path, heading: str):
    (checkout / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    assert tag.what_is_wrong("v1.2.3", "owner/name", checkout) == ["CHANGELOG.md has no section ## 1.2.3."]


def test_a_package_whose_addresses_lead_elsewhere_is_not_released(checkout: Path):
    (reason,) = tag.what_is_wrong("v1.2.3", "someone/else", checkout)
    assert "[project.urls], does not name someone/else" in reason


def test_the_version_of_the_checkout_is_the_one_that_is_imported():
    from airflow_provider_moengage import __version__

    assert __version__ == VERSION


def test_all_addresses_name_one_repository():
    table = (ROOT / "pyproject.toml").read_text().partition("[project.urls]\n")[2].partition("\n\n")[0]
    urls = dict(re.findall(r'^(\w+) = "([^"]+)"$', table, re.MULTILINE))
    assert list(urls) == ["Documentation", "Changelog", "Source", "Issues"]
    owner, name = urls["Source"].removeprefix("https://github.com/").split("/")
    assert urls["Documentation"] == f"https://{owner}.github.io/{name}/"
    assert all(urls[one].startswith(urls["Source"] + "/") for one in ("Changelog", "Issues"))


def bom(*components: str, **root: str) -> dict:
    """As cyclonedx-py writes it, of an environment with these distributions."""
    named = [{"name": one, "bom-ref": f"{one}==1", "version": "1", "type": "library"} for one in components]
    return {
        "bomFormat": "CycloneDX",
        "components": named,
        "dependencies": [
            {"ref": sbom.ROOT_COMPONENT, "dependsOn": [one["bom-ref"] for one in named]},
            {"ref": "apache-airflow==1", "dependsOn": ["uvicorn==1"]},
        ],
        "metadata": {
            "component": {"name": DISTRIBUTION, "bom-ref": sbom.ROOT_COMPONENT, "type": "library", **root}
        },
    }


def test_the_sbom_is_about_the_version_that_it_is_built_with():
    component = sbom.complete(bom("apache-airflow"), "1.2.3", ["apache-airflow>=2.11.0"])["metadata"][
        "component"
    ]
    assert component["version"] == "1.2.3"
    assert component["purl"] == "pkg:pypi/airflow-provider-moengage@1.2.3"


def test_the_sbom_names_what_the_wheel_requires_and_not_what_an_extra_would_add():
    completed = sbom.complete(
        bom("apache-airflow", "pydantic_core", "uvicorn"),
        "1.2.3",
        ["apache-airflow>=2.11.0", "Pydantic-Core>=2"],
    )
    assert completed["dependencies"] == [
        {"ref": sbom.ROOT_COMPONENT, "dependsOn": ["apache-airflow==1", "pydantic_core==1"]},
        {"ref": "apache-airflow==1", "dependsOn": ["uvicorn==1"]},
    ]


def test_the_sbom_says_that_the_wheel_bundles_nothing():
    (lifecycle,) = sbom.complete(bom("requests"), "1.2.3", ["requests"])["metadata"]["lifecycles"]
    assert "bundles none of these components" in lifecycle["description"]


def test_an_environment_without_a_required_distribution_has_no_sbom():
    with pytest.raises(ValueError, match="not in the environment: msgspec"):
        sbom.complete(bom("requests"), "1.2.3", ["requests>=2.31", "msgspec>=0.19"])


def test_an_sbom_names_no_file_of_the_machine():
    with pytest.raises(ValueError, match="install all of them from an index"):
        sbom.complete(bom("requests", description="file:///home/me/wheel"), "1.2.3", ["requests"])


@pytest.mark.airflow_3
def test_an_sbom_beside_the_project_gets_into_both_distributions(tmp_path: Path):
    # What a build reads, without the history and the environments.
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(
        ".*", "__pycache__", "dist", "build", "site", "tests", "docs", "requirements"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    shutil.copy(ROOT / ".gitignore", copy)
    content = json.dumps(bom("requests"))
    (copy / "sbom.cdx.json").write_text(content)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", copy],
        env=dict(os.environ),
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    folder = f"airflow_provider_moengage-{VERSION}.dist-info"
    # The wheel is built of the source distribution.
    assert zipfile.ZipFile(wheel).read(f"{folder}/sboms/sbom.cdx.json").decode() == content


def test_what_an_installation_changed_is_told_apart():
    before = {"apache-airflow": "3.3.2", "requests": "2.32.3", "pydantic": "2.11.5"}
    after = {"apache-airflow": "3.3.2", "requests": "2.34.2", "msgspec": "0.22.0", "anything": "1"}
    found = difference(before, after)
    assert found.changed == {"requests"}
    assert found.removed == {"pydantic"}
    assert found.added == {"msgspec", "anything"}
    assert found.what_is_wrong() == [
        "Installing the wheel changed the version of requests.",
        "Installing the wheel removed pydantic.",
        "Installing the wheel brought anything.",
        "airflow-provider-moengage was not installed.",
    ]


def test_the_wheel_may_bring_itself_and_msgspec():
    assert difference({}, {DISTRIBUTION: "1.2.3", "msgspec": "0.22.0"}).what_is_wrong() == []
