"""The simulated workspace: its credentials and its state."""

from __future__ import annotations

import base64
from collections import Counter
from random import Random
from typing import Any

from airflow_provider_moengage.sandbox.cohorts import Cohorts
from airflow_provider_moengage.sandbox.devices import Devices
from airflow_provider_moengage.sandbox.events import Events
from airflow_provider_moengage.sandbox.faults import Faults
from airflow_provider_moengage.sandbox.request_log import RequestLog
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sandbox.store import Users
from airflow_provider_moengage.sandbox.window import RateWindow

#: The rate windows; the setting that holds the limit of each is its name with ``_per_minute``.
QUOTAS = (
    "users",
    "get_users",
    "events",
    "devices",
    "opt_out_devices",
    "bulk_users",
    "bulk_events",
    "bulk_devices",
    "merge_users",
    "delete_users",
    "cohort_syncs",
)

BENT_KEPT = 100_000


class Bent:
    """Records what MoEngage would have silently dropped or altered."""

    def __init__(self) -> None:
        self.count = 0
        self._records: list[dict[str, Any]] = []

    def record(self, customer_id: str | None, attribute: str | None, what: str) -> None:
        """Record one silent alteration."""
        self.count += 1
        if len(self._records) < BENT_KEPT:
            self._records.append({"customer_id": customer_id, "attribute": attribute, "what": what})

    def first(self, count: int = BENT_KEPT) -> list[dict[str, Any]]:
        """Return the first ``count`` alterations."""
        return self._records[:count]


class State:
    """The state of the workspace, which a reset clears."""

    def __init__(self, settings: Settings) -> None:
        self.users = Users()
        self.events = Events()
        self.devices = Devices()
        self.cohorts = Cohorts()
        self.request_log = RequestLog()
        self.bent = Bent()
        self.faults = Faults(Random(settings.seed))
        self.statuses: Counter[str] = Counter()
        self.windows = {
            quota: RateWindow(quota, getattr(settings, f"{quota}_per_minute"), settings.window_seconds)
            for quota in QUOTAS
        }
        self.settings = settings

    def change(self, changes: dict[str, Any]) -> None:
        """Change settings while the sandbox runs; units already spent stay spent."""
        self.settings = self.settings.changed(changes)
        if "seed" in changes:
            self.faults.random = Random(self.settings.seed)
        if "identifiers" in changes:
            self.users.identify_by(self.settings.identifiers)
        for quota, window in self.windows.items():
            window.limit = getattr(self.settings, f"{quota}_per_minute")
            window.seconds = self.settings.window_seconds


class Workspace:
    """A workspace: its credentials and its current state."""

    def __init__(self, workspace_id: str, api_key: str, settings: Settings) -> None:
        self.workspace_id = workspace_id
        self.api_key = api_key
        self.authorization = b"Basic " + base64.b64encode(f"{workspace_id}:{api_key}".encode())
        self._settings = settings
        self.state = State(settings)

    def reset(self) -> None:
        """Clear the state, and restore the settings of the start."""
        self.state = State(self._settings)
