"""The client: sends requests to MoEngage, with authentication, rate limiting, timeouts and retries."""

from __future__ import annotations

import base64
import random
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from pydantic_core import to_json
from requests.structures import CaseInsensitiveDict
from typing_extensions import Self
from urllib3.exceptions import HTTPError, NewConnectionError

from airflow_provider_moengage import __version__
from airflow_provider_moengage.api.endpoint import TEST_CONNECTION, Endpoint, Units
from airflow_provider_moengage.api.errors import (
    MAX_TEXT,
    MoEngageError,
    MoEngageNetworkError,
    MoEngageRateLimited,
    MoEngageStopped,
)
from airflow_provider_moengage.api.http.body import read_body
from airflow_provider_moengage.api.http.bounded_response import BoundedAdapter, TlsFailed
from airflow_provider_moengage.api.http.classify import Response, classify, classify_oversized
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.limiter import Permit, RateLimiter
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.retry_log import RetryLog
from airflow_provider_moengage.api.secret import Secret, SecretBytes, without_frames_below
from airflow_provider_moengage.api.workspace import Workspace, is_loopback

#: "Retry … for a maximum of 5 times." Source: Data API overview.
MAX_RETRIES = 5
#: Seconds: the overview's "every 2 seconds", with the exponential backoff of the Track User page.
FIRST_BACKOFF = 2.0
MAX_BACKOFF = 30.0
#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 10.0
#: A shorter key is not masked in responses: it could be part of any word.
MIN_MASKED_KEY_LENGTH = 8
USER_AGENT = f"airflow-provider-moengage/{__version__} python-requests/{requests.__version__}"


@dataclass(frozen=True)
class Exchange:
    """
    The outcome of a request, retries included.

    :param outcome: the response that accepted it, or the error of the last attempt.
    :param requests: the number of requests sent, retries included.
    :param unconfirmed: whether at least one of them got no response, so that MoEngage may have processed it.
    """

    outcome: Response | MoEngageError
    requests: int
    unconfirmed: bool

    def response(self) -> Response:
        """
        Return the response.

        :raises MoEngageError: the request was not accepted.
        """
        if isinstance(self.outcome, MoEngageError):
            raise self.outcome
        return self.outcome


