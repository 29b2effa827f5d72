"""Imports run one way: from what Airflow calls down to one request, and the sandbox stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.dag_runs import ROOT

PACKAGE = ROOT / "airflow_provider_moengage"
#: Room → the rooms and single modules that it may import.
DOORS: Mapping[str, set[str]] = {
    "api": set(),
    "records": {"api"},
    "delivery": {"api", "records", "parameters", "_compat"},
    "operations": {"api", "records", "delivery", "parameters"},
    "hooks": {"api", "delivery", "operations", "parameters", "exceptions", "get_provider_info", "_compat"},
    "lineage": {"api", "delivery", "hooks", "_compat"},
    "assets": {"api", "lineage", "_compat"},
    "links": {"api", "delivery", "hooks", "_compat"},
    "operators": {
        "api",
        "delivery",
        "operations",
        "hooks",
        "lineage",
        "assets",
        "links",
        "parameters",
        "exceptions",
        "_compat",
    },
    "sensors": {
        "api",
        "delivery",
        "operations",
        "hooks",
        "operators",
        "triggers",
        "parameters",
        "exceptions",
        "_compat",
    },
    "triggers": {"_compat"},
    "decorators": {"api", "delivery", "operators", "_compat"},
    "plugin": set(),
    "sandbox": set(),
    "_compat": set(),
    "exceptions": {"api", "delivery", "_compat"},
    "get_provider_info": {"decorators", "operators", "sensors", "triggers"},
    "parameters": {"api"},
    "retry_policy": {"api", "hooks", "exceptions", "_compat"},
    "typing": {"delivery"},
}
#: Rooms that import Airflow only inside functions: without a file or a database they do without it.
WITHOUT_AIRFLOW = ("api", "records", "delivery", "operations", "sandbox", "parameters", "typing")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a statement imports, as their full names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            yield name if name in MODULES else node.module


def imports_of(module: str) -> set[str]:
    """Return the package's modules that a module imports, wherever in it and for whatever reason."""
    tree = ast.parse(MODULES[module].read_text())
    found = {name for node in ast.walk(tree) for name in imported(node)}
    return {name for name in found if name in MODULES and name != PACKAGE.name}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_the_rooms_are_all_named():
    assert {room_of(module) for module in MODULES} - {PACKAGE.name} == set(DOORS)


@pytest.mark.parametrize("room", DOORS)
def test_a_room_imports_only_what_its_doors_lead_to(room: str):
    inside = [module for module in MODULES if room_of(module) == room]
    through = {room_of(found) for module in inside for found in imports_of(module)} - {room}
    assert through <= DOORS[room], f"{room} imports {sorted(through - DOORS[room])}"


def test_no_modules_import_each_other_in_a_circle():
    # Raises CycleError, which names them.
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()


def test_the_rooms_of_delivery_do_not_import_each_other_in_a_circle():
    def inside(module: str) -> str:
        return ".".join(module.split(".")[1:3])

    delivery = [module for module in MODULES if room_of(module) == "delivery" and module.count(".") > 1]
    graph = {inside(module): set[str]() for module in delivery}
    for module in delivery:
        found = {inside(one) for one in imports_of(module) if room_of(one) == "delivery"}
        graph[inside(module)] |= found - {inside(module)}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("room", WITHOUT_AIRFLOW)
def test_airflow_is_imported_only_where_it_is_needed(room: str):
    for module in MODULES:
        if room_of(module) == room:
            statements = ast.parse(MODULES[module].read_text()).body
            at_once = {name for node in statements for name in imported(node)}
            compat = f"{PACKAGE.name}._compat"
            assert not {name for name in at_once if name.split(".")[0] == "airflow" or name == compat}, module


def test_the_engine_names_no_operation():
    names = {path.stem for path in (PACKAGE / "operations").glob("*.py")} - {"__init__", "user_outputs"}
    assert {"track_users", "bulk_import", "get_users"} <= names
    for module, path in MODULES.items():
        if room_of(module) in ("api", "delivery"):
            words = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
            assert not {name for name in words if name.lower() in names}, module


def test_the_graph_is_not_empty():
    assert len(MODULES) > 100
    assert "airflow_provider_moengage.api.client" in imports_of(
        "airflow_provider_moengage.hooks.connection_hook"
    )
