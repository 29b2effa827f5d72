"""The trigger waits, and what the sensor has to know survives it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib import import_module

from airflow_provider_moengage.triggers.next_poke import NextPokeTrigger
from tests.support.deferrals import event_of


def test_a_trigger_is_the_same_after_it_was_serialized():
    moment = datetime(2026, 1, 31, 18, 5, tzinfo=timezone.utc)
    path, arguments = NextPokeTrigger(moment=moment, since=1.5, pokes=3).serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**arguments)
    assert (again.moment, again.since, again.pokes) == (moment, 1.5, 3)
    assert again.serialize() == (path, arguments)


def test_it_waits_and_returns_how_far_the_sensor_had_come():
    moment = datetime.now(timezone.utc) + timedelta(seconds=0.2)
    assert event_of(NextPokeTrigger(moment=moment, since=1.5, pokes=3)) == {"since": 1.5, "pokes": 3}
    assert datetime.now(timezone.utc) >= moment
