"""
A local MoEngage server over real HTTP, for tests, demos and experiments.

Start one with ``moengage-sandbox`` on the command line, with :func:`running_sandbox` in a script, or with the
pytest fixture ``moengage_sandbox``. It is written from MoEngage's published documentation alone and shares no
code with the rest of this package, so that one misreading cannot hide in both.

This module imports lazily: pytest loads the plugin in every test run where this package is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.client import Sandbox, SandboxNotStarted, running_sandbox

__all__ = ["Sandbox", "SandboxNotStarted", "running_sandbox"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from airflow_provider_moengage.sandbox import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
