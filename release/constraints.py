"""
Installs the wheel beside an Airflow that was installed under constraints, and checks that nothing there is changed by it.

``python -m release.constraints AIRFLOW CONSTRAINTS WHEEL``: an Airflow version, a file or URL with pins, and the wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DISTRIBUTION = "airflow-provider-moengage"
#: What the wheel may bring where Airflow does not: Airflow 2.11 has no msgspec of its own.
OURS = frozenset({DISTRIBUTION, "msgspec"})
#: As pip does: a company's proxy has its authority in the system's store alone.
TRUSTING = {"UV_SYSTEM_CERTS": "true"}


@dataclass(frozen=True)
class Difference:
    """
    What an installation changed.

    :param changed: distributions with another version than before.
    :param removed: distributions that are gone.
    :param added: distributions that were not there.
    """

    changed: frozenset[str]
    removed: frozenset[str]
    added: frozenset[str]

    def what_is_wrong(self) -> list[str]:
        """Return a sentence for each kind of change that the wheel must not make."""
        sentences = []
        for names, verb in [
            (self.changed, "changed the version of"),
            (self.removed, "removed"),
            (self.added - OURS, "brought"),
        ]:
            if names:
                sentences.append(f"Installing the wheel {verb} {', '.join(sorted(names))}.")
        if DISTRIBUTION not in self.added:
            sentences.append(f"{DISTRIBUTION} was not installed.")
        return sentences


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> Difference:
    """
    Return what changed.

    :param before: distribution → version.
    :param after: likewise.
    """
    return Difference(
        frozenset(name for name in before.keys() & after.keys() if before[name] != after[name]),
        frozenset(before.keys() - after.keys()),
        frozenset(after.keys() - before.keys()),
    )


class Environment:
    """A new virtual environment, filled with uv."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        """
        Make the environment.

        :param folder: where; it must not exist.
        :param python: the interpreter that it is made of.
        """
        self.folder = folder
        # The environments that make creates have uv beside their interpreter.
        beside = Path(sys.executable).with_name("uv")
        self._uv = str(beside) if beside.exists() else "uv"
        self._run_uv("venv", "--quiet", "--python", python, str(folder))

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    def install(self, requirement: str, constraints: str) -> None:
        """
        Install a distribution with what it requires.

        :param requirement: a requirement, or the path of a wheel.
        :param constraints: the path or URL of a file with pins.
        """
        self._pip("install", "--constraint", constraints, requirement)

    def versions(self) -> dict[str, str]:
        """Return the version of each installed distribution."""
        listed = json.loads(self._pip("list", "--format", "json"))
        return {one["name"].lower(): one["version"] for one in listed}

    def check(self) -> None:
        """
        Check that all requirements of all distributions are met.

        :raises subprocess.CalledProcessError: they are not; uv has printed which.
        """
        self._pip("check")

    def _pip(self, command: str, *arguments: str) -> str:
        return self._run_uv("pip", command, "--quiet", "--python", str(self.python), *arguments)

    def _run_uv(self, *arguments: str) -> str:
        environment = {**TRUSTING, **os.environ}
        return subprocess.run(
            [self._uv, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


def install_beside_airflow(
    environment: Environment, airflow: str, constraints: str, wheel: Path
) -> Difference:
    """
    Install Airflow and then the wheel, and return what the wheel changed.

    :param environment: an empty one.
    :param airflow: the version.
    :param constraints: the path or URL of a file with pins for both.
    :param wheel: the wheel's path.
    :raises subprocess.CalledProcessError: something cannot be installed, or a requirement is not met afterwards.
    """
    environment.install(f"apache-airflow=={airflow}", constraints)
    before = environment.versions()
    environment.install(str(wheel), constraints)
    environment.check()
    return difference(before, environment.versions())


def providers(environment: Environment, home: Path) -> set[str]:
    """
    Return the names of the providers that Airflow finds in the environment.

    :param home: a folder for Airflow's own files.
    """
    # Neither settings nor modules of the caller's.
    kept = (name for name in os.environ if not name.startswith("AIRFLOW_") and name != "PYTHONPATH")
    variables = {name: os.environ[name] for name in kept}
    printed = subprocess.run(
        [environment.folder / "bin" / "airflow", "providers", "list", "--output", "json"],
        env={**variables, "AIRFLOW_HOME": str(home), "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False"},
        cwd=environment.folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    # Warnings may stand before and after the list.
    listed = json.JSONDecoder().raw_decode(printed, printed.index("[{"))[0]
    return {one["package_name"] for one in listed}


def main(airflow: str, constraints: str, wheel: str) -> str | None:
    """Return what is wrong; None: nothing is, and what the wheel brought was printed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder, "environment"))
        found = install_beside_airflow(environment, airflow, constraints, Path(wheel).resolve())
        wrong = found.what_is_wrong()
        if not wrong and DISTRIBUTION not in providers(environment, Path(folder, "airflow")):
            wrong.append(f"Airflow {airflow} does not list {DISTRIBUTION} among its providers.")
    print(f"Beside Airflow {airflow} the wheel brought: {', '.join(sorted(found.added))}.")
    return "\n".join(wrong) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
