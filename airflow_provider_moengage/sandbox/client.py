"""Starts a sandbox and sends requests to it, for fixtures, demos and scripts. Standard library only."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

START_SECONDS = 30.0
STOP_SECONDS = 5.0
PAGE = 1_000
DEFAULT_WORKSPACE = "SANDBOX_WORKSPACE"
DEFAULT_KEY = "SANDBOX_KEY"


class SandboxNotStarted(RuntimeError):
    """The sandbox could not be started; the message says why."""


class SandboxRefused(ValueError):
    """The sandbox rejected a fault, a setting or the request's host; the message says why."""


class Sandbox:
    """
    A running sandbox.

    :param url: where it runs, for example ``http://127.0.0.1:8095``.
    :param workspace_id: its Workspace ID, the login of a connection.
    :param api_key: its API key, the password of a connection.
    """

    def __init__(self, url: str, workspace_id: str = DEFAULT_WORKSPACE, api_key: str = DEFAULT_KEY) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._address = f"[{self.host}]" if ":" in self.host else self.host
        self.workspace_id = workspace_id
        self.api_key = api_key

    def __repr__(self) -> str:
        return f"Sandbox({self.url!r}, workspace_id={self.workspace_id!r})"

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection, in the fields of Airflow's JSON form."""
        return {
            "conn_type": "moengage",
            "host": f"http://{self._address}",
            "port": self.port,
            "login": self.workspace_id,
            "password": self.api_key,
        }

    @property
    def connection_json(self) -> str:
        """The Airflow connection as JSON, for ``AIRFLOW_CONN_MOENGAGE_DEFAULT``."""
        return json.dumps(self.connection)

    @property
    def connection_uri(self) -> str:
        """The Airflow connection as a URI, for ``AIRFLOW_CONN_MOENGAGE_DEFAULT``."""
        credentials = f"{quote(self.workspace_id, safe='')}:{quote(self.api_key, safe='')}"
        return f"moengage://{credentials}@{self._address}:{self.port}"

    def users(self, customer_id: str | None = None) -> dict[str, dict[str, Any]]:
        """
        Return the stored users by customer id.

        Each is a dict of ``customer_id``, ``id``, ``attributes``, ``types``, ``updates``, ``history`` (the
        attributes of its last 50 updates as they were sent, in the order in which they were stored) and
        ``deletion_requested``. The key of a user without a customer id is its MoEngage id.

        :param customer_id: only this user; the dict is empty if there is no such user.
        """
        if customer_id is not None:
            found = self._request("GET", "/_sandbox/users?" + urlencode({"customer_id": customer_id}))[
                "users"
            ]
        else:
            found = self._pages("users")
        return {user["customer_id"] or user["id"]: user for user in found}

    def events(self, customer_id: str | None = None) -> list[dict[str, Any]]:
        """
        Return the stored events in the order in which they were stored.

        Each is a dict of ``number`` (1, 2, 3, …: an event that was sent twice is stored twice), ``customer_id``,
        ``user_id`` (the MoEngage id), ``action``, ``attributes``, ``time`` (UTC, ``YYYY-MM-DDTHH:MM:SSZ``),
        ``user_timezone_offset``, ``platform``, ``moe_os_type``, ``app_version``, ``device_id`` and
        ``request_id``.

        :param customer_id: only those of this customer.
        """
        return self._pages("events", customer_id)

    def devices(self, customer_id: str | None = None) -> list[dict[str, Any]]:
        """
        Return the stored devices in the order of their creation.

        Each is a dict of ``customer_id``, ``user_id`` (the MoEngage id), ``device_id``, ``attributes``,
        ``blocked`` and ``updates``.

        :param customer_id: only those of this customer.
        """
        return self._pages("devices", customer_id)

    def cohorts(self, cohort_id: str | None = None) -> dict[str, dict[str, Any]]:
        """
        Return the stored cohorts by cohort id.

        Each is a dict of ``cohort_id``, ``cohort_name``, ``cohort_description``, ``partner`` and ``members`` (customer
        ids, in the order in which they were added).

        :param cohort_id: only this cohort; the dict is empty if there is no such cohort.
        """
        if cohort_id is not None:
            found = self._request("GET", "/_sandbox/cohorts?" + urlencode({"cohort_id": cohort_id}))[
                "cohorts"
            ]
        else:
            found = self._pages("cohorts")
        return {cohort["cohort_id"]: cohort for cohort in found}

    def requests(self) -> list[dict[str, Any]]:
        """
        Return the requests to the API in order of arrival, without those to the control endpoints.

        Each is a dict of ``request_id``, ``method``, ``path``, ``query``, ``headers``, ``authenticated``
        (whether its credentials were right), ``body``, ``status`` (None: no response), ``fault`` and ``at``. The
        API key is masked in the headers and in the body.
        """
        return self._pages("requests")

    def state(self) -> dict[str, Any]:
        """Return the counts, rate windows, faults and settings."""
        return self._object("GET", "/_sandbox/state")

    def bent(self) -> list[dict[str, Any]]:
        """Return what MoEngage would silently drop or alter: dicts of ``customer_id, attribute, what``."""
        bent: list[dict[str, Any]] = self._request("GET", "/_sandbox/bent")["bent"]
        return bent

    def fault(self, **description: Any) -> None:
        """
        Activate a fault.

        :param description: ``kind`` (``status``, ``slow``, ``drop_before``, ``drop_after``, ``fail_200``) and
            any of ``status body headers seconds times rate after path customer_id type message``.
        """
        self._request("POST", "/_sandbox/faults", description)

    def faults(self) -> list[dict[str, Any]]:
        """Return the active faults, each with how often it has ``fired``."""
        faults: list[dict[str, Any]] = self._request("GET", "/_sandbox/faults")["faults"]
        return faults

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._request("DELETE", "/_sandbox/faults")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings, and return all of them."""
        if changes:
            return self._object("POST", "/_sandbox/settings", changes)
        return self._object("GET", "/_sandbox/settings")

    def reset(self) -> None:
        """Clear all data and faults, and restore the settings of the start."""
        self._request("POST", "/_sandbox/reset")

    def _pages(self, what: str, customer_id: str | None = None) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        query = "" if customer_id is None else "&" + urlencode({"customer_id": customer_id})
        while True:
            page = self._request("GET", f"/_sandbox/{what}?offset={len(items)}&limit={PAGE}{query}")
            items += page[what]
            if not page[what] or len(items) >= page["total"]:
                return items

    def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        document: dict[str, Any] = self._request(method, path, body)
        return document

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        # Not urllib: it would use a proxy from the environment.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            document = json.loads(response.read())
        finally:
            connection.close()
        if response.status in (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN):
            raise SandboxRefused(document["error"]["message"])
        return document


@contextmanager
def running_sandbox(
    *, workspace_id: str = DEFAULT_WORKSPACE, api_key: str = DEFAULT_KEY, port: int = 0, **options: Any
) -> Iterator[Sandbox]:
    """
    Run a sandbox in a process of its own, and stop it on exit.

    :param workspace_id: the Workspace ID that it accepts.
    :param api_key: the API key that it accepts.
    :param port: the port that it listens on; 0: any free port.
    :param options: other command-line options, such as ``users_per_minute=100``.
    :raises SandboxNotStarted: it did not start; the message is its error output.
    """
    given = {"workspace_id": workspace_id, "api_key": api_key, "port": port, **options}
    command = [sys.executable, "-m", "airflow_provider_moengage.sandbox", "--exit-with-stdin", *_flags(given)]
    # The child imports this package even from a checkout that is not installed.
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        ) as child,
    ):
        try:
            yield Sandbox(_url(child, errors), workspace_id, api_key)
        finally:
            _stop(child)


def _flags(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        elif isinstance(value, list | tuple):
            yield from (f"--{flag}", *value)
        else:
            yield f"--{flag}={value}"


def _url(child: subprocess.Popen[bytes], errors: Any) -> str:
    """Wait for the first line of output, and return the URL in it."""
    assert child.stdout is not None  # noqa: S101
    timer = threading.Timer(START_SECONDS, child.kill)
    timer.start()
    try:
        first = child.stdout.readline().decode()
    finally:
        timer.cancel()
    if not first.startswith("MoEngage sandbox at "):
        child.wait()
        errors.seek(0)
        output = errors.read().decode(errors="replace").strip()
        raise SandboxNotStarted(
            output or f"The MoEngage sandbox did not start within {START_SECONDS:g} seconds"
        )
    return first.split()[3]


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
