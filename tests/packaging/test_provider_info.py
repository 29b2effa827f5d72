"""What Airflow learns of the provider without importing it."""

from __future__ import annotations

import importlib
import json
import pkgutil
from importlib.metadata import entry_points, version
from pathlib import Path
from types import GenericAlias

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.triggers.base import BaseTrigger

from airflow_provider_moengage import decorators, hooks, operators, sensors, triggers
from airflow_provider_moengage._compat import BaseOperatorLink, BaseSensorOperator
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


def classes_in(module: str) -> list[type]:
    names = vars(importlib.import_module(module)).values()
    # Python 3.10 takes list[str] for a type.
    return [one for one in names if isinstance(one, type) and not isinstance(one, GenericAlias)]


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
def test_listed_modules_import_and_belong_to_a_listed_integration(info, kind):
    integrations = [integration["integration-name"] for integration in info["integrations"]]
    assert info[kind]
    for group in info[kind]:
        assert group["integration-name"] in integrations
        assert group["python-modules"]
        for module in group["python-modules"]:
            importlib.import_module(module)


@pytest.mark.parametrize(
    ("kind", "package", "base"),
    [("sensors", sensors, BaseSensorOperator), ("triggers", triggers, BaseTrigger)],
    ids=["sensors", "triggers"],
)
def test_every_module_with_a_sensor_or_trigger_is_listed(info, kind, package, base):
    files = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    having = [
        file.name
        for file in files
        if any(issubclass(one, base) and one.__module__ == file.name for one in classes_in(file.name))
    ]
    assert having == [module for group in info[kind] for module in group["python-modules"]]


def test_the_listed_hooks_are_those_of_the_connection(info):
    (connection,) = info["connection-types"]
    modules = [module for group in info["hooks"] for module in group["python-modules"]]
    assert [connection["hook-class-name"].rpartition(".")[0]] == modules
    assert modules[0].startswith(f"{hooks.__name__}.")


def test_links_are_what_airflow_registers(info):
    assert info["extra-links"]
    for path in info["extra-links"]:
        assert issubclass(imported(path), BaseOperatorLink)
    assert set(info["extra-links"]) <= set(ProvidersManager().extra_links_class_names)


# Airflow 3.3 has moved them, and still reads them from here too.
@pytest.mark.filterwarnings("ignore:ProvidersManager.asset_")
def test_assets_are_what_airflow_registers(info):
    # Airflow 2 reads them under their former name.
    assert info["asset-uris"] == info["dataset-uris"]
    for group in info["asset-uris"]:
        for part in ("handler", "factory", "to_openlineage_converter"):
            assert callable(imported(group[part]))
    (schemes,) = (group["schemes"] for group in info["asset-uris"])
    found = ProvidersManager()
    for name in ("uri_handlers", "factories", "to_openlineage_converters"):
        registered = getattr(found, f"asset_{name}", None) or getattr(found, f"dataset_{name}")
        assert set(schemes) <= set(registered)


def test_options_are_what_airflow_reads(info):
    assert ("airflow-provider-moengage", info["config"]) in ProvidersManager().provider_configs


def test_every_decorator_of_the_package_is_listed(info):
    assert [decorator["name"] for decorator in info["task-decorators"]] == list(decorators.MODULES)
    files = {file.name for file in pkgutil.iter_modules(decorators.__path__)}
    assert set(decorators.MODULES.values()) == files - {"base"}


def test_no_plugin_is_listed_that_the_entry_point_names_already(info):
    # Airflow would find it twice, and say so at every start.
    assert "plugins" not in info


def test_decorators_are_what_airflow_finds(info):
    assert info["task-decorators"]
    for decorator in info["task-decorators"]:
        assert callable(imported(decorator["class-name"]))
        assert callable(getattr(task, decorator["name"]))


def operators_in(module: str) -> set[type]:
    return {
        one
        for one in classes_in(module)
        if issubclass(one, MoEngageSendOperator) and one is not MoEngageSendOperator
    }


def test_every_operator_is_in_one_of_the_listed_modules(info):
    (listed,) = [group["python-modules"] for group in info["operators"]]
    found = [operator for module in listed for operator in operators_in(module)]
    files = pkgutil.iter_modules(operators.__path__, f"{operators.__name__}.")
    assert sorted(found, key=str) == sorted(
        set().union(*(operators_in(file.name) for file in files)), key=str
    )
