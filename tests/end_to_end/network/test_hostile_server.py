"""Whatever a server sends, the run ends, its rows add up, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from itertools import repeat

import pytest

from airflow_provider_moengage.api import client, endpoint, errors, workspace
from airflow_provider_moengage.api.http import bounded_response, classify, transport
from airflow_provider_moengage.api.rate_limit import headers
from airflow_provider_moengage.operations import get_users
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.hostile import (
    ACCEPTED,
    Script,
    answer,
    chunked,
    connect,
    head,
    run_against,
    serving,
)
from tests.end_to_end.rows import outcome, refused, users
from tests.support.dag_runs import ROOT

__all__ = ["run_against"]

MEGABYTES = 20 * 1024 * 1024
TRIES = 6

LARGE = b'{"status": "success", "more": "' + b"x" * MEGABYTES + b'"}'
GZIPPED = gzip.compress(LARGE)
DEFLATED = zlib.compress(LARGE)
BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BARE_DEFLATED = BARE.compress(LARGE) + BARE.flush()
LINES = [b"a: b\r\n" * 1000]

#: Answers of 200 that are too large, never end, or break their own framing.
NO_ANSWERS: dict[str, Script] = {
    "20 MB": lambda body: answer(LARGE),
    "20 MB without a length": lambda body: [head(), LARGE],
    "20 MB in chunks": lambda body: chunked([LARGE]),
    "a gzip bomb": lambda body: answer(GZIPPED, "Content-Encoding: gzip"),
    "a gzip bomb in chunks": lambda body: chunked([GZIPPED], "Content-Encoding: gzip"),
    "a deflate bomb": lambda body: answer(DEFLATED, "Content-Encoding: deflate"),
    "a bare deflate bomb": lambda body: answer(BARE_DEFLATED, "Content-Encoding: deflate"),
    "endless chunks": lambda body: chunked(repeat(b"x" * 4096)),
    "a length beyond all numbers": lambda body: [head("Content-Length: " + "9" * 40), ACCEPTED],
    "a chunk of all that comes": lambda body: [
        head("Transfer-Encoding: chunked") + b"-1\r\n",
        *repeat(b"x" * 65536, 1000),
    ],
    "a chunk of a negative size": lambda body: [head("Transfer-Encoding: chunked"), b"-5\r\nxxxxx"],
    "a chunk beyond all sizes": lambda body: [head("Transfer-Encoding: chunked"), b"F" * 16 + b"\r\nx"],
    "a chunk of no size": lambda body: [head("Transfer-Encoding: chunked"), b"\xff\r\n"],
    "endless trailers": lambda body: [head("Transfer-Encoding: chunked"), b"0\r\n", *LINES * 2000],
    "a gzip that breaks off": lambda body: answer(gzip.compress(ACCEPTED)[:-9], "Content-Encoding: gzip"),
    "a gzip of one byte": lambda body: answer(b"\x1f", "Content-Encoding: gzip"),
    "a gzip without its sum": lambda body: answer(gzip.compress(ACCEPTED)[:-8], "Content-Encoding: gzip"),
    "a gzip without its last byte": lambda body: answer(
        gzip.compress(ACCEPTED)[:-1], "Content-Encoding: gzip"
    ),
    "a gzip whose chunks end early": lambda body: chunked(
        [gzip.compress(ACCEPTED)[:-9]], "Content-Encoding: gzip"
    ),
    "a deflate that breaks off": lambda body: answer(
        zlib.compress(ACCEPTED)[:-5], "Content-Encoding: deflate"
    ),
    "a bare deflate that breaks off": lambda body: answer(
        zlib.compress(ACCEPTED)[2:-9], "Content-Encoding: deflate"
    ),
    "no gzip": lambda body: answer(ACCEPTED, "Content-Encoding: gzip"),
    "a body that breaks off": lambda body: [head("Content-Length: 500"), ACCEPTED],
    "endless headers": lambda body: [b"HTTP/1.1 200 OK\r\n", *LINES * 1000],
    "an endless header": lambda body: [b"HTTP/1.1 200 OK\r\na: ", *[b"b" * 4096] * 1000],
    "an endless status": lambda body: [b"b" * 4096] * 1000,
    "endless interim answers": lambda body: [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 1000,
    "endless hints": lambda body: [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000] * 1000,
    "an interim answer and no other": lambda body: [b"HTTP/1.1 102 Processing\r\n\r\n"],
    "an interim answer of endless headers": lambda body: [b"HTTP/1.1 103 Early Hints\r\n", *LINES * 1000],
    "two lengths": lambda body: answer(ACCEPTED, "Content-Length: 5"),
    "another protocol": lambda body: [b"HTTP/2 200 OK\r\n\r\n"],
    "bytes": lambda body: [bytes(range(256)) * 10],
    "nothing": lambda body: [],
    "a status that breaks off": lambda body: [b"HTTP/1.1 200 OK"],
    "headers that break off": lambda body: [b"HTTP/1.1 400 Bad Request\r\nContent-Type: text"],
    "headers without an end": lambda body: [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"],
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_whole_answer_is_repeated_and_leaves_the_row_unsent_and_unknown(run, name: str):
    report = run(NO_ANSWERS[name])
    assert outcome(report) == (0, 0, 3)
    assert (report["requests"], report["retried"], report["unknown"]) == (TRIES, TRIES - 1, 1)


@pytest.mark.parametrize("name", ["20 MB", "endless chunks", "a chunk of a negative size"])
def test_an_event_is_not_sent_again_after_no_whole_answer_where_that_is_asked_for(run, name: str):
    events = [{"customer_id": "a1", "actions": [{"action": "bought", "current_time": 1433837969}]}]
    report = run(NO_ANSWERS[name], MoEngageTrackEventsOperator, events=events, on_unknown="reject")
    assert outcome(report) == (0, 1, 0)
    assert (report["requests"], report["unknown"]) == (1, 1)


def drip(body: bytes, *, first: bytes, more: bytes) -> Iterator[bytes]:
    """Send a little, long before any read times out, for ever."""
    yield first
    pause = threading.Event()
    while not pause.wait(0.02):
        yield more


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (head("Content-Length: 100000"), b"x"),
        (head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
        (head(), b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["body", "chunks", "body without a length", "header", "headers", "interim answers", "hints"],
)
def test_an_answer_that_drips_ends_with_the_timeout(run, first: bytes, more: bytes):
    # One request, so that its time-out can be long enough for a busy machine to connect and to send it.
    events = [{"customer_id": "a1", "actions": [{"action": "bought", "current_time": 1433837969}]}]
    report = run(
        lambda body: drip(body, first=first, more=more),
        MoEngageTrackEventsOperator,
        timeout=1.0,
        events=events,
        on_unknown="reject",
    )
    assert outcome(report) == (0, 1, 0)
    assert (report["requests"], report["unknown"]) == (1, 1)


def test_an_answer_that_comes_in_pieces_is_read(run):
    def script(body: bytes) -> Iterator[bytes]:
        for piece in answer(ACCEPTED):
            threading.Event().wait(0.1)
            yield piece

    assert outcome(run(script)) == (3, 0, 0)


@pytest.mark.parametrize(
    "status", ["100 Continue", "102 Processing", "103 Early Hints", "110 Odd", "199 Odd"]
)
@pytest.mark.parametrize(
    "headers", [(), ("Link: </a>; rel=preload", "Content-Length: 5", "Connection: close")]
)
def test_interim_answers_are_skipped(run, status: str, headers: tuple[str, ...]):
    interim = head(*headers, status=status)
    assert outcome(run([interim, *answer(ACCEPTED)])) == (3, 0, 0)
    several = head(status="100 Continue") + interim * 3 + head(status="103 Early Hints")
    report = run([several, *answer(b"", status="401 Unauthorized")])
    assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)


def test_a_change_of_protocol_is_no_interim_answer(run):
    report = run([head("Upgrade: h2c", status="101 Switching Protocols"), *answer(ACCEPTED)])
    assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)


def test_an_error_without_a_body_may_call_itself_compressed(run):
    report = run(answer(b"", "Content-Encoding: gzip", status="401 Unauthorized"))
    assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "GZIP"])
def test_a_compressed_answer_of_a_usual_size_is_read(run, coding: str):
    body = zlib.compress(ACCEPTED) if coding == "deflate" else gzip.compress(ACCEPTED)
    assert outcome(run(answer(body, f"Content-Encoding: {coding}"))) == (3, 0, 0)


@pytest.mark.parametrize(
    ("status", "ends"), [("401 Unauthorized", 1), ("302 Found", 1), ("500 Oops", TRIES), ("429 Wait", None)]
)
def test_an_error_is_known_by_its_status_however_large_its_page_is(run, status: str, ends: int | None):
    calls = iter(range(100))
    script = answer(LARGE, "Retry-After: 0", status=status)
    report = run(lambda body: script if ends or next(calls) == 0 else answer(ACCEPTED))
    assert report["unknown"] == 0
    if ends is None:
        assert (outcome(report), report["retried"]) == ((3, 0, 0), 1)
    else:
        assert (outcome(report), report["requests"]) == ((0, 0, 3), ends)


DEEP = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 80_000 + b"[]]",
        DEEP,
        b"[" * 200_000,
        b'{"status": ' + b"9" * 200_000 + b"}",
        b'{"status": "\xff"}',
        b'{"status": "\\ud800"}',
        b"\x00" * 1000,
    ],
    ids=["lists", "deep", "open", "a huge number", "no UTF-8", "half a character", "zeros"],
)
def test_a_body_that_is_no_json_object_stops_the_run(run, body: bytes):
    report = run(answer(body))
    assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "success", "a": [' + b"[]," * 80_000 + b"[]]}",
        b'{"a": 1, "a": 2, "status": "success"}',
        b'{"status": "success", "request_id": ' + b"9" * 4_000 + b', "a": NaN}',
        b'{"status": "success", "request_id": -Infinity, "a": 1e999999, "b": 0.' + b"3" * 200_000 + b"}",
        b'{"status": "success", "request_id": "' + b"x" * 200_000 + b'"}',
    ],
    ids=["lists", "a name twice", "a large number", "no number", "a long id"],
)
def test_an_odd_json_object_is_an_answer(run, body: bytes):
    assert outcome(run(answer(body))) == (3, 0, 0)


def test_texts_of_an_answer_are_cut_and_cannot_forge_a_line_of_the_log(run, tmp_path):
    error = {
        "type": "Odd\nINFO all is well" + "x" * 50_000,
        "message": "y" * 50_000,
        "request_id": "z" * 50_000,
    }
    body = json.dumps({"status": "fail", "error": error}).encode()
    report = run(answer(body, status="400 No"), max_rejected=3, rejected_path=str(tmp_path))
    (reason,) = report["reasons"]
    assert len(reason) < 200
    assert "\n" not in reason
    line = refused(tmp_path)[0]
    assert {name: len(line[name]) for name in ("code", "request_id")} == {"code": 100, "request_id": 500}
    assert len(line["reason"]) < 1_000


ABSURD = [
    "-1",
    "0",
    "1e308",
    "1e400",
    "9" * 400,
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_0",
    "\xff\xfe",
    " ",
    "1;w=1;w=2",
]


@pytest.mark.parametrize("name", ["x-ratelimit-reset", "x-ratelimit-remaining", "retry-after"])
def test_absurd_rate_headers_neither_break_nor_hold_a_run(run, name: str):
    values = iter(ABSURD * 2)
    report = run(
        # A window of which nothing is left ends after a tenth of a second.
        lambda body: answer(ACCEPTED, "x-ratelimit-limit: 1000; w=0.1", f"{name}: {next(values)}"),
        users=users(len(ABSURD)),
        concurrency=1,
    )
    assert outcome(report) == (len(ABSURD), 0, 0)
    assert report["throttled_seconds"] < 10


@pytest.mark.parametrize("limit", [*ABSURD, "1000; w=0", "1000; w=1e9", "1000; w=999999", "9" * 12])
def test_absurd_limits_neither_break_nor_hold_a_run(run, limit: str):
    report = run(lambda body: answer(ACCEPTED, f"x-ratelimit-limit: {limit}"), users=users(1))
    assert outcome(report) == (1, 0, 0)


@pytest.mark.parametrize("reset", ["1000000000", "9999999999", "999999999999", "999999"])
def test_a_reset_in_years_is_not_slept(run, reset: str):
    calls = iter(range(100))
    full = ("x-ratelimit-limit: 1000; w=0.2", "x-ratelimit-remaining: 0", f"x-ratelimit-reset: {reset}")
    report = run(
        lambda body: (
            answer(b"", *full, f"Retry-After: {reset}", status="429 Wait")
            if next(calls) == 0
            else answer(ACCEPTED)
        )
    )
    assert outcome(report) == (3, 0, 0)
    assert report["throttled_seconds"] < 10


def found(body: bytes, more: int) -> bytes:
    """Answer Get User: everybody is known, with so many bytes of attributes each, and ``big`` with 5 MB."""
    asked = [one["identifier"] for one in json.loads(body)["data"]["identifiers"]]
    return json.dumps(
        {
            "status": "success",
            "data": {
                "users": [
                    {
                        "user_attributes": {
                            "customer_id": one,
                            "bio": "x" * (5_000_000 if one == "big" else more),
                        }
                    }
                    for one in asked
                ]
            },
        }
    ).encode()


def test_users_that_are_too_many_for_one_answer_are_read_in_smaller_calls(run, tmp_path):
    target = tmp_path / "users.ndjson"
    report = run(
        lambda body: answer(found(body, 450_000)),
        MoEngageGetUsersOperator,
        users=[f"user-{number}" for number in range(20)],
        output_path=str(target),
    )
    assert outcome(report) == (20, 0, 0)
    # Twenty, two times ten, four times five.
    assert (report["found"], report["requests"], report["unknown"]) == (20, 7, 0)


@pytest.mark.parametrize("endless", [False, True])
def test_a_user_that_is_too_large_is_refused_and_the_others_are_read(run, tmp_path, endless: bool):
    def script(body: bytes) -> Iterable[bytes]:
        return chunked(repeat(b"x" * 4096)) if endless and b'"big"' in body else answer(found(body, 10))

    report = run(
        script,
        MoEngageGetUsersOperator,
        users=["a1", "big", "a2"],
        output_path=str(tmp_path / "users.ndjson"),
        rejected_path=str(tmp_path / "rejected"),
        max_rejected=1,
    )
    assert outcome(report) == (2, 1, 0)
    (line,) = refused(tmp_path / "rejected")
    assert (line["row"], line["code"]) == ("big", "answer_too_large")
    assert "4,194,304 bytes" in line["reason"]
    assert "fields" in line["reason"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same host", "another host"])
def test_a_redirect_is_not_followed(run, status: int, elsewhere: bool):
    with serving(lambda body: answer(ACCEPTED)) as other:
        location = f"http://127.0.0.1:{other.port}/v1/customer/W" if elsewhere else "/v1/elsewhere"
        report = run(answer(b"", f"Location: {location}", status=f"{status} Moved"))
        assert (outcome(report), report["requests"]) == ((0, 0, 3), 1)
        assert other.asked == []


def test_cookies_are_not_sent_back(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda body: answer(ACCEPTED, "Set-Cookie: session=1; Path=/")) as server:
        connect(monkeypatch, server.port)
        report = MoEngageTrackUsersOperator(task_id="push", users=users(3)).execute({})
        assert outcome(report) == (3, 0, 0)
        assert len(server.asked) == 3
        assert b"cookie" not in b"".join(server.asked).lower()


#: The peak of a process of its own, in megabytes above what it has before the call. Not ru_maxrss: that is inherited.
MEASURE = """
import re, sys
from airflow_provider_moengage.api import client
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.operations import GET_USERS, TRACK_USERS

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

