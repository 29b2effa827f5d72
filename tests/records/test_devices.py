"""Devices and opt-outs as they are sent: what was not said is not there."""

from __future__ import annotations

from airflow_provider_moengage.records.devices import Device, OptOut


def test_what_was_not_said_is_not_sent():
    attributes = {"platform": "TV", "push_id": "p"}
    device = Device.check({"customer_id": "a1", "device_id": "d", "attributes": attributes})
    assert device.to_json() == (
        b'{"type":"device","customer_id":"a1","device_id":"d","attributes":{"platform":"TV","push_id":"p"}}'
    )
    fields = {"user_identifier_type": "customer_id", "user_identifier_value": "a1", "action_type": "block"}
    assert OptOut.check(fields).user == "a1"
    assert b"null" not in OptOut.check(fields).to_json()
