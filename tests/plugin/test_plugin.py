"""What every process of Airflow loads, and the page that it is for."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_moengage.plugin import MoEngagePlugin, base_path
from tests.support.dag_runs import ROOT, airflow_environment, run_program

PAGE = ROOT / "airflow_provider_moengage" / "plugin" / "sync.html"
#: Airflow has imported its plugins' manager before it loads one.
COST = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
import airflow_provider_moengage.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""
#: Elements without an end.
VOID = {"meta", "link"}


def test_loading_it_imports_nothing_but_itself(tmp_path: Path):
    """A task's process loads it too: FastAPI and Airflow's API would cost it seconds and 30 MB."""
    environment = airflow_environment(tmp_path, PYTHONPATH=str(ROOT))
    printed = run_program(sys.executable, "-W", "ignore", "-c", COST, env=environment)
    imported = json.loads(printed.splitlines()[-1])
    assert {name.split(".")[0] for name in imported} == {"airflow_provider_moengage"}
    assert {"airflow_provider_moengage.plugin", "airflow_provider_moengage"} >= set(imported)


def test_it_is_a_plugin_of_every_airflow():
    assert issubclass(MoEngagePlugin, AirflowPlugin)
    MoEngagePlugin.validate()


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("", ""),
        ("/", ""),
        ("http://localhost:8080", ""),
        ("https://example.com/airflow/", "/airflow"),
        ("https://example.com/team/airflow", "/team/airflow"),
    ],
)
def test_the_path_of_a_deployment(base_url: str, path: str):
    assert base_path(base_url) == path


class Elements(HTMLParser):
    """Collects the elements of a page, and checks that each one ends."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, self.getpos()


@pytest.fixture(scope="module")
def elements() -> Elements:
    parser = Elements()
    parser.feed(PAGE.read_text())
    parser.close()
    return parser


def test_the_page_is_all_there_is(elements: Elements):
    text = PAGE.read_text()
    # The name of SVG's elements is an address that nobody requests.
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    loaded = [
        value
        for _, attributes in elements.found
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert loaded == ["data:,"]
    assert not [1 for _, attributes in elements.found if any(name.startswith("on") for name in attributes)]
    # What a database or MoEngage holds is never read as HTML.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", text)


def test_the_page_has_what_a_screen_reader_and_a_keyboard_need(elements: Elements):
    by_id = {attributes["id"]: (tag, attributes) for tag, attributes in elements.found if "id" in attributes}
    assert ("html", {"lang": "en"}) in elements.found
    assert by_id["status"][1]["aria-live"] == "polite"
    assert by_id["connection"][1]["role"] == "alert"
    assert by_id["bar"][1]["role"] == "progressbar"
    assert (by_id["pause"][0], by_id["pause"][1]["aria-pressed"]) == ("button", "false")
    named = {
        one
        for _, attributes in elements.found
        for name in ("aria-labelledby", "aria-describedby")
        for one in (attributes.get(name) or "").split()
    }
    assert named <= set(by_id)
    style = PAGE.read_text()
    for query in ("prefers-color-scheme: dark", "prefers-reduced-motion: reduce", "max-width: 480px"):
        assert query in style
