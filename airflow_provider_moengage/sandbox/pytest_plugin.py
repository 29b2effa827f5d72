"""
The pytest fixtures, available wherever this package is installed.

pytest imports this module in every test run where this package is installed, so it imports only pytest at the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.client import Sandbox


@pytest.fixture(scope="session")
def moengage_sandbox_server() -> Iterator[Sandbox]:
    """Run one sandbox for the whole session; tests use ``moengage_sandbox``, which is reset for each test."""
    from airflow_provider_moengage.sandbox.client import SandboxNotStarted, running_sandbox

    try:
        with running_sandbox() as sandbox:
            yield sandbox
    except SandboxNotStarted as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def moengage_sandbox(moengage_sandbox_server: Sandbox) -> Sandbox:
    """Return a sandbox without data, faults or changed settings."""
    moengage_sandbox_server.reset()
    return moengage_sandbox_server


@pytest.fixture
def moengage_sandbox_connection(moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return a clean sandbox, and point Airflow's connection ``moengage_default`` at it for this test."""
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", moengage_sandbox.connection_json)
    return moengage_sandbox
