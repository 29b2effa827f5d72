"""Reads an Airflow connection into a workspace and the id of the Redis connection that shares its rate windows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.secret import Secret
from airflow_provider_moengage.api.workspace import DEFAULT_TIMEOUT, Workspace
from airflow_provider_moengage.delivery.connections import connection_of
from airflow_provider_moengage.get_provider_info import FORM_FIELDS
from airflow_provider_moengage.operations import QUOTAS


@dataclass(frozen=True)
class ConnectionFields:
    """
    The fields of a connection; unlike Airflow's own object its repr does not show the password.

    :param kind: the connection's type; empty if it has none.
    :param port: None if it is unset or 0, which Airflow's UI stores for an empty field.
    :param extras: those that are set; ``""`` counts as unset.
    """

    kind: str
    login: str
    password: Secret
    host: str | None
    port: int | None
    extras: Mapping[str, Any]


def read_connection(parameter: str, conn_id: str, kind: str) -> ConnectionFields:
    """
    Return the fields of a connection; errors as
    :func:`~airflow_provider_moengage.delivery.connections.connection_of` raises them.

    :param parameter: the parameter that names the connection, for the errors.
    :param kind: the required type of the connection.
    """
    return fields_of(connection_of(parameter, conn_id, kind))


def fields_of(connection: Any) -> ConnectionFields:
    """Return the fields of a connection."""
    try:
        extras = {name: value for name, value in connection.extra_dejson.items() if value not in ("", None)}
        return ConnectionFields(
            connection.conn_type or "",
            connection.login or "",
            Secret(connection.password or ""),
            connection.host or None,
            connection.port or None,
            extras,
        )
    finally:
        # Its repr shows the password, and error trackers print the locals of every frame.
        del connection


def workspace_of(fields: ConnectionFields, log: Any) -> Workspace:
    """
    Build a workspace from a connection; known extras are coerced.

    :raises MoEngageParameterError: a field is missing or not allowed.
    """
    extras = fields.extras
    unknown = sorted(set(extras) - set(FORM_FIELDS))
    if unknown:
        log.warning(
            "The connection's extras %s are unknown and ignored; known are %s",
            unknown,
            ", ".join(FORM_FIELDS),
        )
    host = fields.host
    if host and fields.port:
        host = f"{host.rstrip('/')}:{fields.port}"
    return Workspace(
        app_id=fields.login,
        api_key=fields.password,
        data_center=extras.get("data_center"),
        host=host,
        project_code=_as_text(extras.get("project_code")),
        forwarded_for=_as_text(extras.get("forwarded_for")),
        limits=_as_limits(extras.get("limits")),
        rate_limit_share=_as_number("rate_limit_share", extras.get("rate_limit_share"), 1.0),
        timeout=_as_number("timeout", extras.get("timeout"), DEFAULT_TIMEOUT),
        allow_http=as_boolean("allow_http", extras.get("allow_http", False)),
    )


def rate_limit_conn_id_of(fields: ConnectionFields) -> str | None:
    """Return the id of the Redis connection that holds the rate windows; None: they are not shared."""
    return _as_text(fields.extras.get("rate_limit_conn_id"))


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _as_number(name: str, value: object, default: float) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return default if value is None else float(str(value))
    except ValueError:
        raise MoEngageParameterError(f"extra {name} is {value!r}; use a number") from None


def as_boolean(name: str, value: object) -> bool:
    """
    Return an extra as a bool.

    :raises MoEngageParameterError: it is neither.
    """
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
        raise MoEngageParameterError('extra limits is not a JSON object; use one like {"users": 20000}')
    limits = {}
    for quota, units in value.items():
        if quota not in QUOTAS:
            raise MoEngageParameterError(f"extra limits names {quota!r}; use any of {', '.join(QUOTAS)}")
        is_number = isinstance(units, str) and units.isdecimal()
        limits[str(quota)] = int(units) if is_number else units
    return limits
