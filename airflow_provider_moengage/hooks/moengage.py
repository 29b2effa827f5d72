"""An Airflow connection becomes a MoEngage client, and rows become users through it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from airflow_provider_moengage._compat import BaseHook, mask_secret
from airflow_provider_moengage.api.client import MoEngageClient, basic_authorization
from airflow_provider_moengage.api.endpoints import TRACK_USER
from airflow_provider_moengage.api.errors import (
    MoEngageAuthError,
    MoEngageError,
    MoEngageNetworkError,
    MoEngageParameterError,
)
from airflow_provider_moengage.api.workspace import DATA_CENTERS, Workspace
from airflow_provider_moengage.delivery.pipeline import Delivery
from airflow_provider_moengage.delivery.rejected import RejectedParts
from airflow_provider_moengage.delivery.rows import UserMapping
from airflow_provider_moengage.delivery.sources import FileSource, Rows, Source, SqlSource
from airflow_provider_moengage.get_provider_info import FIELD_BEHAVIOUR, FORM_FIELDS
from airflow_provider_moengage.hooks.connection import workspace_of
from airflow_provider_moengage.hooks.outcome import (
    MAX_CONCURRENCY,
    check_concurrency,
    check_max_rejected,
    conclude,
)

DEFAULT_CONCURRENCY = 16


class MoEngageHook(BaseHook):
    """
    Holds a MoEngage connection: login = Workspace ID, password = the key of the Data tile.

    :param moengage_conn_id: the Airflow connection.
    """

    conn_name_attr = "moengage_conn_id"
    default_conn_name = "moengage_default"
    conn_type = "moengage"
    hook_name = "MoEngage"

    def __init__(self, moengage_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.moengage_conn_id = moengage_conn_id

    @cached_property
    def workspace(self) -> Workspace:
        """
        The workspace the connection describes.

        :raises MoEngageParameterError: the connection lacks something or holds what is not allowed.
        """
        connection = self.get_connection(self.moengage_conn_id)
        try:
            workspace = workspace_of(connection, self.log)
        except MoEngageParameterError as error:
            raise MoEngageParameterError(f"Connection {self.moengage_conn_id!r}: {error}") from error
        # Airflow masks the password, but not the header that carries it in base64.
        mask_secret(workspace.api_key)
        authorization = basic_authorization(workspace)
        mask_secret(authorization)
        mask_secret(authorization.removeprefix("Basic "))
        return workspace

    @cached_property
    def _client(self) -> MoEngageClient:
        return MoEngageClient(self.workspace, connections=MAX_CONCURRENCY)

    def get_conn(self) -> MoEngageClient:
        """
        Give the client; one a hook, for all its threads.

        :raises MoEngageParameterError: the connection lacks something or holds what is not allowed.
        """
        return self._client

    def track_users(
        self,
        users: object,
        *,
        mapping: UserMapping | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_rejected: float = 0,
        rejected_path: str | None = None,
        replace_rejected: bool = False,
        validate_only: bool = False,
        on_report: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """
        Create and update users, one Track User call each.

        :param users: a list of rows, or a source from :mod:`airflow_provider_moengage.delivery.sources`. A
            row is flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape.
        :param mapping: how rows become users; None: ``customer_id`` and every other column under its own
            name.
        :param concurrency: requests in flight at most.
        :param max_rejected: rows that may be refused: an int is a count, a float below 1 a share of the rows
            read.
        :param rejected_path: a folder for refused rows, as ``ObjectStoragePath`` takes it.
        :param replace_rejected: remove the parts an earlier try left in that folder.
        :param validate_only: do everything but sending.
        :param on_report: called with the report once the run has ended, however it ended.
        :return: the report: ``read``, ``accepted``, ``rejected``, ``unsent``, ``unknown``, ``requests``,
            ``retried``, ``throttled_seconds``, ``duration_seconds``, ``source_exhausted``,
            ``rejected_path``, ``reasons``.
        :raises MoEngageParameterError: a parameter is not allowed; nothing was read.
        :raises MoEngageTaskFailed: more rows were refused than allowed, or the credentials or the source's
            columns are wrong; its ``report`` says what was done.
        :raises MoEngageIncompleteRun: rows were left unsent or unread.
        """
        check_max_rejected(max_rejected)
        check_concurrency(concurrency)
        source: Source = users if isinstance(users, (Rows, SqlSource, FileSource)) else Rows(users, "users")
        run = Delivery(
            source,
            mapping or UserMapping(),
            self.get_conn,
            TRACK_USER,
            concurrency=concurrency,
            parts=RejectedParts(rejected_path, replace=replace_rejected) if rejected_path else None,
            validate_only=validate_only,
        ).run()
        if on_report is not None:
            on_report(run.report)
        return conclude(run, max_rejected)

    def test_connection(self) -> tuple[bool, str]:
        """Ask MoEngage whether the credentials are right; the sentence says what to mend where they are not."""
        try:
            answer = self.get_conn().test_connection()
        except MoEngageNetworkError as error:
            return False, f"No network, or no MoEngage there: {error}"
        except MoEngageAuthError as error:
            said = f" (MoEngage says: {error.message})" if error.message else ""
            return False, f"{error}{said}"
        except MoEngageError as error:
            return False, str(error)
        name = answer.body.get("app_name")
        where = self.workspace.data_center
        return True, (
            "Connected to workspace "
            + (f"{name!r}" if name else self.workspace.app_id)
            + (
                f" in data centre {where} ({DATA_CENTERS[where]})"
                if where
                else f" at {self.workspace.base_url}"
            )
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Say how Airflow's standard fields look in the connection form, to Airflow 2.11 to 3.1."""
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the form's own fields to Airflow 2.11 to 3.1; newer versions read them from the provider info."""
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
            # any_of is what the form of Airflow 3.0 and 3.1 makes a drop-down of.
            choices = [any_of([value for value in schema["enum"] if value])] if "enum" in schema else []
            widgets[name] = StringField(
                label, widget=BS3TextFieldWidget(), validators=[Unrequired(), *choices], description=hint
            )
        return widgets
