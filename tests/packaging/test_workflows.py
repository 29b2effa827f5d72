"""The workflows of GitHub: what they may do, what they run, and that a release is built by another job than publishes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dag_runs import ROOT

FOLDER = ROOT / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
#: With the version beside it, which people read and Dependabot keeps.
WITH_VERSION = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
#: What a job may do beyond reading, and which.
GRANTED = {
    ("docs.yml", "deploy"): {"pages": "write", "id-token": "write"},
    ("release.yml", "publish"): {"id-token": "write"},
    ("release.yml", "assets"): {"contents": "write"},
}
READ = {"contents": "read"}


def read(path: Path) -> dict[str, Any]:
    # YAML takes the key "on" for true.
    return {str(key).replace("True", "on"): value for key, value in yaml.safe_load(path.read_text()).items()}


JOBS = [
    pytest.param(path.name, read(path).get("permissions"), name, job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for name, job in read(path)["jobs"].items()
]
STEPS = [
    pytest.param(step, id=f"{path.stem}-{name}-{number}")
    for path in WORKFLOWS
    for name, job in read(path)["jobs"].items()
    for number, step in enumerate(job.get("steps", []))
]
RELEASE = read(FOLDER / "workflows" / "release.yml")["jobs"]


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job.get("steps", []) if "run" in step)


def actions(job: dict[str, Any]) -> list[str]:
    return [step["uses"].partition("@")[0] for step in job.get("steps", []) if "uses" in step]


def test_there_are_workflows_for_checks_docs_and_releases():
    assert [path.name for path in WORKFLOWS] == ["checks.yml", "docs.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_runs_with_rights_on_code_of_a_stranger(path):
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(read(path)["on"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_knows_a_secret(path):
    assert not re.search(r"secrets\s*[.\[:]", path.read_text())


@pytest.mark.parametrize(("workflow", "of_workflow", "name", "job"), JOBS)
def test_a_job_may_do_only_what_it_needs(workflow, of_workflow, name, job):
    permissions = job.get("permissions", of_workflow)
    assert permissions is not None, "without permissions of its own it has those of the repository's settings"
    assert permissions == GRANTED.get((workflow, name), READ)


@pytest.mark.parametrize(("workflow", "of_workflow", "name", "job"), JOBS)
def test_a_job_that_hangs_is_ended(workflow, of_workflow, name, job):
    # One that calls another workflow has that one's.
    assert "uses" in job or 0 < job["timeout-minutes"] <= 90


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_runs_of_one_kind_do_not_overlap(path):
    assert read(path)["concurrency"]["group"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit_whose_version_stands_beside_it(path):
    lines = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses: " in line]
    of_others = [line for line in lines if line != "uses: ./.github/workflows/checks.yml"]
    assert of_others
    assert [line for line in of_others if not WITH_VERSION.search(line)] == []


@pytest.mark.parametrize("step", STEPS)
def test_a_step_takes_values_from_its_environment_and_keeps_no_credentials(step):
    # An expression in a command is text of somebody else in a shell.
    assert "${{" not in step.get("run", "")
    if "uses" in step:
        assert PINNED.match(step["uses"])
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_the_workflows_run_exists():
    targets = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = "\n".join(commands(job.values[3]) for job in JOBS)
    assert set(re.findall(r"\bmake ([a-z0-9.-]+)", run)) == {"dist", "docs"} <= targets
    assert set(re.findall(r"^\.ci/\w+", run, re.MULTILINE)) == {".ci/run"}
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
    modules = set(re.findall(r"python -m ([\w.]+)", run))
    assert modules == {"release.constraints", "release.tag"}
    assert all((ROOT / f"{module.replace('.', '/')}.py").is_file() for module in modules)


def test_a_release_is_published_by_a_job_that_neither_checks_out_nor_builds():
    assert actions(RELEASE["publish"]) == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert commands(RELEASE["publish"]) == ""
    assert set(RELEASE["publish"]["needs"]) == {"checks", "build"}
    assert RELEASE["publish"]["environment"]["name"] == "pypi"
    assert RELEASE["checks"]["uses"] == "./.github/workflows/checks.yml"


def test_nothing_that_a_release_builds_from_was_cached_by_another_run():
    assert "actions/cache" not in actions(RELEASE["build"])
    assert "cache" not in str([step.get("with") for step in RELEASE["build"]["steps"]])


def test_a_release_is_built_only_of_the_tagged_version():
    assert commands(RELEASE["build"]).startswith("python -m release.tag ")


def test_the_checks_run_on_each_python_that_the_package_names():
    matrix = read(FOLDER / "workflows" / "checks.yml")["jobs"]["suite"]["strategy"]["matrix"]["include"]
    classifiers = re.findall(
        r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()
    )
    assert [one["python"] for one in matrix if not one["may-fail"]] == classifiers
    # Airflow 2.11 runs on Python up to 3.12.
    assert [one["python"] for one in matrix if one["python-2-11"]] == ["3.10", "3.11", "3.12"]


@pytest.mark.parametrize("version", ["2.11", "3.3"])
def test_the_wheel_is_tried_beside_the_airflow_that_the_tests_run_on(version):
    tried = read(FOLDER / "workflows" / "checks.yml")["jobs"]["wheel"]["strategy"]["matrix"]["airflow"]
    pins = (ROOT / "requirements" / f"airflow-{version}.txt").read_text()
    (pinned,) = re.findall(r"^apache-airflow==(\S+)$", pins, re.MULTILINE)
    assert pinned in tried


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yml")), ids=lambda path: path.name)
def test_every_file_of_github_is_yaml(path):
    assert yaml.safe_load(path.read_text())