class MoEngageClient:
    """
    Sends requests to one workspace; thread-safe.

    :param workspace: the address, the credentials and the rate limits.
    :param connections: the maximum number of connections kept open.
    :param shared: the rate windows in Redis that all tasks of the workspace share; None: headers only.
    """

    def __init__(
        self, workspace: Workspace, *, connections: int = 16, shared: RedisWindows | None = None
    ) -> None:
        self.workspace = workspace
        self.windows = RateLimiter(workspace, shared)
        self._session = requests.Session()
        self._adapter = BoundedAdapter(connections)
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        self._session.headers.clear()
        self._session.headers.update(self._headers())
        # Keeps .netrc from replacing the connection's credentials.
        self._session.auth = _keep_headers
        self._templates: dict[Endpoint, _Template] = {}
        self._secrets: tuple[Secret, ...] = ()
        if len(workspace.api_key) >= MIN_MASKED_KEY_LENGTH:
            encoded = Secret(basic_authorization(workspace).removeprefix("Basic "))
            self._secrets = (encoded, Secret(workspace.api_key))
        self._retries = RetryLog(MAX_RETRIES + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and return the unused units of shared windows."""
        self.windows.close()
        self._session.close()

    def release(self) -> None:
        """Release the resources at the end of a run, without aborting requests of other runs of this client."""
        self.windows.close()
        self._adapter.release()

    def abort(self) -> None:
        """Abort all requests in flight: each fails at once, as one without a response."""
        self._adapter.abort()

    def send(
        self,
        endpoint: Endpoint,
        body: bytes,
        units: Units,
        halt: threading.Event | None = None,
        *,
        idempotent: bool = True,
        permit: Permit | None = None,
        max_wait: float | None = None,
    ) -> Exchange:
        """
        Send one body within the rate limit, and retry as the documentation advises.

        408, 5xx and network errors are retried up to five times with growing pauses. A 429 waits for its window and
        does not count as a retry, until five whole windows have granted nothing, or the request turns out to cost more
        than a whole window.

        :param body: JSON in UTF-8.
        :param units: the cost, by quota.
        :param halt: once it is set, nothing is sent or retried any more; :meth:`RateLimiter.wake` makes waiting
            threads check it.
        :param idempotent: whether it may be sent again after no response came, though MoEngage may have processed it.
        :param permit: a permit for these units, if one was acquired already; retries acquire their own.
        :param max_wait: the maximum number of seconds to wait for a window; None: unlimited.
        """
        halt = halt or threading.Event()
        template = self._template(endpoint)
        sent = failures = 0
        unconfirmed = False
        try:
            while True:
                try:
                    outcome = self._exchange(
                        template, body, permit or self.windows.acquire(units, halt, None, max_wait)
                    )
                except MoEngageStopped as stopped:
                    return Exchange(stopped, sent, unconfirmed)
                permit = None
                sent += 1
                if isinstance(outcome, MoEngageNetworkError) and outcome.maybe_processed:
                    unconfirmed = True
                    if not idempotent:
                        return Exchange(outcome, sent, unconfirmed)
                if isinstance(outcome, Response) or not outcome.retryable:
                    return Exchange(outcome, sent, unconfirmed)
                if isinstance(outcome, MoEngageRateLimited) and units:
                    if self.windows.exceeds(units) or self.windows.starved(units):
                        return Exchange(self._with_retry_after(outcome, units), sent, unconfirmed)
                    continue
                failures += 1
                if failures > MAX_RETRIES:
                    self._retries.given_up(outcome)
                    return Exchange(self._with_retry_after(outcome, units), sent, unconfirmed)
                pause = _backoff(failures, outcome.retry_after)
                self._retries.failed(outcome, failures, pause)
                if halt.wait(pause):
                    return Exchange(outcome, sent, unconfirmed)
        finally:
            self._retries.ended(failures)

    def test_connection(self) -> Response:
        """
        Check the credentials with a single request, without retries.

        :raises MoEngageError: the credentials are wrong, or no response came.
        """
        workspace = self.workspace
        body = {
            "app_id": workspace.app_id,
            "app_secret": workspace.api_key,
            "source": "airflow",
            # With a host instead of a data centre, the region is unknown.
            "region": workspace.data_center or "",
        }
        content = SecretBytes(to_json(body))
        outcome = self._exchange(self._template(TEST_CONNECTION), content, Permit({}))
        return Exchange(outcome, 1, unconfirmed=False).response()

    def _exchange(self, template: _Template, body: bytes, permit: Permit) -> Response | MoEngageError:
        """Send one request without retries, and settle its permit."""
        try:
            status, content, rate = self._post(template, body)
            permit.settle(rate, status)
        except MoEngageNetworkError as error:
            return error
        finally:
            permit.settle_unanswered()
        if content is None:
            return classify_oversized(status, template.endpoint, rate.retry_after)
        # The body of Test Connection holds the key and no row.
        rows = b"" if isinstance(body, SecretBytes) else body
        return classify(
            status, content, template.endpoint, rate.retry_after, sent=rows, secrets=self._secrets
        )

    def _with_retry_after(self, error: MoEngageError, units: Units) -> MoEngageError:
        """Set the published reset as ``retry_after`` of an error that ends a run, unless it has one; return the error."""
        if error.status is not None and error.retry_after is None:
            error.retry_after = self.windows.published_reset_in(units)
        return error

    def _post(self, template: _Template, body: bytes) -> tuple[int, bytes | None, RateHeaders]:
        handled = sys.exc_info()[1]
        request = requests.PreparedRequest()
        request.method, request.url, request.body = "POST", template.url, body
        request.headers = CaseInsensitiveDict(template.headers, **{"Content-Length": str(len(body))})
        try:
            # The adapter instead of the session: no redirects, no cookies, settings merged only once.
            response = self._session.get_adapter(template.url).send(
                request,
                timeout=(min(CONNECT_TIMEOUT, self.workspace.timeout), self.workspace.timeout),
                verify=template.settings["verify"],
                cert=template.settings["cert"],
                proxies=template.settings["proxies"],
            )
            content = read_body(response.raw, template.endpoint.max_response_bytes)
        except (OSError, HTTPError) as error:
            without_frames_below(error, handled)
            raise _network_error(error, template.url) from error
        except BaseException as error:
            # For example the task's timeout, raised by a signal handler.
            without_frames_below(error, handled)
            raise
        return response.status_code, content, RateHeaders.parse(response.headers, time.time())

    def _template(self, endpoint: Endpoint) -> _Template:
        """Return an endpoint's prepared request, with the environment's proxies and CA settings."""
        if endpoint not in self._templates:
            workspace = self.workspace
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
            self._templates[endpoint] = _Template(endpoint, str(request.url), dict(request.headers), settings)
        return self._templates[endpoint]

    def _headers(self) -> dict[str, str]:
        workspace = self.workspace
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


@dataclass(frozen=True)
class _Template:
    endpoint: Endpoint
    url: str
    headers: Mapping[str, str]
    settings: Mapping[str, Any]


def basic_authorization(workspace: Workspace) -> Secret:
    """Return the value of the ``Authorization`` header; as secret as the key."""
    credentials = SecretBytes(f"{workspace.app_id}:{workspace.api_key}".encode())
    return Secret("Basic " + base64.b64encode(credentials).decode("ascii"))


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _backoff(failures: int, retry_after: float | None) -> float:
    """Return the seconds before the next attempt: exponential, with jitter, and at least the Retry-After."""
    pause: float = min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (failures - 1))
    return max(pause * random.uniform(0.75, 1.25), min(retry_after or 0.0, 2 * MAX_BACKOFF))


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
