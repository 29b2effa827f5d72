"""The half of the hook that knows its connection: the workspace, the client, the Test button and the form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from airflow_provider_moengage._compat import BaseHook, mask_secret
from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageNetworkError,
    MoEngageParameterError,
)
from airflow_provider_moengage.api.http.transport import basic_authorization
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.workspace import DATA_CENTERS, Workspace
from airflow_provider_moengage.get_provider_info import FIELD_BEHAVIOUR
from airflow_provider_moengage.hooks.connection import (
    ConnectionFields,
    rate_limit_conn_id_of,
    read_connection,
    workspace_of,
)
from airflow_provider_moengage.hooks.connection_form import form_widgets
from airflow_provider_moengage.hooks.redis import shared_windows
from airflow_provider_moengage.parameters import MAX_CONCURRENCY


class MoEngageConnectionHook(BaseHook):
    """
    Builds a MoEngage client from an Airflow connection: login = Workspace ID, password = the key of the Data tile.

    :param moengage_conn_id: the Airflow connection.
    :param project_code: the project of a Portfolio workspace, in place of the connection's.
    """

    conn_name_attr = "moengage_conn_id"
    default_conn_name = "moengage_default"
    conn_type = "moengage"
    hook_name = "MoEngage"

    def __init__(self, moengage_conn_id: str = default_conn_name, *, project_code: str | None = None) -> None:
        super().__init__()
        self.moengage_conn_id = moengage_conn_id
        self.project_code = project_code

    @cached_property
    def _fields(self) -> ConnectionFields:
        return read_connection("moengage_conn_id", self.moengage_conn_id, self.conn_type)

    @cached_property
    def workspace(self) -> Workspace:
        """
        Return the workspace that the connection describes.

        :raises MoEngageParameterError: there is no such connection, it is of another type, or a field is missing or
            not allowed.
        """
        fields = self._fields
        with self._connection_named_in_errors():
            return self._workspace_of(fields)

    def _workspace_of(self, fields: ConnectionFields) -> Workspace:
        workspace = workspace_of(fields, self.log)
        if self.project_code:
            workspace = replace(workspace, project_code=self.project_code)
        # Airflow masks the password, but not its base64 form in the header. mask_secret accepts plain strings only.
        authorization = basic_authorization(workspace)
        mask_secret(str(workspace.api_key))
        mask_secret(authorization.removeprefix("Basic "))
        return workspace

    @cached_property
    def shared_windows(self) -> RedisWindows | None:
        """
        Return the rate windows that all tasks of all workers share; None if the connection names no Redis connection.

        :raises MoEngageParameterError: the Redis connection or the redis package is missing, or a field of the
            connection is not allowed.
        """
        fields, workspace = self._fields, self.workspace
        with self._connection_named_in_errors():
            return shared_windows(rate_limit_conn_id_of(fields), workspace, self.log)

    @contextmanager
    def _connection_named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except MoEngageParameterError as error:
            raise MoEngageParameterError(f"Connection {self.moengage_conn_id!r}: {error}") from None

    @cached_property
    def _client(self) -> MoEngageClient:
        return MoEngageClient(self.workspace, connections=MAX_CONCURRENCY, shared=self.shared_windows)

    def get_conn(self) -> MoEngageClient:
        """
        Return the client, which all threads of this hook share.

        :raises MoEngageParameterError: a field of the connection is missing or not allowed.
        """
        return self._client

    def test_connection(self) -> tuple[bool, str]:
        """
        Check the credentials with a request to MoEngage.

        :return: whether they are valid, and a sentence: the workspace, or what to change. It does not name the
            connection, because Airflow's UI tests a copy under another id.
        """
        try:
            workspace = self._workspace_of(self._fields)
            shared = shared_windows(rate_limit_conn_id_of(self._fields), workspace, self.log)
            with MoEngageClient(workspace, connections=1, shared=shared) as client:
                response = client.test_connection()
        except MoEngageNetworkError as error:
            return False, f"No network, or no MoEngage there: {error}"
        except MoEngageError as error:
            text = str(error)
            return False, text[:1].upper() + text[1:]
        name = response.body.get("app_name")
        where = None if workspace.host else workspace.data_center
        return True, (
            "Connected to workspace "
            + (f"{name!r}" if name else workspace.app_id)
            + (f" in data centre {where} ({DATA_CENTERS[where]})" if where else f" at {workspace.base_url}")
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the appearance of Airflow's standard fields in the connection form of Airflow 2.11 to 3.1."""
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields for Airflow 2.11 to 3.1; newer versions read them from the provider info."""
        return form_widgets()
