"""The hook's methods take no option they do not know, and send nothing where a value is wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageWindowSpent
from airflow_provider_moengage.delivery.operation import Operation
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.options import DeliveryArguments, DeliveryOptions
from airflow_provider_moengage.operations import (
    DELETE_USERS,
    GET_USERS,
    MERGE_USERS,
    OPERATIONS,
    UNSET_ATTRIBUTES,
)
from airflow_provider_moengage.operations.get_users import IdentifierMapping
from airflow_provider_moengage.operations.merge_users import PairMapping
from airflow_provider_moengage.operations.track_users import TRACK_USERS, USERS
from airflow_provider_moengage.operations.unset_attributes import UnsetMapping
from airflow_provider_moengage.operations.user_outputs import ListSink
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageTrackUsersOperator,
)
from airflow_provider_moengage.sandbox import Sandbox

ROWS = [{"customer_id": "ann", "plan": "gold"}]
METHODS: dict[str, Callable[..., Any]] = {
    "track_users": lambda hook, **more: hook.track_users(ROWS, **more),
    "unset_attributes": lambda hook, **more: hook.unset_attributes(
        ROWS, mapping=UnsetMapping(["plan"]), **more
    ),
    "get_users": lambda hook, **more: hook.get_users(ROWS, sink=ListSink(10), **more),
    "track_events": lambda hook, **more: hook.track_events([{"customer_id": "ann", "action": "b"}], **more),
    "track_devices": lambda hook, **more: hook.track_devices(ROWS, **more),
    "opt_out_devices": lambda hook, **more: hook.opt_out_devices(ROWS, **more),
    "bulk_import": lambda hook, **more: hook.bulk_import(ROWS, **more),
    "merge_users": lambda hook, **more: hook.merge_users(ROWS, **more),
    "delete_users": lambda hook, **more: hook.delete_users(ROWS, **more),
}
WRONG: list[dict[str, Any]] = [
    *({"validate_only": value} for value in ("yes", 1, 0, None, "False")),
    *({"concurrency": value} for value in (0, 257, True, "4", 1.0)),
    *({"max_rejected": value} for value in (-1, 1.0, True, "1", None, float("nan"))),
    *({"replace_rejected": value} for value in ("no", None)),
    *({"max_wait": value} for value in (-1, True, "5", float("inf"), float("nan"))),
    {"on_report": "print"},
    {"checkpoints": {}},
    {"cancellation": True},
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("validate_onli", "validate_only"),
        ("max_rejectd", "max_rejected"),
        ("Concurrency", "concurrency"),
        ("x", None),
    ],
)
def test_an_unknown_option_is_named(
    moengage_sandbox_connection: Sandbox, method: str, option: str, meant: str | None
):
    with pytest.raises(MoEngageParameterError) as caught:
        METHODS[method](MoEngageHook(), **{option: True})
    assert repr(option) in str(caught.value)
    assert meant is None or f"did you mean {meant!r}?" in str(caught.value)
    assert "The options are concurrency, max_rejected, rejected_path" in str(caught.value)
    assert moengage_sandbox_connection.requests() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_value_is_named(moengage_sandbox_connection: Sandbox, method: str, wrong: dict[str, Any]):
    with pytest.raises(MoEngageParameterError, match=next(iter(wrong))):
        METHODS[method](MoEngageHook(), **wrong)
    assert moengage_sandbox_connection.requests() == []


@pytest.mark.parametrize(
    ("method", "operator", "rows", "wrong"),
    [
        *(
            ("track_events", MoEngageTrackEventsOperator, "events", {"on_unknown": value})
            for value in ("resnd", "", None, True, ["resend"])
        ),
        *(
            ("get_users", MoEngageGetUsersOperator, "users", {"on_missing": value})
            for value in ("fial", None, True)
        ),
        *(
            ("delete_users", MoEngageDeleteUsersOperator, "users", {"on_missing": value})
            for value in ("fial", None)
        ),
        *(
            ("delete_users", MoEngageDeleteUsersOperator, "users", {"max_users": value})
            for value in (0, -1, True, "5", 2.0, None)
        ),
        *(
            ("track_users", MoEngageTrackUsersOperator, "users", {"max_bytes": value})
            for value in (0, True, "5", 10**9, None, 5.0)
        ),
        *(("track_users", MoEngageTrackUsersOperator, "users", wrong) for wrong in WRONG[:16]),
    ],
)
def test_hook_and_operator_refuse_the_same(
    moengage_sandbox_connection: Sandbox, method: str, operator: Any, rows: str, wrong: dict[str, Any]
):
    name = next(iter(wrong))
    with pytest.raises(MoEngageParameterError, match=name) as by_hook:
        METHODS[method](MoEngageHook(), **wrong)
    with pytest.raises(MoEngageParameterError, match=name) as by_operator:
        operator(task_id="t", **{rows: ROWS}, **wrong)
    assert str(by_hook.value) == str(by_operator.value)
    assert moengage_sandbox_connection.requests() == []


def test_the_options_that_are_checked_are_those_that_are_typed():
    assert list(DeliveryOptions.__dataclass_fields__) == list(DeliveryArguments.__annotations__)


class OwnSource:
    """A user's own source: it has what the protocol asks for, and is of no class of this package."""

    def __init__(self, rows: list[Any], columns: list[str] | None = None) -> None:
        self._rows, self._columns = rows, columns

    def prepare(self, check_columns: Any, halt: Any) -> str | None:
        return None

    def rows(self, check_columns: Any, start: int = 0) -> Iterator[object]:
        if self._columns is not None:
            check_columns(self._columns)
        return iter(self._rows[start:])


