"""
Checks that a release is what its tag says, before anything is built.

``python -m release.tag TAG REPOSITORY``: in the release workflow, with the names that GitHub gives them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = re.compile(r'^Source = "https://github\.com/([^/"]+/[^/"]+)"$', re.MULTILINE)


def package_version(root: Path = ROOT) -> str:
    """Return the version of the package, without importing it."""
    text = (root / "airflow_provider_moengage" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError("airflow_provider_moengage/__init__.py has no line __version__ = …")
    return found[1]


def what_is_wrong(tag: str, repository: str, root: Path = ROOT) -> list[str]:
    """
    Return a sentence for each reason not to release.

    :param tag: such as ``v0.1.0``.
    :param repository: owner and name, such as ``owner/name``.
    """
    version, wrong = package_version(root), []
    if tag != f"v{version}":
        wrong.append(
            f"The tag {tag} is not v{version}, the version in airflow_provider_moengage/__init__.py."
        )
    if not re.search(
        rf"^## {re.escape(version)}\b", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    ):
        wrong.append(f"CHANGELOG.md has no section ## {version}.")
    source = SOURCE.search((root / "pyproject.toml").read_text("utf-8"))
    if source is None or source[1] != repository:
        wrong.append(
            f"Source in pyproject.toml, [project.urls], does not name {repository}; change all four addresses there."
        )
    return wrong


if __name__ == "__main__":
    reasons = what_is_wrong(sys.argv[1], sys.argv[2])
    sys.exit("\n".join(reasons) or None)
