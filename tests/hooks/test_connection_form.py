"""The connection form is described twice, for newer and for older Airflow: both say the same."""

from __future__ import annotations

import json
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_moengage.api.workspace import DATA_CENTERS
from airflow_provider_moengage.get_provider_info import get_provider_info
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.support.dag_runs import ROOT

(CONNECTION_TYPE,) = get_provider_info()["connection-types"]
FIELDS = CONNECTION_TYPE["conn-fields"]


def test_the_fields_behave_alike():
    behaviour = CONNECTION_TYPE["ui-field-behaviour"]
    assert MoEngageHook.get_ui_field_behaviour() == {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }


def test_the_hook_is_the_one_that_the_provider_names():
    assert CONNECTION_TYPE["connection-type"] == MoEngageHook.conn_type
    assert CONNECTION_TYPE["hook-name"] == MoEngageHook.hook_name
    module, _, name = CONNECTION_TYPE["hook-class-name"].rpartition(".")
    assert (module, name) == (MoEngageHook.__module__, MoEngageHook.__name__)


def test_every_data_centre_can_be_chosen_by_its_name():
    schema = FIELDS["data_center"]["schema"]
    assert schema["enum"] == list(DATA_CENTERS)
    assert schema["values_display"] == {
        number: f"{number} - {region}" for number, region in DATA_CENTERS.items()
    }


def test_the_data_centre_may_be_left_empty_as_a_host_replaces_it():
    # The form does not save a field whose type leaves out null while it is empty.
    assert "null" in FIELDS["data_center"]["schema"]["type"]
    assert "default" not in FIELDS["data_center"]["schema"]


@pytest.mark.airflow_3
def test_the_fields_fit_the_schema_of_providers_own_descriptions():
    schema = json.loads(Path(airflow.__file__).with_name("provider.yaml.schema.json").read_text())
    described = schema["properties"]["connection-types"]
    jsonschema.validate([CONNECTION_TYPE], described)
    assert "conn-fields" in described["items"]["properties"]


def test_every_text_is_free_of_what_a_terminal_takes_for_markup():
    # `airflow providers get --full` prints them through Rich, which drops words in brackets.
    described = [text for field in FIELDS.values() for text in (field["label"], field["description"])]
    assert not [text for text in described if "[" in text]


def test_the_page_about_connections_names_the_fields_as_the_form_does():
    page = (ROOT / "docs" / "connection.md").read_text()
    labels = [*CONNECTION_TYPE["ui-field-behaviour"]["relabeling"].values()]
    labels += [field["label"] for field in FIELDS.values()]
    assert [label for label in labels if f"*{label.partition(' (')[0]}*" not in page] == []


def test_the_older_form_has_the_same_fields():
    for module in ("flask_appbuilder", "flask_babel", "wtforms"):
        pytest.importorskip(module)
    from wtforms import Form
    from wtforms.validators import AnyOf

    widgets = MoEngageHook.get_connection_form_widgets()
    assert list(widgets) == list(FIELDS)
    form = type("ConnectionForm", (Form,), dict(widgets))()
    for name, described in FIELDS.items():
        field = form[name]
        assert str(field.label.text) == described["label"]
        names = described["schema"].get("values_display")
        assert field.description == described["description"] + (
            f". {', '.join(names.values())}" if names else ""
        )
        is_boolean = "boolean" in described["schema"]["type"]
        assert (field.type == "BooleanField") is is_boolean
        chosen = [list(rule.values) for rule in field.validators if isinstance(rule, AnyOf)]
        assert chosen == ([described["schema"]["enum"]] if names else [])
