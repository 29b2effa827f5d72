"""A hook of MkDocs: the package's version stands beside the name of the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

MODULE = Path(__file__).with_name("airflow_provider_moengage") / "__init__.py"


def on_config(config: Any) -> Any:
    """
    Add the version to ``site_name``.

    :param config: the configuration of MkDocs; changed in place.
    :return: the same.
    """
    # Not imported: the environment that builds the site has neither the package nor Airflow.
    version = re.search(r'^__version__ = "(.+)"$', MODULE.read_text(encoding="utf-8"), re.MULTILINE)
    if version is None:
        raise ValueError(f'{MODULE} has no line __version__ = "…"')
    config.site_name += f" {version[1]}"
    return config
