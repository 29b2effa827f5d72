"""The connection form of Airflow 2.11 to 3.1; newer versions read the provider info."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.get_provider_info import FORM_FIELDS


def form_widgets() -> dict[str, Any]:
    """Return the form's own fields by their names in the connection's extra."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, StringField
    from wtforms.validators import Optional as Unrequired
    from wtforms.validators import any_of

    widgets: dict[str, Any] = {}
    for name, form in FORM_FIELDS.items():
        label, schema, hint = lazy_gettext(form["label"]), form["schema"], form["description"]
        if "boolean" in schema["type"]:
            widgets[name] = BooleanField(label, default=schema["default"], description=hint)
            continue
        choices = []
        if "enum" in schema:
            # The form of Airflow 3.0 and 3.1 renders any_of as a drop-down, without the choices' names.
            choices = [any_of(schema["enum"])]
            hint = f"{hint}. {', '.join(schema['values_display'].values())}"
        widgets[name] = StringField(
            label, widget=BS3TextFieldWidget(), validators=[Unrequired(), *choices], description=hint
        )
    return widgets
