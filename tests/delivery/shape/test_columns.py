"""A row becomes what the rules of its record say: the same bytes, or the same rejection."""

from __future__ import annotations

import enum
import math
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.columns import Columns
from airflow_provider_moengage.delivery.shape.convert import attribute_value, customer_id_text
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.typed_text import CONVERTERS
from airflow_provider_moengage.operations.track_users import UserMapping
from airflow_provider_moengage.records.users import Terms, User
from airflow_provider_moengage.records.values import check_attributes

ZONE = timezone.utc


class Text(str):
    """A text of a driver's own."""


class Number(int):
    """A number of a driver's own."""


class Plan(str, enum.Enum):
    GOLD = "gold"
    BORN = "2021-02-30"


class Level(enum.IntEnum):
    HIGH = 3


#: What may stand at each place of a text that looks like a date, and what a careless pattern takes for it.
likely = st.sampled_from(list("0123-T:Z ²\nx\u0663\uff19\u2013"))
dates = (
    st.builds("{:04}-{:02}-{:02}{}".format, st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32),
              st.sampled_from(["", "T10:00:00Z", "T24:00:00Z", "T10:60:00Z", "T10:00:00", " 10:00", "Z", "\n", "0", " "]))
    | st.text(likely, min_size=9, max_size=21)
    | st.dates().map(str)
    | st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    | st.from_regex(r"\A\d{4}-\d{2}-\d{2}")
)  # fmt: skip
texts = dates | st.text(max_size=15) | st.text(st.characters(), max_size=12)
longs = st.integers(510, 514).flatmap(lambda size: st.sampled_from(["x" * size, "☃" * size, "😀" * size]))
surrogates = st.sampled_from(["\ud83d", "\ud83d\ude00", "x\udc00y", "2021-02-3\ud83d", "0123456789\ud83d"])
numbers = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 2**16).map(lambda power: 2**power)
    | st.floats()
    | st.decimals()
    | st.booleans()
)
subclasses = (
    st.builds(Text, texts)
    | st.builds(Number, st.integers())
    | st.sampled_from([Plan.GOLD, Plan.BORN, Level.HIGH])
)
of_numpy = st.sampled_from(
    [
        numpy.int64(7), numpy.float32(1.5), numpy.float64("nan"), numpy.bool_(True), numpy.str_("2021-02-30"),
        numpy.datetime64("2026-01-01T10:00:00"), numpy.datetime64("NaT"), numpy.array([1, 2]), numpy.bytes_(b"x"),
    ]
)  # fmt: skip
moments = (
    st.datetimes(timezones=st.none() | st.just(timezone.utc)) | st.dates() | st.times() | st.timedeltas()
)
scalars = (
    st.none()
    | texts
    | longs
    | surrogates
    | numbers
    | subclasses
    | of_numpy
    | moments
    | st.binary(max_size=2)
    | st.uuids()
)
values = (
    scalars
    | st.lists(scalars, max_size=3)
    | st.lists(st.integers() | st.booleans(), max_size=53)
    | st.dictionaries(texts, scalars | st.dictionaries(st.text(max_size=2), scalars, max_size=2), max_size=2)
)
names = st.text(max_size=6) | surrogates | st.sampled_from(
    [
        "plan", "Born", "the name", "customer_id", "status", "user_id", "_id", "id", "moe_x", "moe_mobile", "t_rev", "geo",
        "USER_ATTRIBUTE_X", "platforms", "moe_geo_location", "addValueToArrayField", "removeValueFromArrayField",
        "attributes", "type", "cr_t", "n" * 200, "n" * 201, " ", "",
    ]
)  # fmt: skip
ids = st.text(min_size=2, max_size=4) | surrogates | numbers | subclasses | st.none() | st.sampled_from(
    ["unknown", " Guest ", "x", "i" * 512, "i" * 513, "😀", b"id"]
)  # fmt: skip
#: Rows as nearly all are, with now and then one value that is not.
good = (
    st.integers(-(2**40), 2**40) | st.text(max_size=12) | st.booleans() | st.sampled_from(["2026-01-01", 1.5])
)
rows = st.dictionaries(names, values, max_size=3) | st.dictionaries(
    st.sampled_from(["plan", "points", "born", "naïve"]), good | values, max_size=4
)


def without_blanks(text: str | None) -> str | None:
    """The id without blanks at its ends; one of blanks alone is none."""
    blanks = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u180e"
    return (text or "").strip().strip(blanks).strip() or None


Told = "bytes | tuple[str, str]"


def told(give: Any) -> Told:
    """The bytes of a row, or its refusal."""
    try:
        content: bytes = give()
    except MoEngageRecordInvalid as error:
        return error.code, str(error)
    return content


def expected(
    row: dict[Any, Any], types: dict[str, str], nulls: str, identifiers: tuple[str, ...] = ()
) -> bytes:
    """What becomes of a flat row, by the record's own rules alone."""
    customer_id = without_blanks(customer_id_text(row.get("customer_id")))
    if customer_id is None and not identifiers:
        raise MoEngageRecordInvalid("customer_id_missing", "customer_id is missing")
    converted = {name: value for name, value in row.items() if name != "customer_id"}
    attributes = {
        name: CONVERTERS[types[name]](name, value, ZONE)
        if name in types
        else attribute_value(name, value, ZONE)
        for name, value in converted.items()
    }
    null = [name for name, value in attributes.items() if value is None]
    attributes = {name: value for name, value in attributes.items() if value is not None}
    fields: dict[str, Any] = {"customer_id": customer_id, "attributes": attributes}
    if nulls == "send":
        attributes |= dict.fromkeys(null)
    elif nulls == "unset" and null:
        fields["unset_attributes"] = [{"attr": name} for name in null]
    terms = Terms(frozenset(name for name in types if types[name] == "string"), frozenset(identifiers))
    return User.check(fields, terms).to_json()


