"""A reason names the source's column and what is wrong with it, in words of our own."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.bulk_import import ElementMapping
from airflow_provider_moengage.operations.delete_users import DeletionMapping
from airflow_provider_moengage.operations.get_users import IdentifierMapping
from airflow_provider_moengage.operations.merge_users import PairMapping
from airflow_provider_moengage.operations.opt_out_devices import OptOutMapping
from airflow_provider_moengage.operations.track_devices import DeviceMapping
from airflow_provider_moengage.operations.track_events import EventMapping
from airflow_provider_moengage.operations.track_users import UserMapping
from airflow_provider_moengage.operations.unset_attributes import UnsetMapping
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageUnsetAttributesOperator
from tests.end_to_end.tracker import Tracker

#: What pydantic says, in any of its messages.
FOREIGN = (
    "Input should", "input should", "Extra inputs", "Field required", "valid string", "valid dictionary", "valid list", "valid integer",
    "valid boolean", "input_type", "input_value", "pydantic", "validation error", "Value error", "Unable to", "Keys should", "literal_error",
    "[key]", "Instance of", "unicode string",
)  # fmt: skip
#: A path as pydantic writes it, such as ``actions.0.action``.
DOTTED = re.compile(r"[a-z]\.\d")
SECRET = "s3cr3t"


def reason_of(mapping: Any, row: Any) -> str:
    """The reason for which a row is refused."""
    with pytest.raises(MoEngageRecordInvalid) as caught:
        mapping.item(row, RowWarnings())
    return str(caught.value)


EVENTS = EventMapping(id_column="uid", action_column="kind", time_column="at")
EVENT = {"uid": "a1", "kind": "seen", "at": 5}
DEVICE = {"uid": "a1", "device_id": "d", "platform": "iOS", "push_id": "p"}
OWN_EVENT = {"customer_id": "a1", "actions": [{"action": "seen"}]}
ELEMENTS = ElementMapping()


def changed(row: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {name: value for name, value in {**row, **change}.items() if value is not ...}


@pytest.mark.parametrize(
    ("mapping", "row", "reason"),
    [
        (EVENTS, changed(EVENT, kind=None), "the event's name, in column 'kind', is NULL"),
        (EVENTS, changed(EVENT, kind=float("nan")), "the event's name, in column 'kind', is NULL"),
        (EVENTS, changed(EVENT, kind=...), "the row has no column 'kind'; set action_column= to the column that holds the event's name"),
        (EVENTS, changed(EVENT, kind=5), "the event's name, in column 'kind', is of type int; it must be a string"),
        (EVENTS, changed(EVENT, kind=" "), "the event's name, in column 'kind', is empty"),
        (EVENTS, changed(EVENT, kind="n" * 201), "the event's name, in column 'kind', is a name over 200 characters, which MoEngage would cut"),
        (EVENTS, changed(EVENT, kind="moe_own"), ("the event's name, in column 'kind', begins with 'moe_', MoEngage's own prefix; give it another "
         "name")),
        (EVENTS, changed(EVENT, kind="half \ud83d"), "a text holds half of a surrogate pair, which UTF-8 cannot carry"),
        (EVENTS, changed(EVENT, uid=None), "customer_id, in column 'uid', is missing"),
        (EVENTS, changed(EVENT, uid="x"), "customer_id, in column 'uid', has one character; it needs two or more"),
        (EVENTS, changed(EVENT, uid=b"x"), ("customer_id, in column 'uid', has a value of type bytes that is not an id; ids are strings or whole "
         "numbers")),
        (EVENTS, changed(EVENT, at=datetime(2999, 1, 1, tzinfo=timezone.utc)),
         "the event's time, in column 'at', lies in the future, which MoEngage does not accept"),
        (EventMapping(), {"customer_id": "a1", "action": None, "event_time": 5}, "the event's name, in column 'action', is NULL"),
        (EventMapping(), {"customer_id": None, "action": "seen", "event_time": 5}, "customer_id is missing"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": "seen"}, {"action": None}]}, "actions[1].action is NULL"),
        (EventMapping(), {"customer_id": "a1", "actions": [{}]}, "actions[0].action is missing"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": ""}]}, "actions[0].action is empty"),
        (EventMapping(), {"customer_id": "a1", "actions": ["seen"]}, "actions[0] is of type str; it must be an object"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": "seen", "plan": 1}]},
         "'actions[0].plan' is not a field that MoEngage knows there, and would be dropped; leave it out"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": "seen", "platform": "symbian"}]},
         "actions[0].platform must be 'ANDROID', 'iOS', 'web', 'TV' or 'unknown'"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": "seen", "attributes": [1]}]},
         "actions[0].attributes is of type list; it must be an object"),
        (EventMapping(), {"customer_id": "a1", "actions": [{"action": "seen", "user_timezone_offset": "x"}]},
         "actions[0].user_timezone_offset is of type str; it must be a whole number"),
        (EventMapping(), {"type": "Event", **OWN_EVENT}, "type must be 'event'"),
        (EventMapping(), {**OWN_EVENT, "device_id": 1.5}, "identifier 'device_id' has a value of type float; use a text"),
        (EventMapping(), {**OWN_EVENT, "user_identifiers": 5}, "user_identifiers is of type int; it must be an object"),
        (EventMapping(identifiers=["email"]), {**OWN_EVENT, "user_identifiers": {5: "x"}},
         "user_identifiers has a key of type int; keys are strings"),
        (DeviceMapping("uid"), changed(DEVICE, uid=None), "customer_id, in column 'uid', is missing"),
        (DeviceMapping("uid"), changed(DEVICE, platform=None), "platform is missing"),
        (DeviceMapping("uid"), changed(DEVICE, platform=5), "platform is of type int; it must be 'ANDROID', 'iOS', 'web' or 'TV'"),
        (DeviceMapping("uid"), changed(DEVICE, push_id=5), "push_id is of type int; it must be a string"),
        (DeviceMapping("uid"), changed(DEVICE, push_id="p" * 513), "push_id has over 512 characters"),
        (DeviceMapping("uid"), changed(DEVICE, plan="gold"), ("'plan' is not a field that MoEngage knows there, and would be dropped; leave "
         "it out")),
        (DeviceMapping("uid"), {"uid": "a1", "device_id": "d", "attributes": {"platform": "x", "push_id": "p"}},
         "attributes.platform must be 'ANDROID', 'iOS', 'web' or 'TV'"),
        (OptOutMapping(id_column="uid"), {"uid": "a1"}, "action_type is missing"),
        (OptOutMapping("block", "uid"), {"uid": None}, "customer_id, in column 'uid', is missing"),
        (OptOutMapping("block", "uid"), {"user_identifier_value": "a1"}, "user_identifier_type is missing"),
        (OptOutMapping("block"), {"user_identifier_type": "email", "user_identifier_value": "x"},
         "user_identifier_value has one character; it needs two or more"),
        (OptOutMapping("block"), {"customer_id": "a1", "reason": 5}, "reason is of type int; it must be a string"),
        (OptOutMapping("block"), {"customer_id": "a1", "device_identifiers": [5]}, "device_identifiers[0] is of type int; it must be an object"),
        (UnsetMapping(unset_column="gone", id_column="uid"), {"uid": "a1", "gone": None},
         "what to unset, in column 'gone', is empty or not a list of names and rules"),
        (UnsetMapping(unset_column="gone"), {"customer_id": "a1", "gone": [{"type": "like", "attr": "x"}]},
         "gone[0].type must be 'equals', 'prefix', 'suffix' or 'contains'"),
        (UnsetMapping(unset_column="gone"), {"customer_id": "a1", "gone": ["x", 5]}, "gone[1] is of type int; it must be an object"),
        (UnsetMapping(unset_column="gone"), {"customer_id": "a1", "gone": [{"type": "equals"}]}, "gone[0].attr is missing"),
        (UnsetMapping(["plan"], id_column="uid"), {"uid": None}, "customer_id, in column 'uid', is missing"),
        (UnsetMapping(["plan"], id_column="uid"), "x", "customer_id has one character; it needs two or more"),
        (IdentifierMapping("uid"), {"uid": None}, "customer_id, in column 'uid', is missing"),
        (IdentifierMapping("uid", "id"), {"uid": None}, "the MoEngage id, in column 'uid', is missing"),
        (IdentifierMapping("uid", identifier_type_column="kind"), {"uid": "a1", "kind": None},
         "identifier_type, in column 'kind', is missing"),
        (IdentifierMapping("uid", identifier_type_column="kind"), {"uid": "a1", "kind": "mail"},
         "identifier_type, in column 'kind', must be one of customer_id, id, moengage_id"),
        (DeletionMapping("uid", "moengage_id"), {"uid": 1.5},
         "the MoEngage id, in column 'uid', has a value of type float that is not an id; ids are strings or whole numbers"),
        (PairMapping(), {"merged_user": "a1"},
         "the row has no column 'retained_user'; a pair is 'merged_user', which goes, and 'retained_user', which stays"),
        (PairMapping(), {"merged_user": "a1", "retained_user": None}, "retained_user is missing"),
        (PairMapping(), {"merged_user": "unknown", "retained_user": "a1"},
         "merged_user is one of the words that MoEngage blocks, such as 'unknown' or 'null'"),
        (UserMapping(), {"customer_id": ""}, "customer_id is missing"),
        (UserMapping("uid"), {"uid": None, "plan": 1}, "customer_id, in column 'uid', is missing"),
        (UserMapping("uid"), {"uid": "none", "plan": 1}, ("customer_id, in column 'uid', is one of the words that MoEngage blocks, such as "
         "'unknown' or 'null'")),
        (UserMapping(), {"customer_id": "a1", "attributes": {}, "type": "Customer"}, "type must be 'customer'"),
        (UserMapping(), {"customer_id": "a1", "attributes": {}, "unset_attributes": [{"attr": "x", "case_sensitive": "no"}]},
         "unset_attributes[0].case_sensitive is of type str; it must be true or false"),
        (UserMapping(), {"type": "customer", "customer_id": "a1", "unset_attributes": "plan"},
         "unset_attributes is of type str; it must be a list"),
        (ELEMENTS, {"type": "event", "customer_id": "a1"}, "actions is missing"),
        (ELEMENTS, {"type": "event", "customer_id": "a1", "actions": {}}, "actions is of type dict; it must be a list"),
        (ELEMENTS, {"type": "device", "customer_id": "a1", "device_id": "d", "attributes": "x"},
         "attributes is of type str; it must be an object"),
    ],
)  # fmt: skip
def test_a_reason_names_the_column_or_the_field(mapping: Any, row: Any, reason: str):
    assert reason_of(mapping, row) == reason


def test_a_parameter_is_told_of_in_the_same_words():
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageUnsetAttributesOperator(task_id="unset", users=[], unset=[{"type": "like", "attr": "x"}])
    assert str(caught.value) == "unset: type must be 'equals', 'prefix', 'suffix' or 'contains'"


def test_the_reason_reaches_the_report(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse(
        "create table e (uid text, kind text, at int); insert into e values ('a1', null, 5), (null, 'x', 5)"
    )
    track.using(MoEngageTrackEventsOperator)
    columns = {"id_column": "uid", "action_column": "kind", "time_column": "at"}
    report = track(sql="select * from e", sql_conn_id="warehouse", **columns, max_rejected=2)
    assert report["reasons"] == {
        "the event's name, in column 'kind', is NULL": 1,
        "customer_id, in column 'uid', is missing": 1,
    }


wrong = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=2)
    | st.sampled_from([SECRET, f"half {SECRET} \ud83d", SECRET * 100, "", " ", "null", [SECRET], {SECRET: 1}])
    | st.lists(st.none() | st.integers() | st.just(SECRET) | st.just({"attr": 5}), max_size=2)
    | st.dictionaries(st.sampled_from(["action", "attr", "type", "platform", "x"]) | st.integers(), st.none() | st.integers(), max_size=2)
)  # fmt: skip
#: Good rows of all operators; any of their fields, at any depth, becomes something else.
GOOD: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (UserMapping, {"customer_id": "a1", "plan": "gold", "platforms": [{"platform": "web", "active": "true"}]}),
    (
        lambda: UserMapping(identifiers=["email"]),
        {
            "type": "customer", "customer_id": "a1", "email": "e", "attributes": {"plan": "gold", "email": "e"},
            "update_existing_only": True, "platforms": [{"platform": "web", "active": "true"}],
            "unset_attributes": [{"type": "equals", "attr": "x", "case_sensitive": True}],
        },
    ),
    (lambda: EventMapping(identifiers=["email"]), {"customer_id": "a1", "action": "seen", "event_time": 5, "email": "e"}),
    (
        lambda: EventMapping(identifiers=["email"]),
        {
            "type": "event", "customer_id": "a1", "device_id": "d", "user_identifiers": {"email": "e"}, "update_existing_only": True,
            "actions": [{"action": "seen", "attributes": {"n": 1}, "platform": "TV", "moe_os_type": "ROKU", "app_version": "1",
                         "current_time": 5, "user_time": 5, "user_timezone_offset": 0}],
        },
    ),
    (DeviceMapping, {"type": "device", "customer_id": "a1", "device_id": "d", "platform": "iOS", "push_id": "p", "model": "m",
                     "moe_push_opted": "True", "moe_push_provisional_opted": "x"}),
    (DeviceMapping, {"customer_id": "a1", "device_id": "d", "attributes": {"platform": "iOS", "push_id": "p", "idfv": "i"}}),
    (
        OptOutMapping,
        {"user_identifier_type": "customer_id", "user_identifier_value": "a1", "action_type": "block", "reason": "r",
         "client_reference_id": "c", "device_identifiers": [{"push_id": "p"}]},
    ),
    (lambda: UnsetMapping(unset_column="gone"), {"customer_id": "a1", "gone": [{"type": "prefix", "attr": "x"}, "y"]}),
    (lambda: IdentifierMapping(identifier_type_column="kind"), {"customer_id": "a1", "kind": "id"}),
    (DeletionMapping, {"customer_id": "a1"}),
    (PairMapping, {"merged_user": "a1", "retained_user": "a2"}),
    (ElementMapping, {"type": "customer", "customer_id": "a1", "attributes": {"n": 1}}),
    (ElementMapping, {"type": "event", "customer_id": "a1", "actions": [{"action": "seen"}]}),
    (ElementMapping, {"type": "device", "customer_id": "a1", "device_id": "d", "attributes": {"platform": "iOS", "push_id": "p"}}),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a row, from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, one in inner for place in places(one, (*path, key))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    key, *rest = path
    if new is ... and not rest:
        del copy[key]
    else:
        copy[key] = put(copy[key], tuple(rest), new)
    return copy


@given(st.data(), st.sampled_from(GOOD), st.none() | wrong | st.just(...), st.booleans())
@settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_reason_is_a_validators(data: st.DataObject, good: Any, new: Any, more: bool):
    make, row = good
    row = put(row, data.draw(st.sampled_from(places(row))), new)
    if more:
        row = {**row, data.draw(st.sampled_from(["more", "attributes", "actions", 5])): data.draw(wrong)}
    try:
        make().item(row, RowWarnings())
    except MoEngageRecordInvalid as error:
        said = str(error)
        assert said
        assert not [words for words in FOREIGN if words in said], said
        assert not DOTTED.search(said), said
        assert said[0] not in ":,."
        assert SECRET not in said or f"'{SECRET}" in said or f".{SECRET}" in said, said
