"""What the package's metadata and its wheel have that does not stand in pyproject.toml as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A picture of the repository on lines of its own, such as ``![the page](docs/page.png)``.
RELATIVE_PICTURE = re.compile(r"^!\[[^\]]*\]\((?!https?:)[^)]+\)\n\n", re.MULTILINE)
#: A link of Markdown to a file of the repository, such as ``[security](docs/security.md)``.
RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)")
#: Where ``make dist`` writes the software bill of materials for the time of a build. Builds without it go without one.
SBOM = "sbom.cdx.json"


class LongDescription(MetadataHookInterface):
    """Take the README as the long description, without pictures and links to files that a package index does not have."""

    def update(self, metadata: dict[str, Any]) -> None:
        """
        Set ``readme``, with the text of each relative link in its place and nothing in that of a picture.

        :param metadata: the table ``project`` of pyproject.toml; changed in place.
        """
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = RELATIVE_LINK.sub(r"\1", RELATIVE_PICTURE.sub("", readme))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class WheelWithSbom(BuildHookInterface[Any]):
    """Put the SBOM into the wheel's ``*.dist-info/sboms/``, as PEP 770 has it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """
        Add the SBOM to a wheel that is not editable, if there is one.

        :param version: ``standard`` or ``editable``.
        :param build_data: what the build has besides the files of the package; changed in place.
        """
        if self.target_name == "wheel" and version == "standard" and Path(self.root, SBOM).is_file():
            build_data["sbom_files"].append(SBOM)
