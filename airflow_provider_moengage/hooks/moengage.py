"""An Airflow connection becomes a MoEngage client, and rows become users through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    MoEngageRequestRefused,
)
from airflow_provider_moengage.api.workspace import DATA_CENTERS, DEFAULT_TIMEOUT, Workspace
from airflow_provider_moengage.delivery.pipeline import Delivery, Run
from airflow_provider_moengage.delivery.rejected import RejectedParts
from airflow_provider_moengage.delivery.rows import UserMapping
from airflow_provider_moengage.delivery.sources import FileSource, Rows, Source, SqlSource
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.get_provider_info import FIELD_BEHAVIOUR, FORM_FIELDS

DEFAULT_CONCURRENCY = 16
MAX_CONCURRENCY = 256


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

        :param users: a list of rows, or a source from :mod:`airflow_provider_moengage.delivery.sources`. A row is
            flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape.
        :param mapping: how rows become users; None: ``customer_id`` and every other column under its own name.
        :param concurrency: requests in flight at most.
        :param max_rejected: rows that may be refused: an int is a count, a float below 1 a share of the rows read.
        :param rejected_path: a folder for refused rows, as ``ObjectStoragePath`` takes it.
        :param replace_rejected: remove the parts an earlier try left in that folder.
        :param validate_only: do everything but sending.
        :param on_report: called with the report once the run has ended, however it ended.
        :return: the report: ``read``, ``accepted``, ``rejected``, ``unsent``, ``unknown``, ``requests``, ``retried``,
            ``throttled_seconds``, ``duration_seconds``, ``source_exhausted``, ``rejected_path``, ``reasons``.
        :raises MoEngageParameterError: a parameter is not allowed; nothing was read.
        :raises MoEngageTaskFailed: more rows were refused than allowed, or the credentials or the source's columns
            are wrong; its ``report`` says what was done.
        :raises MoEngageIncompleteRun: rows were left unsent or unread.
        """
        check_max_rejected(max_rejected)
        check_concurrency(concurrency)
        source: Source = users if isinstance(users, (Rows, SqlSource, FileSource)) else Rows(users, "users")
        try:
            client = self.get_conn()
        except MoEngageParameterError as error:
            raise MoEngageTaskFailed(str(error)) from error
        run = Delivery(
            source,
            mapping or UserMapping(),
            client,
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


def workspace_of(connection: Any, log: Any) -> Workspace:
    """
    Read a connection's fields; extras are read by name, coerced, and ``""`` counts as unset.

    :raises MoEngageParameterError: a field is missing or not allowed.
    """
    extras = {name: value for name, value in connection.extra_dejson.items() if value not in ("", None)}
    unknown = sorted(set(extras) - set(FORM_FIELDS))
    if unknown:
        log.warning(
            "The connection's extras %s are unknown and ignored; known are %s",
            unknown,
            ", ".join(FORM_FIELDS),
        )
    host = connection.host or None
    if host and connection.port:
        host = f"{host.rstrip('/')}:{connection.port}"
    if host and "://" not in host and (connection.schema or "") in ("http", "https"):
        host = f"{connection.schema}://{host}"
    return Workspace(
        app_id=connection.login or "",
        api_key=connection.password or "",
        data_center=extras.get("data_center"),
        host=host,
        project_code=_as_text(extras.get("project_code")),
        forwarded_for=_as_text(extras.get("forwarded_for")),
        limits=_as_limits(extras.get("limits")),
        rate_limit_share=_as_number("rate_limit_share", extras.get("rate_limit_share"), 1.0),
        timeout=_as_number("timeout", extras.get("timeout"), DEFAULT_TIMEOUT),
        allow_http=_as_boolean("allow_http", extras.get("allow_http", False)),
    )


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _as_number(name: str, value: object, default: float) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return default if value is None else float(str(value))
    except ValueError:
        raise MoEngageParameterError(f"extra {name} is {value!r}; use a number") from None


def _as_boolean(name: str, value: object) -> bool:
    word = str(value).strip().lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no"):
        return False
    raise MoEngageParameterError(f"extra {name} is {value!r}; use true or false")


def _as_limits(value: object) -> Mapping[str, int]:
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, Mapping):
        raise MoEngageParameterError('extra limits is no JSON object; use one like {"users": 20000}')
    limits = {}
    for quota, units in value.items():
        is_number = isinstance(units, str) and units.isdecimal()
        limits[str(quota)] = int(units) if is_number else units
    return limits


def check_max_rejected(value: object) -> None:
    """
    Check the number of rows that may be refused.

    :raises MoEngageParameterError: it is neither a count nor a share.
    """
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    share = isinstance(value, float) and 0 <= value < 1
    if not count and not share:
        raise MoEngageParameterError(
            f"max_rejected is {value!r}; use a whole number of rows from 0, or a share from 0.0 to below 1.0"
        )


def check_concurrency(value: object) -> None:
    """
    Check the number of requests in flight.

    :raises MoEngageParameterError: it is no whole number from 1 to 256.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONCURRENCY:
        raise MoEngageParameterError(
            f"concurrency is {value!r}; use a whole number from 1 to {MAX_CONCURRENCY}"
        )


def conclude(run: Run, max_rejected: float) -> dict[str, Any]:
    """
    Turn how a run ended into a report or into what Airflow understands.

    :raises MoEngageTaskFailed: a retry would not mend it.
    :raises MoEngageIncompleteRun: a retry goes on.
    """
    report, cause = run.report, run.stopped_by
    counts = "{read} rows read, {accepted} accepted, {rejected} refused, {unsent} not sent".format_map(report)
    if isinstance(cause, (MoEngageRequestRefused, MoEngageParameterError)):
        raise MoEngageTaskFailed(f"{cause} ({counts})", report=report) from cause
    if isinstance(cause, Exception):
        what = str(cause) if isinstance(cause, MoEngageError) else f"{type(cause).__name__}: {cause}"
        raise MoEngageIncompleteRun(f"The run ended early: {what} ({counts})", report=report) from cause
    if cause is not None:
        # A time-out or a signal: it must reach Airflow as it is.
        raise cause
    allowed = max_rejected if isinstance(max_rejected, int) else max_rejected * report["read"]
    if report["rejected"] > allowed:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in report["reasons"].items())
        folder = report["rejected_path"]
        raise MoEngageTaskFailed(
            f"{report['rejected']} of {report['read']} rows were refused, max_rejected={max_rejected!r} allows fewer; "
            "every other row was "
            + ("found valid" if "valid" in report else "delivered")
            + f". {reasons}. "
            + (
                f"The refused rows are in {folder}"
                if folder
                else "Set rejected_path to keep the refused rows"
            ),
            report=report,
        )
    return report
