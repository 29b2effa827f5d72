"""The API reference has what others import, and says so where an entry is missing."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

import mkdocs_reference
from airflow_provider_moengage.get_provider_info import FORM_FIELDS, get_provider_info
from tests.test_docs import DOCS

NAMES = mkdocs_reference.public_names(mkdocs_reference.PUBLIC_NAMES.read_text())


def write_inventory(folder: Path, names: list[str]) -> None:
    lines = "".join(f"{name} py:class 1 reference/#$ -\n" for name in names)
    head = b"# Sphinx inventory version 2\n# Project: p\n# Version: 0\n# compressed\n"
    (folder / "objects.inv").write_bytes(head + zlib.compress(lines.encode()))


def test_a_site_with_every_public_name_is_built(tmp_path: Path):
    write_inventory(tmp_path, NAMES)
    mkdocs_reference.on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_a_public_name_without_an_entry_fails_the_build(tmp_path: Path):
    write_inventory(tmp_path, [name for name in NAMES if not name.endswith(".track_users")])
    with pytest.raises(
        ValueError, match=r"no entry for airflow_provider_moengage\.hooks\.moengage\.\S+track_users$"
    ):
        mkdocs_reference.on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_the_settings_are_those_of_the_provider():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/settings.md"))
    markdown = mkdocs_reference.on_page_markdown((DOCS / "reference" / "settings.md").read_text(), page=page)
    options = get_provider_info()["config"]["moengage"]["options"]
    assert [name for name in (*FORM_FIELDS, *options) if f"\n| `{name}` |" not in markdown] == []
    assert "<!--" not in markdown


def test_a_page_of_settings_without_a_place_for_a_table_fails_the_build():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/settings.md"))
    with pytest.raises(ValueError, match="has no <!-- the connection's fields -->"):
        mkdocs_reference.on_page_markdown("# Settings\n", page=page)
