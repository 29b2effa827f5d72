"""A window that holds less than a full request."""

from __future__ import annotations

from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.sandbox import Sandbox


def test_requests_are_cut_to_what_a_window_holds(moengage_sandbox_connection: Sandbox):
    sandbox = moengage_sandbox_connection
    sandbox.settings(bulk_users_per_minute=60, window_seconds=1)
    elements = [
        {"type": "customer", "customer_id": f"user-{n}", "attributes": {"number": n}} for n in range(200)
    ]
    report = MoEngageBulkImportOperator(task_id="push", elements=elements).execute({})
    assert (report["read"], report["accepted"]) == (200, 200)
    assert len(sandbox.users()) == 200
