"""What Airflow learns of the provider without importing it."""

from __future__ import annotations

import importlib
import json
import pkgutil
from importlib.metadata import entry_points, version
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_moengage import operators
from airflow_provider_moengage.operators.base import MoEngageSendOperator

try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task


@pytest.fixture(scope="module")
def info():
    """As Airflow gets it: through the entry point of the installed distribution."""
    (entry,) = (
        entry
        for entry in entry_points(group="apache_airflow_provider")
        if entry.dist is not None and entry.dist.name == "airflow-provider-moengage"
    )
    return entry.load()()


def imported(path: str):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_fits_the_schema_of_the_installed_airflow(info):
    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    jsonschema.validate(info, json.loads(schema.read_text()))


def test_names_the_distribution_and_its_version(info):
    assert info["package-name"] == "airflow-provider-moengage"
    assert info["versions"][0] == version("airflow-provider-moengage")


def test_connection_type_leads_to_a_hook(info):
    (connection,) = info["connection-types"]
    assert connection["connection-type"] == "moengage"
    assert imported(connection["hook-class-name"]).conn_type == "moengage"


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_listed_modules_import(info, kind):
    for group in info.get(kind, []):
        for module in group["python-modules"]:
            importlib.import_module(module)


def test_decorators_are_what_airflow_finds(info):
    assert info["task-decorators"]
    for decorator in info["task-decorators"]:
        assert callable(imported(decorator["class-name"]))
        assert callable(getattr(task, decorator["name"]))


def operators_in(module: str) -> set[type]:
    return {
        one
        for one in vars(importlib.import_module(module)).values()
        if isinstance(one, type) and issubclass(one, MoEngageSendOperator) and one is not MoEngageSendOperator
    }


def test_every_operator_is_in_one_of_the_listed_modules(info):
    (listed,) = [group["python-modules"] for group in info["operators"]]
    found = [operator for module in listed for operator in operators_in(module)]
    files = pkgutil.iter_modules(operators.__path__, f"{operators.__name__}.")
    assert sorted(found, key=str) == sorted(
        set().union(*(operators_in(file.name) for file in files)), key=str
    )