@given(rows, ids, st.sampled_from(["skip", "unset", "send"]), st.sampled_from([None, "string", "json"]))
@settings(max_examples=800, deadline=None)
@example({"born": "2021-02-29"}, "ann", "skip", None)
@example({"born": "2024-02-29T23:59:59Z"}, "ann", "skip", None)
@example({"born": "\u0662021-02-30"}, "ann", "skip", None)
@example({"born": "2021-02-2\u0669"}, "ann", "skip", None)
@example({"born": "2021-02-28\n"}, "ann", "skip", None)
@example({"n": 10**5_000}, "ann", "skip", None)
@example({"n": {"m": 10**5_000}, "face": "\ud83d\ude00"}, "ann", "skip", None)
@example({}, 10**5_000, "skip", None)
@example({"n": Decimal("1e999999")}, "ann", "skip", None)
@example({"n": math.inf}, "ann", "send", None)
@example({"plan": Plan.GOLD, Text("points"): Number(5)}, "ann", "skip", None)
@example({"a": 1, "b": "\ud83d\ude00"}, "ann", "skip", None)
def test_a_flat_row_becomes_what_its_record_says(row: Any, customer_id: Any, nulls: Any, kind: str | None):
    row = {**row, "customer_id": customer_id}
    if isinstance(row.get("attributes"), dict):
        del row["attributes"]
    types = {"born": kind} if kind and "born" in row else {}
    mapping = UserMapping(types=types or None, timezone="UTC", nulls=nulls)
    found = told(lambda: mapping.item(row, RowWarnings())[0])
    assert found == told(lambda: expected(row, types, nulls))
    # A plan is made of the first row of its columns, and serves the others.
    assert found == told(lambda: mapping.item(row, RowWarnings())[0])


@given(rows, ids | st.none(), st.none() | texts | st.integers() | st.just(""))
@settings(max_examples=300, deadline=None)
def test_so_it_is_where_identifiers_may_take_the_ids_place(row: Any, customer_id: Any, mobile: Any):
    row = {**row, "customer_id": customer_id, "moe_mobile": mobile}
    row.pop("attributes", None)
    mapping = UserMapping(timezone="UTC", identifiers=["moe_mobile"])
    as_text = {**row, "moe_mobile": without_blanks(customer_id_text(mobile))}
    found = told(lambda: mapping.item(row, RowWarnings())[0])
    assert found == told(lambda: expected(as_text, {}, "skip", ("moe_mobile",)))


@given(st.dictionaries(st.text(max_size=2), values | good, max_size=4), st.sampled_from([None, "UTC"]))
@settings(max_examples=800, deadline=None)
@example({"": "2021-02-29"}, None)
@example({"": "2021-02-28T23:59:60Z"}, None)
@example({"": "0000-01-01"}, None)
@example({"": "\u0660000-00-00"}, None)
@example({"": 10**5_000, "n": -0.0}, None)
def test_a_value_that_its_type_decides_passes_the_check(drawn: dict[str, Any], zone: str | None):
    row = {f"a{name}": value for name, value in drawn.items()}
    try:
        attributes, _, unchecked = Columns(timezone=zone).values(row, ())
    except MoEngageRecordInvalid:
        return
    check_attributes(attributes, frozenset(), [name for name in attributes if name not in unchecked])


@given(dates)
@settings(max_examples=800, deadline=None)
def test_so_does_a_text_that_may_be_a_date(text: str):
    attributes, _, unchecked = Columns().values({"born": text}, ())
    if not unchecked:
        check_attributes(attributes, frozenset())


@pytest.mark.parametrize(
    ("value", "decided"),
    [
        ("gold", True), ("", True), ("x" * 512, True), ("x" * 513, False), (7, True), (2**80, False), (True, True), (1.5, True),
        (10**400, False),
        ("2026-01-28", True), ("2026-01-28T10:00:00Z", True), ("2026-02-30", False), ("2026-01-01 10:00", False),
        ("2026-01-0\u0661", False), (Decimal(1), True), (Decimal("1.5"), True), (date(2026, 1, 1), True),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), True), (Text("gold"), False), (Plan.GOLD, False), (Level.HIGH, False),
        ([], False), ({}, False), (numpy.float64(1.5), False), (numpy.int64(1), False),
    ],
    ids=repr,
)  # fmt: skip
def test_the_types_of_nearly_all_values_decide_and_the_others_are_checked(value: Any, decided: bool):
    assert Columns().values({"a": value}, ())[2] == ([] if decided else ["a"])


@pytest.mark.parametrize(
    "value", [None, math.nan, -math.inf, Decimal("NaN"), numpy.datetime64("NaT")], ids=repr
)
def test_a_null_is_no_attribute(value: Any):
    assert Columns().values({"a": value, "b": 1}, ()) == ({"b": 1}, ["a"], [])


@pytest.mark.parametrize("name", ["status", "platforms", "moe_geo_location", "addValueToArrayField", "cr_t"])
def test_a_name_with_rules_of_its_own_is_always_checked(name: str):
    assert Columns().values({name: "gold", "plan": "gold"}, ())[2] == [name]