def test_a_source_of_ones_own_is_read_like_any_other(
    moengage_sandbox_connection: Sandbox, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    rows = [{"customer_id": "ann", " plan": "gold"}, {"customer_id": "x"}]
    report = MoEngageHook().track_users(OwnSource(rows), max_rejected=1)
    assert (report["read"], report["accepted"], report["rejected"]) == (2, 1, 1)
    assert moengage_sandbox_connection.users("ann")["ann"]["attributes"] == {"plan": "gold"}
    report = MoEngageHook().delete_users(OwnSource(rows[:1]), max_users=1)
    assert report["accepted"] == 1
    with pytest.raises(MoEngageTaskFailed, match="max_users=1"):
        MoEngageHook().delete_users(OwnSource(rows), max_users=1)


@pytest.mark.parametrize("context", [{}, {"ti": None}])
def test_a_source_of_ones_own_in_an_operator(moengage_sandbox_connection: Sandbox, context: dict[str, Any]):
    rows = [{"CUSTOMER_ID": "ann", "PLAN": "gold"}]
    source = OwnSource(rows, ["CUSTOMER_ID", "PLAN"])
    operator = MoEngageTrackUsersOperator(task_id="t", users=source, fold_columns="lower")
    assert operator.users is source
    operator.render_template_fields({})
    assert operator.execute(context)["accepted"] == 1
    assert moengage_sandbox_connection.users("ann")["ann"]["attributes"] == {"plan": "gold"}
    with pytest.raises(MoEngageTaskFailed, match="only the case differs"):
        MoEngageTrackUsersOperator(task_id="t", users=source).execute({})


@pytest.mark.parametrize("value", [OwnSource, object(), 5, b"x", {1: 2}.items().__class__])
def test_what_is_no_source_is_not_taken_for_one(moengage_sandbox_connection: Sandbox, value: object):
    with pytest.raises(MoEngageTaskFailed, match="users is of type"):
        MoEngageHook().track_users(value)


class Frame:
    """A data frame of polars has rows too."""

    def rows(self) -> list[tuple[str]]:
        return [("ann",)]


def test_a_frame_that_has_rows_is_no_source(moengage_sandbox_connection: Sandbox):
    with pytest.raises(MoEngageTaskFailed, match="users is of type Frame"):
        MoEngageHook().track_users(Frame())


def test_one_hook_serves_several_runs(moengage_sandbox_connection: Sandbox):
    moengage_sandbox_connection.settings(users_per_minute=3, window_seconds=1.0)
    hook = MoEngageHook()
    client = hook.get_conn()
    assert hook.track_users(ROWS * 3, max_wait=0.0)["accepted"] == 3
    assert open_sockets(client) == 0
    # The window is spent: what the run would not wait for, another call does.
    exchange = client.send(
        TRACK_USERS.endpoint, b'{"type":"customer","customer_id":"ann","attributes":{}}', {USERS: 1}
    )
    assert exchange.response()
    assert hook.track_users(ROWS * 2)["accepted"] == 2
    assert hook.get_conn() is client


def open_sockets(client: Any) -> int:
    return sum(
        getattr(connection, "sock", None) is not None
        for connection in client._transport._adapter.connections()
    )


def test_a_client_that_is_closed_has_no_socket_open(moengage_sandbox_connection: Sandbox):
    client = MoEngageHook().get_conn()
    client.test_connection()
    assert open_sockets(client) == 1
    (connection,) = client._transport._adapter.connections()
    sock = connection.sock
    client.close()
    assert (open_sockets(client), sock.fileno()) == (0, -1)
    # It opens a new one where it is used again.
    client.test_connection()
    assert open_sockets(client) == 1
    client.close()
    client.close()
    assert open_sockets(client) == 0


def test_so_it_is_behind_a_proxy(moengage_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    sandbox = moengage_sandbox.connection
    connection = {**sandbox, "host": "http://moengage.invalid", "port": None, "extra": {"allow_http": True}}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{sandbox['port']}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = MoEngageHook("other").get_conn()
    exchange = client.send(TRACK_USERS.endpoint, b"{}", {USERS: 1})
    assert exchange.requests
    assert open_sockets(client) == 1
    (sock,) = [connection.sock for connection in client._transport._adapter.connections()]
    client.close()
    assert (open_sockets(client), sock.fileno()) == (0, -1)


def test_any_operation_of_the_catalogue_can_be_delivered_to(moengage_sandbox_connection: Sandbox):
    hook = MoEngageHook()
    assert hook.deliver(TRACK_USERS, ROWS)["accepted"] == 1
    assert hook.deliver(TRACK_USERS, ROWS, bulk=True)["accepted"] == 1
    assert hook.deliver(UNSET_ATTRIBUTES, ROWS, mapping=UnsetMapping(["plan"]))["accepted"] == 1
    paths = [request["path"].rpartition("/")[0] for request in moengage_sandbox_connection.requests()]
    assert [path.rpartition("/")[2] for path in paths] == ["customer", "transition", "customer"]
    assert moengage_sandbox_connection.users("ann")["ann"]["attributes"] == {}


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.bulk is None], ids=lambda one: one.name
)
def test_what_has_no_form_in_bulk_import_is_not_sent_there(
    moengage_sandbox_connection: Sandbox, operation: Operation
):
    with pytest.raises(MoEngageParameterError, match=f"bulk is True, but {operation.name} has no form"):
        MoEngageHook().deliver(operation, ROWS, bulk=True)
    assert moengage_sandbox_connection.requests() == []


