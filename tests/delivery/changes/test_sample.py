"""A sample is the users with the smallest hashes, and what MoEngage has of them as it was sent is equal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import (
    MoEngageParameterError,
    MoEngageSampleDamaged,
    MoEngageStorageError,
)
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.changes.arrival import ArrivalCheck
from airflow_provider_moengage.delivery.changes.sample import (
    Sample,
    SampledUser,
    fingerprint,
    read_sample,
    sample_url,
)
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.user_outputs import ListSink
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import users
from tests.support.leaks import PERSON
from tests.support.samples import batch_of

WORKSPACE = Workspace(app_id="WORKSPACE", api_key="KEY", data_center="01")
ids = st.text(min_size=2, max_size=12, alphabet=st.characters(codec="utf-8"))


def batch(*contents: dict[str, Any]) -> Batch:
    made = Batch()
    for content in contents:
        made.users.append(content["customer_id"])
        made.contents.append(json.dumps({"type": "customer", **content}).encode())
    return made


def customer(customer_id: str, **attributes: Any) -> dict[str, Any]:
    return {"customer_id": customer_id, "attributes": attributes}


def sampled(size: int, *batches: Batch) -> list[SampledUser]:
    sample = Sample(size)
    for one in batches:
        sample.record(one)
    return sample.users()


def known_of(*records: dict[str, Any]) -> dict[str, str | None]:
    """What a sample knows of the one user that all records are of."""
    (user,) = sampled(1, *map(batch, records))
    return user.attributes


# --- which users ---------------------------------------------------------------------------------------------------


@given(st.lists(ids, unique=True, max_size=60), st.integers(1, 20), st.data())
def test_the_sample_does_not_depend_on_the_order_or_the_batches(
    customer_ids: list[str], size: int, data: st.DataObject
):
    records = [customer(customer_id, number=number) for number, customer_id in enumerate(customer_ids)]
    whole = sampled(size, batch(*records))
    assert len(whole) == min(size, len(records))
    shuffled = data.draw(st.permutations(records))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=5)))
    pieces = [
        batch(*shuffled[begin:end])
        for begin, end in zip([0, *cuts], [*cuts, len(records)], strict=True)
        if end > begin
    ]
    assert sampled(size, *pieces) == whole
    # It is a part of every larger one, as the smallest hashes are.
    assert sampled(size + 5, *pieces)[:size] == whole


def test_every_id_has_the_same_chance():
    # Chosen by any property of the text, such as its order, one of these halves would be empty.
    chosen = {user.id for user in sampled(400, batch(*(customer(f"user-{n:05}") for n in range(10_000))))}
    halves = [
        sum(of(int(id_.removeprefix("user-"))) for id_ in chosen)
        for of in (lambda n: n < 5_000, lambda n: n % 2 == 0, lambda n: n % 100 < 50)
    ]
    # Six standard deviations: the ids and their hashes are always the same ones.
    assert all(140 <= half <= 260 for half in halves)


def test_batches_of_many_threads_are_sampled_as_those_of_one():
    records = [customer(f"user-{n}", number=n) for n in range(4_000)]
    sample, start = Sample(50), threading.Barrier(8)

    def record(first: int) -> None:
        start.wait()
        for record in records[first::8]:
            sample.record(batch(record))

    threads = [threading.Thread(target=record, args=[first]) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sample.users() == sampled(50, batch(*records))


def test_what_cannot_be_read_back_by_its_id_is_left_out():
    without_id = Batch(
        contents=[b'{"type":"customer","attributes":{"moe_mobile":"91"}}'], users=["moe_mobile=91"]
    )
    event = Batch(contents=[b'{"type":"event","customer_id":"ann","actions":[]}'], users=["ann"])
    assert sampled(9, without_id, event) == []


# --- which values --------------------------------------------------------------------------------------------------


def test_the_last_accepted_value_of_each_attribute_counts():
    known = known_of(customer("ann", plan="free", age=1), customer("ann", plan="gold"))
    assert known == known_of(customer("ann", age=1, plan="gold"))
    assert known != known_of(customer("ann", age=1, plan="free"))


def test_no_value_is_in_the_file(tmp_path: Path):
    sample = Sample(300)
    sample.record(batch_of(users(20)))
    content = Path(sample.write(str(tmp_path), WORKSPACE, "track_users")).read_text()
    assert "user-7" in content
    assert PERSON not in content


def test_equal_values_of_two_users_cannot_be_told():
    assert fingerprint("ann", "plan", "gold") != fingerprint("bob", "plan", "gold")
    assert fingerprint("ann", "plan", "gold") != fingerprint("ann", "tier", "gold")


def test_what_a_record_makes_unknown_is_not_compared():
    before = customer("ann", tags=["a"], plan="gold", age=1)
    assert set(known_of(before, customer("ann", plan=None))) == {"tags", "age"}
    assert set(known_of(before, customer("ann", addValueToArrayField={"tags": ["b"]}))) == {"plan", "age"}
    # MoEngage keeps the first value of these, whatever is sent.
    assert known_of(customer("ann", publisher_name="x", cr_t="2026-01-01", created_time="2026-01-01")) == {}


@pytest.mark.parametrize(
    ("rule", "unset"),
    [
        ({"type": "equals", "attr": "plan"}, {"plan"}),
        ({"type": "equals", "attr": "never_sent"}, {"never_sent"}),
        ({"type": "equals", "attr": "PLAN", "case_sensitive": False}, {"plan", "PLAN"}),
        ({"type": "prefix", "attr": "pl"}, {"plan", "place"}),
        ({"type": "suffix", "attr": "e"}, {"place", "age"}),
        ({"type": "contains", "attr": "la"}, {"plan", "place"}),
    ],
)
def test_an_unset_attribute_must_be_gone(rule: dict[str, Any], unset: set[str]):
    before = customer("ann", plan="gold", place="x", age=1)
    known = known_of(before, {"customer_id": "ann", "unset_attributes": [{"case_sensitive": True, **rule}]})
    assert {name for name, sent in known.items() if sent is None} == unset


def test_an_empty_array_unsets():
    assert known_of(customer("ann", tags=[])) == {"tags": None}


# --- what is the same ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2026-01-31T18:05:00Z", "2026-01-31T18:05:00.000Z"),
        ("2026-01-31T18:05:00Z", "2026-01-31T18:05:00.123456+00:00"),
        ("2026-01-31T18:05:00Z", "2026-01-31T23:35:00+05:30"),
        ("2026-01-31T18:05:00Z", "2026-01-31T18:05:00"),
        ("2026-01-31T18:05:00Z", "2026-01-31 18:05:00"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        (["2026-01-31"], ["2026-01-31T00:00:00.000Z"]),
        (1, 1.0),
        (0, -0.0),
        (12345678901234567890, 12345678901234567000),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ({"a": 1, "b": None}, {"a": 1}),
        ([], None),
    ],
)
def test_another_form_of_a_value_is_the_same_value(sent: Any, returned: Any):
    assert fingerprint("ann", "x", sent) == fingerprint("ann", "x", returned)


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2026-01-31T18:05:00Z", "2026-01-31T18:05:01Z"),
        ("2026-01-31", "2026-02-01"),
        ("2026-02-30", "2026-03-02"),
        (1, True),
        (1, "1"),
        ("a", "A"),
        ("a", "a "),
        ("", None),
        (0, None),
        (False, None),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, [1]),
        (10**400, 10**401),
    ],
)
def test_another_value_differs(sent: Any, returned: Any):
    assert fingerprint("ann", "x", sent) != fingerprint("ann", "x", returned)


def test_a_standard_attribute_may_be_returned_under_its_internal_name():
    check = ArrivalCheck(sampled(1, batch(customer("ann", email="a@b.c", u_fn="Ann", plan="gold"))))
    assert check.fields == ["customer_id", "email", "first_name", "plan", "u_em", "u_fn"]
    check.add([{"customer_id": "ann", "u_em": "a@b.c", "first_name": "Ann", "plan": "gold", "id": "1"}])
    assert check.result()["equal"] == 1


values = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20, alphabet=st.characters(codec="utf-8"))
    | st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z".zfill(20))
    | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(values)
def test_the_normal_form_does_not_depend_on_how_json_is_written(value: Any):
    again = json.loads(json.dumps(value, sort_keys=True))
    assert fingerprint("ann", "x", again) == fingerprint("ann", "x", value)


def test_what_the_sandbox_returns_is_what_was_sent(moengage_sandbox_connection: Sandbox):
    moengage_sandbox_connection.settings(object_attributes=True)
    examples: list[Any] = [
        1, 1.0, 0.1, -0.0, 1e22, 2**53 + 1, True, False, "", "a", "é😀", "2026-01-31T18:05:00+05:30", "2026-01-31",
        ["a", "b"], [1, 2.5], [True], {"a": 1, "b": {"c": "2026-01-31"}}, [{"a": 1}, {"b": [1]}],
    ]  # fmt: skip
    rows = [
        {"customer_id": f"id-{n}", "value": value, "email": f"{n}@b.c"} for n, value in enumerate(examples)
    ]
    rows.append({"customer_id": "own", "attributes": {"moe_geo_location": {"lat": 1, "lon": 2.0}},
                 "platforms": [{"platform": "android", "active": "true"}]})  # fmt: skip
    check = ArrivalCheck(sampled(300, batch_of(rows)))
    hook, sink = MoEngageHook(), ListSink(300)
    assert hook.track_users(rows)["accepted"] == len(rows)
    hook.get_users([row["customer_id"] for row in rows], sink=sink)
    check.add(sink.users)
    assert check.result() == {
        "sampled": len(rows), "equal": len(rows), "missing": 0, "different": 0, "attributes": {},
    }  # fmt: skip


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return f"{tmp_path.as_uri()}/made/when/needed/"
    request.getfixturevalue("lake")
    return "s3://lake_conn@lake/samples"


def test_a_sample_is_read_as_it_was_written(folder: str):
    sample = Sample(300)
    sample.record(batch_of([{"customer_id": "😀é\n", "plan": "gold"}, {"customer_id": "bob", "n": 1}]))
    url = sample.write(folder, WORKSPACE, "track_users")
    assert url == sample_url(folder)
    file = read_sample(url)
    assert file.users == sample.users()
    assert (file.operation, file.is_of(WORKSPACE)) == ("track_users", True)
    other = Workspace(app_id="OTHER", api_key="KEY", data_center="01")
    project = Workspace(app_id="WORKSPACE", api_key="KEY", data_center="01", project_code="p")
    assert not file.is_of(other)
    assert not file.is_of(project)


@given(st.lists(ids, unique=True, min_size=1, max_size=30), st.integers(1, 10), st.data())
def test_an_attempt_that_resumes_continues_the_sample(
    tmp_path_factory: pytest.TempPathFactory, customer_ids: list[str], size: int, data: st.DataObject
):
    folder = str(tmp_path_factory.mktemp("samples"))
    records = [customer(customer_id, number=1, plan="gold") for customer_id in customer_ids]
    # A user may come in both attempts, too.
    records += [customer(customer_id, number=2) for customer_id in customer_ids[::2]]
    cut = data.draw(st.integers(0, len(records)))
    first = Sample(size)
    first.record(batch(*records[:cut]))
    first.write(folder, WORKSPACE, "track_users")
    second = Sample(size)
    second.resume(folder, WORKSPACE, "track_users")
    second.record(batch(*records[cut:]))
    assert second.users() == sampled(size, batch(*records))


def test_a_list_of_ids_that_is_larger_than_the_sample_is_reduced_when_it_is_resumed(tmp_path: Path):
    large = Sample(20)
    large.record(batch(*(customer(f"user-{n}") for n in range(40))))
    large.write(str(tmp_path), WORKSPACE, "track_users")
    small = Sample(5)
    small.resume(str(tmp_path), WORKSPACE, "track_users")
    assert small.users() == large.users()[:5]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-9],
    "not text": lambda content: b"\xff" + content,
    "another format": lambda content: content.replace(b'"format":1', b'"format":2'),
    "rows": lambda content: b'{"customer_id": "ann"}\n',
    "another shape": lambda content: content.replace(b'"attributes":{', b'"attributes":["x"],"more":{'),
    "nested": lambda content: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture):
    sample = Sample(300)
    sample.record(batch_of(users(3)))
    path = Path(sample.write(str(tmp_path), WORKSPACE, "track_users"))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(
        MoEngageSampleDamaged, match=r"_moengage_sample\.json is damaged.* run the task that has sample="
    ):
        read_sample(str(path))
    # A delivery does not fail because of it.
    again = Sample(300)
    again.resume(str(tmp_path), WORKSPACE, "track_users")
    assert again.users() == []
    assert "is left out" in caplog.text


def test_the_sample_of_another_workspace_or_operation_is_not_continued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    sample = Sample(300)
    sample.record(batch_of(users(3)))
    sample.write(str(tmp_path), WORKSPACE, "track_users")
    again = Sample(300)
    again.resume(str(tmp_path), Workspace(app_id="OTHER", api_key="KEY", data_center="01"), "track_users")
    again.resume(str(tmp_path), WORKSPACE, "unset_attributes")
    assert again.users() == []
    assert caplog.text.count("another workspace or operation") == 2


def test_a_file_that_does_not_exist_is_named_with_what_writes_it(tmp_path: Path):
    with pytest.raises(MoEngageParameterError, match=r"does not exist.* has sample="):
        read_sample(f"{tmp_path}/none.json")


def test_a_folder_that_cannot_be_used_is_an_error_that_a_retry_may_mend(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MoEngageStorageError, match=r"cannot be written to .*/file/_moengage_sample"):
        Sample(3).write(f"{tmp_path}/file", WORKSPACE, "track_users")
    with pytest.raises(MoEngageStorageError, match="cannot be read"):
        read_sample(str(tmp_path))
