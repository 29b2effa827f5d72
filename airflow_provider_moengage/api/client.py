"""The client: sends requests to MoEngage, with authentication, rate limiting, timeouts and retries."""

from __future__ import annotations

import random
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType

from pydantic_core import to_json
from typing_extensions import Self

from airflow_provider_moengage.api.concurrency.limiter import ConcurrencyLimiter
from airflow_provider_moengage.api.endpoint import TEST_CONNECTION, Endpoint, Units
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageNetworkError,
    MoEngageRateLimited,
    MoEngageStopped,
)
from airflow_provider_moengage.api.http.classify import Response, classify, classify_oversized
from airflow_provider_moengage.api.http.transport import Template, Transport, basic_authorization
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.limiter import Permit, RateLimiter
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.rate_limit.waits import SIGNAL_INTERVAL
from airflow_provider_moengage.api.retry_log import RetryLog
from airflow_provider_moengage.api.secret import Secret, SecretBytes
from airflow_provider_moengage.api.workspace import Workspace

#: "Retry … for a maximum of 5 times." Source: Data API overview.
MAX_RETRIES = 5
#: Seconds: the overview's "every 2 seconds", with the exponential backoff of the Track User page.
FIRST_BACKOFF = 2.0
MAX_BACKOFF = 30.0
#: A shorter key is not masked in responses: it could be part of any word.
MIN_MASKED_KEY_LENGTH = 8


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
        self._transport = Transport(workspace, connections)
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
        self._transport.close()

    def release(self) -> None:
        """Release the resources at the end of a run, without aborting requests of other runs of this client."""
        self.windows.close()
        self._transport.release()

    def abort(self) -> None:
        """Abort all requests in flight: each fails at once, as one without a response."""
        self._transport.abort()

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
        limiter: ConcurrencyLimiter | None = None,
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
        :param limiter: limits the requests in flight, and granted the permit; None: they are not limited.
        """
        acquire = self.windows.acquire if limiter is None else limiter.acquire
        halt = halt or threading.Event()
        template = self._transport.template(endpoint)
        sent = failures = 0
        unconfirmed = False
        try:
            while True:
                try:
                    permit = permit or acquire(units, halt, None, max_wait)
                    outcome = self._exchange(template, body, permit, units, limiter)
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
                with nullcontext() if limiter is None else limiter.pausing():
                    halted = _is_halted_within(pause, halt)
                if halted:
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
        outcome = self._exchange(self._transport.template(TEST_CONNECTION), content, Permit({}), {})
        return Exchange(outcome, 1, unconfirmed=False).response()

    def _exchange(
        self,
        template: Template,
        body: bytes,
        permit: Permit,
        units: Units,
        limiter: ConcurrencyLimiter | None = None,
    ) -> Response | MoEngageError:
        """Send one request without retries, settle its permit and release its place among those in flight."""
        began, latency, failed = time.monotonic(), None, True
        try:
            response = self._transport.post(template, body)
            failed = response.status == 408 or response.status >= 500
            # A request that is turned away is often answered sooner.
            latency = response.latency if response.status < 300 else None
            rate = RateHeaders.parse(response.headers, time.time())
            permit.settle(rate, response.status)
        except MoEngageNetworkError as error:
            return error
        finally:
            permit.settle_unconfirmed()
            if limiter is not None:
                limiter.release(units, began, latency, failed=failed)
        status, content = response.status, response.content
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


def _is_halted_within(seconds: float, halt: threading.Event) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if halt.wait(min(left, SIGNAL_INTERVAL)):
            return True
    return halt.is_set()


def _backoff(failures: int, retry_after: float | None) -> float:
    """Return the seconds before the next attempt: exponential, with jitter, and at least the Retry-After."""
    pause: float = min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (failures - 1))
    return max(pause * random.uniform(0.75, 1.25), min(retry_after or 0.0, 2 * MAX_BACKOFF))
