"""Posts bodies to MoEngage: the headers, the settings of the environment, and what a network error means."""

from __future__ import annotations

import base64
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from airflow_provider_moengage import __version__
from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.api.errors import MAX_TEXT, MoEngageNetworkError
from airflow_provider_moengage.api.http.body import read_body
from airflow_provider_moengage.api.http.connection import TlsFailed
from airflow_provider_moengage.api.http.pool import BoundedAdapter
from airflow_provider_moengage.api.secret import Secret, SecretBytes, without_frames_below
from airflow_provider_moengage.api.workspace import Workspace, is_loopback

#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 10.0
USER_AGENT = f"airflow-provider-moengage/{__version__} python-requests/{requests.__version__}"


@dataclass(frozen=True)
class Template:
    """
    What all requests to one endpoint have in common.

    :param settings: the environment's proxies and CA settings, as arguments of ``requests``' adapters.
    """

    endpoint: Endpoint
    url: str
    headers: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class RawResponse:
    """
    A response as received.

    :param headers: by case-insensitive names.
    :param content: the body, decoded; None if it exceeds the endpoint's maximum.
    :param latency: the seconds from the request to the headers of the response.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | None
    latency: float


class Transport:
    """
    Posts bodies to one workspace; thread-safe.

    :param workspace: the address and the credentials.
    :param connections: the maximum number of connections kept open.
    """

    def __init__(self, workspace: Workspace, connections: int) -> None:
        self._workspace = workspace
        self._timeout = (min(CONNECT_TIMEOUT, workspace.timeout), workspace.timeout)
        self._session = requests.Session()
        self._adapter = BoundedAdapter(connections)
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        self._session.headers.clear()
        self._session.headers.update(_headers(workspace))
        # Keeps .netrc from replacing the connection's credentials.
        self._session.auth = _keep_headers
        self._templates: dict[Endpoint, Template] = {}

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def release(self) -> None:
        """Close idle connections now, and the others once they are idle."""
        self._adapter.release()

    def abort(self) -> None:
        """Abort all requests in flight: each fails at once, as one without a response."""
        self._adapter.abort()

    def template(self, endpoint: Endpoint) -> Template:
        """Return an endpoint's template; the environment is looked up once."""
        if endpoint not in self._templates:
            workspace = self._workspace
            query = {"app_id": workspace.app_id} if endpoint.app_id_in == "query" else {}
            if workspace.project_code:
                query["project_code"] = workspace.project_code
            path = endpoint.path.format(app_id=quote(workspace.app_id, safe=""))
            url = f"{workspace.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
            request = self._session.prepare_request(requests.Request("POST", url))
            settings = self._session.merge_environment_settings(url, {}, False, None, None)
            if is_loopback(urlsplit(url).hostname or ""):
                # By this name a proxy would reach another machine, which would see the key.
                settings["proxies"] = {}
            self._templates[endpoint] = Template(endpoint, str(request.url), dict(request.headers), settings)
        return self._templates[endpoint]

    def post(self, template: Template, body: bytes) -> RawResponse:
        """
        Post a body once, without redirects and cookies.

        :raises MoEngageNetworkError: no complete response came.
        """
        handled, began = sys.exc_info()[1], time.monotonic()
        request = requests.PreparedRequest()
        request.method, request.url, request.body = "POST", template.url, body
        # A plain dict: urllib3 copies it, which takes a tenth of the time of a CaseInsensitiveDict.
        request.headers = {**template.headers, "Content-Length": str(len(body))}  # type: ignore[assignment]
        try:
            # The adapter instead of the session: no redirects, no cookies, settings merged only once.
            raw = (
                self._session.get_adapter(template.url)
                .send(
                    request,
                    timeout=self._timeout,
                    verify=template.settings["verify"],
                    cert=template.settings["cert"],
                    proxies=template.settings["proxies"],
                )
                .raw
            )
            # urllib3 1.26 hides the connection's own response: then the time that a new connection takes is part of it.
            latency = getattr(raw, "latency", None)
            if latency is None:
                latency = time.monotonic() - began
            content = read_body(raw, template.endpoint.max_response_bytes)
        except (OSError, HTTPError) as error:
            without_frames_below(error, handled)
            raise _network_error(error, template.url) from error
        except BaseException as error:
            # For example the task's timeout, raised by a signal handler.
            without_frames_below(error, handled)
            raise
        return RawResponse(raw.status, raw.headers, content, latency)


def _headers(workspace: Workspace) -> dict[str, str]:
    headers = {
        "Authorization": basic_authorization(workspace),
        "MOE-APPKEY": workspace.app_id,
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
        "Connection": "keep-alive",
    }
    if workspace.forwarded_for:
        headers["X-Forwarded-For"] = workspace.forwarded_for
    return headers


def basic_authorization(workspace: Workspace) -> Secret:
    """Return the value of the ``Authorization`` header; as secret as the key."""
    credentials = SecretBytes(f"{workspace.app_id}:{workspace.api_key}".encode())
    return Secret("Basic " + base64.b64encode(credentials).decode("ascii"))


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _network_error(error: OSError | HTTPError, url: str) -> MoEngageNetworkError:
    host = urlsplit(url).netloc
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    kind = type(error).__name__
    if isinstance(reason, TlsFailed) or not isinstance(error, (requests.RequestException, HTTPError)):
        # The remaining errors that requests raises as they are concern certificate files.
        cause = _tls_cause(reason) if isinstance(reason, TlsFailed) else error
        what = (
            f"TLS with {host} was not established, so nothing was sent ({kind}: {_describe_tls_error(cause)})"
        )
        return MoEngageNetworkError(
            f"{what}: behind a company's proxy, set the environment variable REQUESTS_CA_BUNDLE to the file of its "
            "certificate authority; otherwise check the connection's host and port",
            maybe_processed=False,
            summary=what,
        )
    never_connected = isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
    what = f"{host} {'could not be reached' if never_connected else 'did not respond'} ({kind})"
    return MoEngageNetworkError(
        f"{what}: check the network, the proxy settings and the connection's data_center or host",
        maybe_processed=not never_connected,
        summary=what,
    )


def _tls_cause(failed: BaseException) -> BaseException:
    """Return OpenSSL's own error, which says why TLS failed."""
    while (
        not isinstance(failed, ssl.SSLError) and (inner := failed.__cause__ or failed.__context__) is not None
    ):
        failed = inner
    return failed


def _describe_tls_error(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the verification of its certificate failed, {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.lower().replace("_", " ")
    return str(cause)[:MAX_TEXT]
