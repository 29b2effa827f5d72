"""The connection form is described twice, for newer and for older Airflow: both say the same."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.workspace import DATA_CENTERS
from airflow_provider_moengage.get_provider_info import get_provider_info
from airflow_provider_moengage.hooks.moengage import MoEngageHook

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


def test_every_data_centre_can_be_chosen():
    assert [choice for choice in FIELDS["data_center"]["schema"]["enum"] if choice] == list(DATA_CENTERS)


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
        assert field.description == described["description"]
        is_boolean = "boolean" in described["schema"]["type"]
        assert (field.type == "BooleanField") is is_boolean
        chosen = [list(rule.values) for rule in field.validators if isinstance(rule, AnyOf)]
        choices = (
            [[choice for choice in described["schema"]["enum"] if choice]]
            if "enum" in described["schema"]
            else []
        )
        assert chosen == choices