def test_a_mapping_that_has_no_default_has_to_be_given(moengage_sandbox_connection: Sandbox):
    with pytest.raises(MoEngageParameterError, match="mapping is missing; unset_attributes has no default"):
        MoEngageHook().deliver(UNSET_ATTRIBUTES, ROWS)
    assert moengage_sandbox_connection.requests() == []


def test_a_mapping_serves_several_runs(moengage_sandbox_connection: Sandbox):
    hook, mapping = MoEngageHook(), PairMapping()
    pairs = [{"merged_user": "ann", "retained_user": "ben"}]
    hook.track_users([{"customer_id": "ann"}, {"customer_id": "ben"}])
    for _ in range(2):
        assert hook.deliver(MERGE_USERS, pairs, mapping=mapping, validate_only=True)["valid"] == 1
    identifiers = IdentifierMapping()
    for _ in range(2):
        assert hook.get_users(["ann", "ben"], sink=ListSink(10), mapping=identifiers)["found"] == 2


def test_runs_of_one_hook_do_not_steer_each_other(moengage_sandbox_connection: Sandbox):
    moengage_sandbox_connection.settings(users_per_minute=5, window_seconds=1.0)
    hook, ended = MoEngageHook(), []

    def patient() -> None:
        ended.append(hook.track_users(ROWS * 12)["accepted"])

    thread = threading.Thread(target=patient)
    thread.start()
    for _ in range(10):
        with contextlib.suppress(MoEngageWindowSpent):
            hook.track_users(ROWS * 6, max_wait=0.0)
    thread.join(60)
    assert ended == [12]


def test_what_deletes_is_guarded_however_it_is_called(moengage_sandbox_connection: Sandbox):
    hook = MoEngageHook()
    with pytest.raises(MoEngageTaskFailed, match="max_users=1000"):
        hook.deliver(DELETE_USERS, [f"user-{number}" for number in range(1_001)])
    assert moengage_sandbox_connection.requests() == []
    # A user that MoEngage does not know counts as the method counts it.
    assert hook.deliver(DELETE_USERS, ["nobody"])["missing"] == hook.delete_users(["nobody"])["missing"] == 1


def test_users_are_not_read_to_nowhere(moengage_sandbox_connection: Sandbox):
    with pytest.raises(MoEngageParameterError, match="responses is missing; get_users has no default"):
        MoEngageHook().deliver(GET_USERS, ["ann"])
    assert moengage_sandbox_connection.requests() == []
