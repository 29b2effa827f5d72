"""
Writes the software bill of materials that ``make dist`` puts into the wheel.

The wheel bundles nothing. Its SBOM lists what it requires, in the versions it was tested with: an environment that has
Airflow and the other dependencies under the pins of requirements/, without extras and without the tools of the tests.

``python -m release.sbom ENVIRONMENT``: needs cyclonedx-bom.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from release.tag import ROOT, package_version

SBOM = ROOT / "sbom.cdx.json"
PROJECT = ROOT / "pyproject.toml"
#: CycloneDX's name for the component that the SBOM is about, as cyclonedx-py refers to it.
ROOT_COMPONENT = "root-component"
LIFECYCLE = {
    "name": "tested environment",
    "description": "The wheel bundles none of these components. They are what it requires, without extras, in the versions "
    "that the release was tested with on Airflow 3.3; other versions fit too.",
}
#: The name in a requirement such as ``apache-airflow>=2.11.0``.
NAME = re.compile(r"^[A-Za-z0-9._-]+")


def _normal(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def complete(bom: dict[str, Any], version: str, required: list[str]) -> dict[str, Any]:
    """
    Return the SBOM with what cyclonedx-py cannot know.

    :param bom: what cyclonedx-py wrote, reproducibly, of the environment.
    :param version: of the package, which pyproject.toml does not have.
    :param required: the requirements of the package without extras.
    :raises ValueError: a required distribution is not in the environment, or the SBOM names a file of this machine.
    """
    component = {**bom["metadata"]["component"], "version": version}
    component["purl"] = f"pkg:pypi/{_normal(component['name'])}@{version}"
    references = {_normal(one["name"]): one["bom-ref"] for one in bom["components"]}
    names = [_normal(match[0]) for text in required if (match := NAME.match(text))]
    missing = [name for name in names if name not in references]
    if missing:
        raise ValueError(f"not in the environment: {', '.join(missing)}")
    # cyclonedx-py also takes what an extra names and Airflow happens to bring.
    dependencies = [
        {"ref": ROOT_COMPONENT, "dependsOn": sorted(references[name] for name in names)}
        if one["ref"] == ROOT_COMPONENT
        else one
        for one in bom["dependencies"]
    ]
    metadata = {**bom["metadata"], "component": component, "lifecycles": [LIFECYCLE]}
    completed = {**bom, "metadata": metadata, "dependencies": dependencies}
    if "file://" in json.dumps(completed):
        raise ValueError(
            "a component was installed from a file of this machine; install all of them from an index"
        )
    return completed


def main(environment: str) -> None:
    """
    Write the SBOM.

    :param environment: the folder of a virtual environment with the dependencies of the package and nothing else.
    """
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    options = ["--mc-type", "library", "--output-reproducible", "--no-validate", "--spec-version", "1.6"]
    listed = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", PROJECT, *options, environment],
        stdout=subprocess.PIPE,
        check=True,
    )
    required = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["dependencies"]
    text = json.dumps(complete(json.loads(listed.stdout), package_version(), required), indent=2) + "\n"
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise ValueError(f"the SBOM does not fit CycloneDX's schema: {error}")
    SBOM.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
