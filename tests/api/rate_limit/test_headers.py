"""What the headers say: every documented spelling is read, and nonsense counts as absent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"x-ratelimit-limit": "31500; w=60", "x-ratelimit-remaining": "31499", "x-ratelimit-reset": "29"},
            RateHeaders(31500, 60.0, 31499, 29.0),
        ),
        ({"x-ratelimit-limit": "5, 5;w=60"}, RateHeaders(limit=5, period=60.0)),
        ({"x-ratelimit-limit": "100, 100;w=60, 5000;w=3600"}, RateHeaders(limit=100, period=60.0)),
        ({"x-ratelimit-limit": "10000"}, RateHeaders(limit=10000)),
        ({"x-ratelimit-reset": "1700000030"}, RateHeaders(reset=30.0, by_clock=True)),
        ({"x-ratelimit-reset": "1699999990"}, RateHeaders(by_clock=True)),
        ({"x-ratelimit-reset": "0"}, RateHeaders(reset=0.0)),
        ({"retry-after": "7", "x-ratelimit-reset": "29"}, RateHeaders(reset=29.0, retry_after=7.0)),
        (
            {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-ratelimit-reset": "29"},
            RateHeaders(reset=29.0),
        ),
        ({"x-ratelimit-remaining": "-3"}, RateHeaders(remaining=0)),
        (
            {"x-ratelimit-limit": "soon", "x-ratelimit-remaining": "", "x-ratelimit-reset": "nan"},
            RateHeaders(),
        ),
        ({"x-ratelimit-limit": "0; w=0"}, RateHeaders()),
        ({"x-ratelimit-limit": "1e4"}, RateHeaders(limit=10000)),
        ({"x-ratelimit-limit": "1.5E3; w=60"}, RateHeaders(limit=1500, period=60.0)),
        ({"x-ratelimit-limit": "10.0"}, RateHeaders(limit=10)),
        ({"x-ratelimit-limit": "100;w=60;burst=5"}, RateHeaders(limit=100, period=60.0)),
        ({"x-ratelimit-limit": "100; burst=5; W = 60"}, RateHeaders(limit=100, period=60.0)),
        ({"x-ratelimit-limit": "100,100;w=60"}, RateHeaders(limit=100, period=60.0)),
        *(
            ({"x-ratelimit-limit": text, "x-ratelimit-remaining": text}, RateHeaders())
            for text in [
                "10,000",
                "1,000,000",
                "1'000",
                "10_000",
                "10k",
                "0x10",
                "ten",
                "inf",
                "nan",
                "1e999",
                "\xb2",
            ]
        ),
        *(
            ({"x-ratelimit-limit": text}, RateHeaders())
            for text in ["10,000;w=60", "10 000", "1.5", "-5", "1e-4", "10/60", "5, ", ",5", "5, 6", ";w=60"]
        ),
        ({"x-ratelimit-remaining": "1e4"}, RateHeaders(remaining=10000)),
        ({"x-ratelimit-remaining": "12.0"}, RateHeaders(remaining=12)),
        ({"x-ratelimit-remaining": "-1e3"}, RateHeaders(remaining=0)),
        ({"x-ratelimit-reset": "1_0", "retry-after": "1e1"}, RateHeaders(retry_after=10.0)),
        ({}, RateHeaders()),
    ],
)
def test_every_spelling_of_the_headers_is_read_and_nonsense_counts_as_absent(headers, expected):
    assert RateHeaders.parse(headers, now=1_700_000_000.0) == expected


@given(
    st.dictionaries(
        st.sampled_from(["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text()
    )
)
def test_no_header_text_is_an_error(headers):
    RateHeaders.parse(headers, now=1_700_000_000.0)
