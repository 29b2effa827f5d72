"""Ugliness of dates, datetimes and durations: B3, B7, and those of B2, B4, B5 and B6; with the values of A9."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd

from tests.end_to_end.ugly.kinds import REJECTED, kind

INSTANT, INSTANT_NS = "2025-01-01T00:00:00Z", 1_735_689_600_123_457_001
NANOSECONDS = pd.to_datetime(1735689600.123457, unit="s", utc=True)
BEYOND = 253_403_300_800  # A second of the year 10000.

KINDS = [
    kind(
        "B2 times of day",
        "noon",
        REJECTED,
        list=[time(12), time(12, 0, 0, 1, timezone.utc), np.timedelta64(43_200, "s")],
        # Python's time ends before 24:00.
        postgres=["12:00:00", "24:00:00"],
        mariadb=["12:00:00", "-838:59:59"],
        parquet=[time(12)],
    ),
    kind(
        "B3 nanoseconds",
        "seen",
        INSTANT,
        list=[NANOSECONDS, pd.Timestamp(INSTANT_NS, tz="UTC"), pd.Timestamp(INSTANT_NS, tz="Asia/Kolkata")],
        parquet=[INSTANT_NS],
    ),
    kind(
        "B3 nanoseconds without a zone",
        "local",
        "2024-12-31T18:30:00Z",
        list=[
            pd.Timestamp(INSTANT_NS),
            np.datetime64("2025-01-01T00:00:00.123457001"),
            np.datetime64("2025-01-01T00:00"),
        ],
    ),
    kind("B3 nanoseconds as text", "stamp", INSTANT, list=[NANOSECONDS], parquet=[INSTANT_NS]),
    kind(
        "B3 nanoseconds in an array",
        "moments",
        [INSTANT, "2025-01-01T00:00:01Z"],
        list=[
            [NANOSECONDS, NANOSECONDS + pd.Timedelta(seconds=1)],
            np.array([INSTANT_NS + 19_800 * 10**9, INSTANT_NS + 19_801 * 10**9], "datetime64[ns]"),
        ],
        postgres=['{"2025-01-01 00:00:00.123457+00","2025-01-01 05:30:01+05:30"}'],
        json=[["2025-01-01T00:00:00.123457001Z", "2025-01-01T05:30:01+05:30"]],
        parquet=[[INSTANT_NS, INSTANT_NS + 10**9]],
    ),
    kind(
        "B4 durations",
        "lapse",
        REJECTED,
        list=[
            np.timedelta64(5, "D"),
            np.timedelta64(5, "ns"),
            pd.Timedelta(days=5),
            timedelta(5),
            [timedelta(5)],
            pd.DateOffset(1),
        ],
        # The second is more than a timedelta holds.
        postgres=["5 days", "178000000 years"],
        parquet=[timedelta(5)],
    ),
    kind(
        "B4 instants that Python has not",
        "seen",
        REJECTED,
        list=[np.datetime64("20000-01-01"), np.datetime64("20000-01-01T00:00"), np.datetime64("-0044-03-15")],
        postgres=["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"],
    ),
    kind(
        "B4 days that Python has not",
        "joined",
        REJECTED,
        list=[np.datetime64("20000-01-01"), np.datetime64("0000-01-01")],
        postgres=["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"],
        mariadb=["0000-00-00", "2025-00-15"],
        parquet=[6_585_335, -800_000],
    ),
    kind(
        "B4 local times that Python has not",
        "local",
        REJECTED,
        # The first day of the year 1 begins in Kolkata when it is still the year 0 in UTC.
        list=[datetime(1, 1, 1), np.datetime64("20000-01-01T00:00:00.000001")],
        postgres=[
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00 BC",
            "10000-01-01 00:00:00",
            "0001-01-01 00:00:00",
        ],
        mariadb=["0001-01-01 00:00:00", "0000-00-00 00:00:00"],
        parquet=[BEYOND * 10**6, -70_000_000_000 * 10**6],
    ),
    kind(
        "B4 an array of such",
        "moments",
        REJECTED,
        postgres=["{infinity}", "{2025-01-01 00:00:00+00,-infinity}"],
    ),
    kind("B4 days of numpy", "joined", "2025-12-31", list=[np.datetime64("2025-12-31"), date(2025, 12, 31)]),
    kind(
        "B5 array of objects with instants",
        "orders",
        [{"sku": "a", "at": INSTANT}],
        list=[
            [{"sku": "a", "at": NANOSECONDS}],
            [{"sku": "a", "at": datetime(2025, 1, 1, 5, 30), "qty": float("nan")}],
        ],
        json=[
            [{"sku": "a", "at": "2025-01-01T00:00:00.000Z"}],
            [{"sku": "a", "at": "2025-01-01T05:30:00+05:30"}],
        ],
        parquet=[[{"sku": "a", "at": INSTANT_NS}]],
    ),
    kind(
        "B6 time as text",
        "clock",
        "10:30:00",
        list=[time(10, 30)],
        postgres=["10:30:00"],
        parquet=[time(10, 30)],
    ),
    kind(
        "B7 dates in another form",
        "note",
        REJECTED,
        everywhere=[
            "31/12/2025",
            "12/31/2025 10:00",
            "2025/12/31",
            " 2025-12-31",
            "31-12-2025",
            "31.12.2025 10:00:00",
            "2025-12-31 10:00:00",
            "2025-12-31T10:00",
            "2025-02-30",
            "1/2/2025",
            "12/31/2025 10:00 PM",
            "2025-12-31T10:00:00",
            "2025/12/31 10:00:00",
            "31 Dec 2025",
            "December 31, 2025",
            "31-DEC-2025 10:00",
        ],
    ),
    kind(
        "B7 texts that are no dates",
        "note",
        "Invoice of 31/12/2025",
        everywhere=["Invoice of 31/12/2025"],
    ),
    kind("B7 such a number", "note", "2025", everywhere=["2025"]),
    kind(
        "B7 instants in ISO 8601",
        "note",
        INSTANT,
        everywhere=[
            "2025-01-01T00:00:00.000Z",
            "2025-01-01T00:00:00.123456Z",
            "2025-01-01T05:30:00+05:30",
            "2024-12-31T19:00:00.999-05:00",
            "2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00+00:00",
        ],
    ),
    kind(
        "B7 such instants in an object",
        "box",
        {"a": 1, "b": INSTANT},
        json=[{"a": 1, "b": "2025-01-01T05:30:00+05:30"}, {"b": "2025-01-01T00:00:00.5Z", "a": 1}],
    ),
    kind(
        "B7 such dates in an object",
        "box",
        REJECTED,
        json=[{"b": "31/12/2025"}, {"c": {"e": "2025-12-31 10:00"}}],
    ),
    kind(
        "B7 such dates in an array",
        "tags",
        REJECTED,
        json=[["31/12/2025", "1/12/2025"]],
        postgres=["{31/12/2025}"],
        parquet=[["31/12/2025"]],
    ),
    kind("B7 a form that types names", "renews", "2025-12-31T04:30:00Z", everywhere=["31/12/2025 10:00"]),
    kind("B7 not in that form", "renews", REJECTED, everywhere=["12/31/2025 10:00", "31.12.2025", "soon"]),
    kind("B7 a day that types names", "starts", "2025-12-31", everywhere=["31.12.2025"]),
    kind(
        "B7 epoch seconds and milliseconds",
        "epoch",
        INSTANT,
        list=[
            1735689600,
            1735689600123,
            1735689600.0,
            np.int64(1735689600),
            Decimal(1735689600),
            "1735689600",
        ],
        ndjson=[1735689600, 1735689600123, 1735689600.5, "1735689600", "1735689600123"],
        parquet=[1735689600, 1735689600123],
        everywhere=["1735689600", "1735689600123"],
    ),
    kind(
        "B7 datetimes of all sorts",
        "seen",
        INSTANT,
        csv=[
            "2025-01-01 05:30",
            "2025-01-01T05:30:00",
            "2025-01-01 00:00:00+00:00",
            "2025-01-01T00:00:00.1Z",
            "1735689600",
            "1735689600999",
        ],
    ),
    kind("B7 no datetime", "seen", REJECTED, csv=["31/12/2025", "2025-02-30", "soon", "2025-01-01 25:00"]),
]
