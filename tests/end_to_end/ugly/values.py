"""Ugliness of all other values: numbers, truths, arrays and objects, and what JSON has no place for; B2, B4, B5, B6, B9."""

from __future__ import annotations

import enum
import ipaddress
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd

from tests.end_to_end.ugly.kinds import NULL, REJECTED, Raw, kind

#: Column → NULLs that a list has, and PostgreSQL, and Parquet.
NULLS = {
    "seen": ([pd.NaT, np.datetime64("NaT")], [], []),
    "joined": ([pd.NaT], [], []),
    "local": ([pd.NaT], [], []),
    "score": (
        [float("nan"), float("inf"), np.float64("nan"), np.float32("-inf"), Decimal("NaN"), pd.NA],
        ["NaN", "Infinity", "-Infinity"],
        [float("nan"), float("inf")],
    ),
    "amount": ([Decimal("Infinity"), Decimal("sNaN"), float("nan")], ["NaN", "Infinity"], []),
    "plan": ([pd.NA, float("nan")], [], []),
    "tags": ([pd.NA], [], []),
}

KINDS = [
    kind(
        "B2 bytes",
        "photo",
        REJECTED,
        list=[b"jpeg", bytearray(b"jpeg"), memoryview(b"jpeg"), np.bytes_(b"jpeg")],
        postgres=[r"\x6a706567", r"\x"],
        mariadb=[b"jpeg\xff\x00", b"photo"],
        parquet=[b"jpeg", b"\xff\x00"],
    ),
    kind("B2 integer beyond JSON", "visits", REJECTED, list=[10**400, Decimal("1e400")], ndjson=[10**400]),
    kind(
        "B4 scalars of numpy",
        "score",
        2,
        list=[np.float64(2), np.float32(2), np.int8(2), np.uint64(2), np.longdouble(2), np.float16(2)],
    ),
    kind("B4 truths of numpy", "active", True, list=[np.bool_(True), np.True_]),
    kind(
        "B4 texts of numpy",
        "plan",
        "gold",
        list=[np.str_("gold"), enum.Enum("Plan", {"G": "gold"}, type=str).G],
    ),
    kind(
        "B4 arrays of numpy",
        "tags",
        ["a", "b"],
        list=[np.array(["a", "b"]), np.array(["a", "b"], object), ("a", "b")],
    ),
    kind(
        "B4 values without a place",
        "score",
        REJECTED,
        list=[
            1j,
            np.complex128(1),
            pd.Period("2025-01"),
            pd.Interval(0, 1),
            np.void(b"ab"),
            {"a"},
            object(),
            range(3).__iter__(),
            datetime,
        ],
    ),
    kind(
        "B4 UUID",
        "plan",
        "3e0f2f6e-3c5d-4a5e-9d5b-3f5b0d6f0d11",
        list=[UUID("3e0f2f6e-3c5d-4a5e-9d5b-3f5b0d6f0d11")],
    ),
    kind(
        "B5 array of objects",
        "orders",
        [{"sku": "a", "qty": 1}, {"sku": "b"}],
        json=[
            [{"sku": "a", "qty": 1}, {"sku": "b"}],
            [{"sku": "a", "qty": 1}, {"sku": "b", "qty": None}],
            [{"sku": "a", "qty": 1, "at": None}, {"qty": None, "sku": "b"}],
        ],
        parquet=[[{"sku": "a", "qty": 1}, {"sku": "b"}]],
    ),
    kind(
        "B5 100 objects",
        "orders",
        [{"qty": n} for n in range(100)],
        share=0.2,
        json=[[{"qty": n} for n in range(100)]],
        parquet=[[{"qty": n} for n in range(100)]],
    ),
    kind(
        "B5 101 objects",
        "orders",
        REJECTED,
        share=0.2,
        json=[[{"qty": n} for n in range(101)]],
        parquet=[[{"qty": n} for n in range(101)]],
    ),
    kind(
        "B5 arrays that MoEngage drops",
        "orders",
        REJECTED,
        json=[
            [[1], [2]],
            [{"sku": "a"}, "a"],
            [1, {"sku": "a"}],
            [{"sku": "a", "in": {"a": {"b": 1}}}],
            ["x", None],
            [1, "x"],
            [True, 1],
        ],
    ),
    kind(
        "B5 object with NULLs",
        "box",
        {"a": 1, "c": {"e": "x"}},
        json=[{"a": 1, "b": None, "c": {"d": None, "e": "x"}}, {"c": {"e": "x", "d": None}, "a": 1}],
        list=[{"a": np.int64(1), "b": float("nan"), "c": {"d": pd.NaT, "e": "x"}}],
        parquet=[{"a": 1, "b": None, "c": {"d": None, "e": "x"}}],
    ),
    kind("B5 empty object", "box", REJECTED, json=[{}], list=[{}]),
    kind(
        "B5 keys that MoEngage forbids",
        "mapped",
        REJECTED,
        json=[{key: "x"} for key in ("a.b", "$a", "50%", "#1", "k" * 201)] + [{"good": 1, "in": {"a.b": 1}}],
        parquet=[{"a.b": "x"}, {"$a": "x"}, {"a": "x", "50%": "y"}, {"#1": "x"}, {"k" * 201: "x"}, {}],
    ),
    kind("B5 such keys in an array", "orders", REJECTED, json=[[{"sku": "a"}, {"a.b": 1}], [{"k" * 201: 1}]]),
    kind(
        "B5 map",
        "mapped",
        {"a": "x", "k" * 200: "y"},
        json=[{"a": "x", "k" * 200: "y"}, {"a": "x", "c": None, "k" * 200: "y"}],
        parquet=[{"a": "x", "k" * 200: "y"}, {"a": "x", "c": None, "k" * 200: "y"}],
    ),
    kind("B5 too deep", "box", REJECTED, json=[{"a": {"b": {"c": 1}}}]),
    kind("B5 empty array", "tags", [], json=[[]], list=[[], (), np.array([])], postgres=["{}"], parquet=[[]]),
    kind(
        "B5 array with a NULL",
        "tags",
        REJECTED,
        json=[["a", None]],
        postgres=["{a,NULL}"],
        parquet=[["a", None]],
    ),
    kind(
        "B6 whole number as text",
        "phone",
        "919876543210",
        list=[919876543210.0, 919876543210, np.float64(919876543210), Decimal(919876543210), "919876543210"],
        everywhere=["919876543210"],
        ndjson=[919876543210.0, 919876543210, "919876543210"],
        parquet=[919876543210.0],
    ),
    kind(
        "B6 large number as text",
        "phone",
        "1" + "0" * 16,
        list=[1e16, Decimal("1e16"), np.float64(1e16), 10**16],
        postgres=["1e16"],
        mariadb=["1e16"],
        ndjson=[1e16],
        parquet=[1e16],
    ),
    kind(
        "B6 text of a decimal", "phone", "1.10", list=[Decimal("1.10"), "1.10"], csv=["1.10"], ndjson=["1.10"]
    ),
    kind(
        "B6 address as text",
        "host",
        "10.0.0.1",
        list=[ipaddress.ip_address("10.0.0.1"), "10.0.0.1"],
        postgres=["10.0.0.1"],
        everywhere=["10.0.0.1"],
    ),
    kind(
        "B6 one as truth",
        "flag",
        True,
        list=[1.0, 1, "1.0", "1", True, np.float64(1), Decimal("1.0"), Decimal(1), "yes", "TRUE"],
        ndjson=[1.0, 1, "1.0", True, "y"],
        csv=["1.0", "1", "true", "Yes", "t"],
        everywhere=["1"],
        parquet=[1.0],
    ),
    kind(
        "B6 zero as truth",
        "flag",
        False,
        list=[0.0, 0, "0.0", False, np.int64(0), -0.0],
        ndjson=[0.0, 0, "0.0", False],
        csv=["0.0", "0", "no", "F"],
        everywhere=["0"],
        parquet=[0.0],
    ),
    kind(
        "B6 no truth",
        "flag",
        REJECTED,
        list=[2.0, "maybe", 0.5],
        ndjson=[2, "x"],
        csv=["2.0", "x"],
        everywhere=["2"],
        parquet=[2.0],
    ),
    *(
        kind(
            "B9 NULL",
            column,
            NULL,
            list=[None, *in_list],
            csv=["", "NULL", r"\N", Raw('""')],
            everywhere=[None],
            postgres=[None, *in_postgres],
            parquet=[None, *in_parquet],
        )
        for column, (in_list, in_postgres, in_parquet) in NULLS.items()
    ),
]
