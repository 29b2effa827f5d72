"""Deferrals as a triggerer carries them out, without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from airflow_provider_moengage._compat import BaseOperator

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

__all__ = ["TaskDeferred", "event_of", "run_through_deferrals"]

#: A task that is deferred more often never ends.
MOST = 50


def event_of(trigger: Any) -> Any:
    """Return what a trigger yields in a triggerer, which has only what it has serialized."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**arguments)

    async def first() -> Any:
        return await anext(again.run())

    return json.loads(json.dumps(asyncio.run(first()).payload))


def run_through_deferrals(operator: BaseOperator, context: Mapping[str, Any]) -> tuple[Any, int]:
    """Run a task through its deferrals; return its value, and their number."""
    step = partial(operator.execute, context)
    for deferrals in range(MOST):
        try:
            return step(), deferrals
        except TaskDeferred as error:
            deferral = error
        assert not deferral.kwargs, "dag.test() drops them"
        event = {"event": event_of(deferral.trigger)}
        step = partial(operator.resume_execution, deferral.method_name, event, context)
    raise AssertionError(f"the task was deferred {MOST} times")
