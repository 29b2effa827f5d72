"""Looks up Airflow connections, with errors that name the parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageConnectionUnavailable, MoEngageParameterError


def connection_of(parameter: str, conn_id: object, kind: str = "") -> Any:
    """
    Return an Airflow connection.

    :param parameter: the parameter that names it, for the errors.
    :param kind: the required type of the connection; empty: any. A connection without a type is accepted, as JSON in a
        secrets backend may omit it.
    :raises MoEngageParameterError: there is no such connection, it cannot be read, or it is of another type.
    :raises MoEngageConnectionUnavailable: it was not found, but a secrets backend failed.
    """
    from airflow_provider_moengage._compat import AirflowNotFoundException, BaseHook

    if not isinstance(conn_id, str) or not conn_id.strip():
        of_type = f" of type {kind}" if kind else ""
        raise MoEngageParameterError(f"{parameter} is {conn_id!r}; name a connection{of_type}")
    try:
        connection: Any = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _not_found(parameter, conn_id, kind, _failed_lookups(conn_id)) from None
    try:
        if kind and connection.conn_type not in (None, "", kind):
            raise MoEngageParameterError(
                f"{parameter} names the connection {conn_id!r}, which is of type {connection.conn_type!r}; name one of type "
                f"{kind}"
            )
        return connection
    finally:
        # Error trackers print the local variables of every frame, and its repr contains the password.
        del connection


def database_hook(parameter: str, conn_id: str, hook_params: Mapping[str, Any] | None = None) -> Any:
    """
    Return the ``DbApiHook`` of a connection.

    :param parameter: the parameter that names the connection, for the errors.
    :raises MoEngageParameterError: there is no such connection, or it is not a database's.
    :raises MoEngageConnectionUnavailable: as :func:`connection_of` raises it.
    """
    from airflow_provider_moengage._compat import AirflowException

    connection = connection_of(parameter, conn_id)
    try:
        hook = connection.get_hook(hook_params=dict(hook_params or {}))
    except (AirflowException, ImportError, AttributeError) as error:
        # Of Airflow's own types, such as generic, the name of the hook is None, and only its AttributeError says so.
        raise MoEngageParameterError(
            f"{parameter} names the connection {conn_id!r} of type {connection.conn_type!r}, which has no hook here: install "
            f"its provider on the workers, or correct the type ({error})"
        ) from None
    if not hasattr(hook, "get_conn") or not hasattr(hook, "get_sqlalchemy_engine"):
        raise MoEngageParameterError(
            f"{parameter} names the connection {conn_id!r} of type {connection.conn_type!r}, which is not a database's; use one "
            "whose hook is a DbApiHook"
        )
    return hook


def _not_found(parameter: str, conn_id: str, kind: str, failed: Mapping[str, str]) -> Exception:
    """
    Return the error to raise.

    :param failed: as :func:`_failed_lookups` returns it.
    """
    named = f"{parameter} names the connection {conn_id!r}"
    variable = f"the environment variable AIRFLOW_CONN_{conn_id.upper()}"
    if set(failed) == {"EnvironmentVariablesBackend"}:
        (reason,) = failed.values()
        return MoEngageParameterError(
            f"{named}, but {variable} holds neither a URI nor JSON that Airflow can read ({reason})"
        )
    if failed:
        backends = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
        return MoEngageConnectionUnavailable(
            f"{named}, which was not found; it may exist, as these secrets backends failed: {backends}"
        )
    of_type = f", of type {kind}" if kind else ""
    return MoEngageParameterError(
        f"{named}, which does not exist; create it{of_type}: in the UI under Admin > Connections, with `airflow connections "
        f"add {conn_id} --conn-type {kind or 'TYPE'} …`, or as {variable}"
    )


def _failed_lookups(conn_id: str) -> Mapping[str, str]:
    """
    Return the secrets backends that fail to look up a connection, each with the reason.

    Airflow raises ``AirflowNotFoundException`` both if the connection is missing and if a backend fails. So each backend is
    queried once more. The results are discarded, as they contain a password.

    :return: the reason by the backend's class, such as ``{"VaultBackend": "ConnectionError"}``; empty if no backend
        failed.
    """
    failed = {}
    for backend in _secrets_backends():
        name = type(backend).__name__
        try:
            reason = _execution_api_error(conn_id) if name == "ExecutionAPISecretsBackend" else None
            if reason is None:
                backend.get_connection(conn_id=conn_id)
        except Exception as error:
            # Only the class: the text may quote a URI with its password.
            reason = type(error).__name__
        if reason is not None:
            failed[name] = reason
    return failed


def _secrets_backends() -> Sequence[Any]:
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:
        from airflow.configuration import ensure_secrets_loaded

        backends: Sequence[Any] = ensure_secrets_loaded()
        return backends
    return ensure_secrets_backend_loaded()


def _execution_api_error(conn_id: str) -> str | None:
    """Return an error of Airflow's API server other than "not found", which the backend hides."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    response = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if isinstance(response, ErrorResponse) and response.error != ErrorType.CONNECTION_NOT_FOUND:
        return str(response.error.value)
    return None
