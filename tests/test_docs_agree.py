"""What the README and several pages of the documentation state is the same everywhere, and as the code has it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import mkdocs_version
from airflow_provider_moengage import __version__
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations import QUOTAS
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.test_docs import DOCS, OPERATORS, PAGES

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings it
    import tomli as tomllib

README, INDEX = PAGES[0], DOCS / "index.md"
ROOT = README.parent


def rows_of(page: Path, first_column: str) -> list[list[str]]:
    """Read the only table of a page whose first column has this head: the cells of each row."""
    (rows,) = re.findall(
        rf"^\| {re.escape(first_column)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE
    )
    return [row.strip("| ").split(" | ") for row in rows.splitlines()]


def limits_of(page: Path) -> dict[str, str]:
    """Read what each operator may send in a minute, by the operator's class."""
    found = {}
    for name, *_, limit in rows_of(page, "operator"):
        (operator,) = re.findall(r"(MoEngage\w+Operator)`", name)
        found[operator] = limit
    return found


def test_the_title_of_the_site_has_the_version_of_the_package():
    config = SimpleNamespace(site_name="provider")
    assert mkdocs_version.on_config(config).site_name == f"provider {__version__}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_two_sections_of_a_page_have_the_same_heading(page: Path):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


@pytest.mark.parametrize("page", [README, INDEX], ids=lambda page: page.name)
def test_the_extras_are_those_of_the_package(page: Path):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    documented = [name.strip("`[]") for name, _ in rows_of(page, "extra")]
    assert documented == [extra for extra in extras if extra != "dev"]


@pytest.mark.parametrize("page", [README, INDEX], ids=lambda page: page.name)
def test_every_operator_is_listed(page: Path):
    assert list(limits_of(page)) == list(limits_of(INDEX))
    assert set(limits_of(page)) == {operator.__name__ for operator in OPERATORS.values()}


def test_the_limits_of_the_operators_are_the_same_on_all_pages():
    assert limits_of(README) == limits_of(INDEX)
    # The connection's page has them by quota, with links to the operators' pages.
    for quotas, window, limits in rows_of(DOCS / "connection.md", "name"):
        units = [QUOTAS[quota].per_minute for quota in re.findall(r"`(\w+)`", quotas)]
        assert [int(number.replace(",", "")) for number in re.findall(r"[\d,]+\d", limits)] == units
        for page in re.findall(r"\((.+?\.md)", window):
            assert limits_of(INDEX)[OPERATORS[page].__name__] == limits


def test_the_example_of_a_report_has_the_keys_of_a_report(moengage_sandbox_connection):
    section = (DOCS / "rows.md").read_text().partition("\n## The report\n")[2].partition("\n## ")[0]
    (example,) = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    push = MoEngageTrackUsersOperator(task_id="push", users=[{"customer_id": "a1", "plan": "gold"}])
    assert list(json.loads(example)) == list(push.execute({}))


def test_the_methods_of_the_hook_are_listed():
    (listed,) = re.findall(r"MoEngageHook` does.*?`get_conn\(\)`", INDEX.read_text(), re.DOTALL)
    # What takes rows takes the options of a delivery too.
    delivering = {
        name
        for name, method in inspect.getmembers(MoEngageHook, inspect.isfunction)
        if not name.startswith("_") and "options" in inspect.signature(method).parameters
    }
    assert set(re.findall(r"`(\w+)`", listed)) == delivering