client.MAX_RETRIES = 0
sender = client.MoEngageClient(Workspace(app_id="W", api_key="K", host=f"127.0.0.1:{sys.argv[1]}"))
before = peak()
sender.send((GET_USERS if sys.argv[2] == "get" else TRACK_USERS).endpoint, b"{}", {})
print((peak() - before) // 1024)
"""
BOMB = gzip.compress(b"\0" * 256 * 1024**2)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(
    ("script", "call", "most"),
    [
        (lambda body: answer(BOMB, "Content-Encoding: gzip"), "track", 16),
        (lambda body: answer(BOMB, "Content-Encoding: gzip"), "get", 48),
        (lambda body: [head(), *repeat(b"x" * 65536, 1600)], "track", 16),
        (lambda body: answer(b'{"a": [' + b"[]," * 86_000 + b"[]]}"), "track", 24),
        (lambda body: answer(b'{"a": [' + b"[]," * 1_390_000 + b"[]]}"), "get", 192),
    ],
    ids=["gzip", "gzip, Get User", "endless", "JSON", "JSON, Get User"],
)
def test_no_answer_costs_much_memory(script: Script, call: str, most: int):
    with serving(script) as server:
        command = [sys.executable, "-c", MEASURE, str(server.port), call]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert int(said.stdout) < most


def test_the_limits_of_an_answer_are_documented():
    page = (ROOT / "docs" / "security.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+) ", page, re.MULTILINE))
    modules = (bounded_response, classify, client, endpoint, errors, get_users, headers, transport, workspace)
    named = {
        name: getattr(module, name) for module in modules for name in documented if hasattr(module, name)
    }
    assert {name: float(value.replace(",", "")) for name, value in documented.items()} == named
    assert {"MAX_RESPONSE_BYTES", "MAX_USERS_BYTES", "MAX_HEAD_BYTES", "MAX_WIRE_BYTES"} <= set(documented)
