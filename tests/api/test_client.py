from __future__ import annotations

import base64
import json
import threading

import pytest
import requests
from requests_mock import Adapter

from airflow_provider_moengage import __version__
from airflow_provider_moengage.api import client as client_module
from airflow_provider_moengage.api.client import MoEngageClient
from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import (
    MoEngageAuthError,
    MoEngageNetworkError,
    MoEngagePayloadTooLarge,
    MoEngageRateLimited,
    MoEngageRecordRefused,
    MoEngageRequestRefused,
    MoEngageServerError,
    MoEngageStopped,
    MoEngageUnexpectedAnswer,
)
from airflow_provider_moengage.api.http import transport
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.api.workspace import Workspace

URL = "https://api-01.moengage.com/v1/customer/APP"
TRACK_USER = Endpoint("Track User", "/customer/{app_id}", "path")
USERS = {Quota("users", 10_000): 1}
BULK_USERS = Quota("bulk_users", 10_000)
ACCEPTED = {"status": "success", "message": "Your request has been accepted and will be processed soon."}


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Retries pause for no time; the pauses asked for are listed."""
    asked = []
    monkeypatch.setattr(client_module, "FIRST_BACKOFF", 0.0)
    backoff = client_module._backoff

    def spy(failures, retry_after):
        asked.append((failures, retry_after))
        return min(0.01, backoff(failures, retry_after))

    monkeypatch.setattr(client_module, "_backoff", spy)
    return asked


class Answers(Adapter):
    """A transport of requests-mock, in the place of the client's own."""

    def post(self, url, answers=None, **answer):
        self.register_uri("POST", url, answers or [answer])


@pytest.fixture
def requests_mock(monkeypatch):
    answers = Answers()
    monkeypatch.setattr(transport, "BoundedAdapter", lambda connections: answers)
    return answers


def client(**fields) -> MoEngageClient:
    return MoEngageClient(Workspace(**{"app_id": "APP", "api_key": "KEY", "data_center": "01", **fields}))


def outcome_of(requests_mock, *answers):
    requests_mock.post(URL, list(answers))
    return client().send(TRACK_USER, b"{}", USERS)


def test_a_call_carries_the_documented_headers(requests_mock):
    requests_mock.post(URL, json=ACCEPTED)
    exchange = client(forwarded_for="203.0.113.7").send(TRACK_USER, '{"name":"José"}'.encode(), USERS)
    assert isinstance(exchange.outcome, Response)
    sent = requests_mock.last_request
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(b"APP:KEY").decode()
    assert sent.headers["MOE-APPKEY"] == "APP"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["X-Forwarded-For"] == "203.0.113.7"
    assert sent.headers["User-Agent"].startswith(f"airflow-provider-moengage/{__version__} ")
    assert sent.headers["Content-Length"] == str(len(sent.body))
    assert sent.body == '{"name":"José"}'.encode()
    assert sent.query == ""


def test_a_body_of_one_call_is_not_seen_in_the_next(requests_mock):
    requests_mock.post(URL, json=ACCEPTED)
    sender = client()
    sender.send(TRACK_USER, b'{"long": "body"}', USERS)
    sender.send(TRACK_USER, b"{}", USERS)
    assert [(sent.body, sent.headers["Content-Length"]) for sent in requests_mock.request_history] == [
        (b'{"long": "body"}', "16"),
        (b"{}", "2"),
    ]


def test_the_project_code_goes_into_the_query_beside_the_app_id(requests_mock):
    requests_mock.post("https://api-01.moengage.com/v1/some/operation", json=ACCEPTED)
    in_query = Endpoint("Some", "/some/operation", "query")
    client(app_id="A P", project_code="P&1").send(in_query, b"{}", {})
    assert requests_mock.last_request.url.endswith("/some/operation?app_id=A+P&project_code=P%261")


def test_the_credentials_of_a_netrc_file_do_not_replace_the_connections(requests_mock, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api-01.moengage.com login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    requests_mock.post(URL, json=ACCEPTED)
    client().send(TRACK_USER, b"{}", USERS)
    expected = "Basic " + base64.b64encode(b"APP:KEY").decode()
    assert requests_mock.last_request.headers["Authorization"] == expected


def test_proxies_and_ca_settings_of_the_environment_are_honoured(requests_mock, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/company.pem")
    requests_mock.post(URL, json=ACCEPTED)
    client().send(TRACK_USER, b"{}", USERS)
    assert requests_mock.last_request.proxies["https"] == "http://proxy.example.com:3128"
    assert requests_mock.last_request.verify == "/etc/company.pem"


def test_an_answer_must_come_within_the_timeout(requests_mock):
    requests_mock.post(URL, json=ACCEPTED)
    client(timeout=3).send(TRACK_USER, b"{}", USERS)
    assert requests_mock.last_request.timeout == (3, 3)
    client(timeout=120).send(TRACK_USER, b"{}", USERS)
    assert requests_mock.last_request.timeout == (10.0, 120)


@pytest.mark.parametrize(
    "answer",
    [
        {"json": ACCEPTED},
        {"json": {**ACCEPTED, "request_id": "abc"}},
        {"json": {"status": "success", "operation": "created"}},
        {"status_code": 202, "json": ACCEPTED},
    ],
)
def test_a_2xx_that_says_success_is_accepted(requests_mock, answer):
    exchange = outcome_of(requests_mock, answer)
    assert exchange.response().request_id == answer["json"].get("request_id")
    assert (exchange.requests, exchange.unconfirmed) == (1, False)


def refused(kind="MissingAttributeError", **more):
    return {
        "status": "fail",
        "error": {"message": "name is expected to be string", "type": kind, "request_id": "r1", **more},
    }


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 400, "json": refused()}, MoEngageRecordRefused),
        ({"status_code": 400, "text": ""}, MoEngageRecordRefused),
        ({"status_code": 200, "json": refused()}, MoEngageRecordRefused),
        ({"status_code": 200, "json": {"status": "FAIL"}}, MoEngageRecordRefused),
        ({"status_code": 413, "json": refused("Payload too large")}, MoEngagePayloadTooLarge),
        ({"status_code": 400, "json": refused("InvalidParams")}, MoEngageRequestRefused),
        ({"status_code": 400, "json": refused(" PARAMSREQUIRED ")}, MoEngageRequestRefused),
        ({"status_code": 400, "json": refused("Blacklisted")}, MoEngageRequestRefused),
        ({"status_code": 400, "json": refused("missing Header Value")}, MoEngageRequestRefused),
        ({"status_code": 200, "json": refused("Blacklisted")}, MoEngageRequestRefused),
        ({"status_code": 401, "json": refused()}, MoEngageAuthError),
        (
            {"status_code": 403, "json": {"error": "IP Validation Required", "message": "x"}},
            MoEngageAuthError,
        ),
        ({"status_code": 409, "text": "<html>"}, MoEngageAuthError),
        ({"status_code": 415, "json": refused()}, MoEngageUnexpectedAnswer),
        ({"status_code": 302, "headers": {"Location": URL + "x"}}, MoEngageUnexpectedAnswer),
        ({"status_code": 404, "text": "nothing here"}, MoEngageUnexpectedAnswer),
        ({"status_code": 418, "text": ""}, MoEngageUnexpectedAnswer),
        ({"status_code": 200, "text": "<html>Welcome</html>"}, MoEngageUnexpectedAnswer),
        ({"status_code": 200, "text": ""}, MoEngageUnexpectedAnswer),
        ({"status_code": 200, "json": ["success"]}, MoEngageUnexpectedAnswer),
    ],
)
def test_what_a_repetition_would_not_mend_is_sent_once(requests_mock, answer, kind):
    exchange = outcome_of(requests_mock, answer)
    assert type(exchange.outcome) is kind
    assert exchange.requests == 1
    with pytest.raises(kind):
        exchange.response()


@pytest.mark.parametrize(
    ("body", "kind", "message", "request_id"),
    [
        (refused(), "MissingAttributeError", "name is expected to be string", "r1"),
        ({"status": "fail", "request_id": "r2", "error": {"type": "T"}}, "T", None, "r2"),
        ({"status": "fail", "title": "Bad", "description": "why"}, "Bad", "why", None),
        ({"status": "fail", "error_type": "NOT_FOUND", "message": "why"}, "NOT_FOUND", "why", None),
        ({"error": "anna is no valid id"}, None, "anna is no valid id", None),
        ({"status": "fail", "error": {"type": ["odd"], "message": {"odd": 1}}}, None, None, None),
    ],
)
def test_type_message_and_request_id_are_found_where_each_edition_puts_them(
    requests_mock, body, kind, message, request_id
):
    error = outcome_of(requests_mock, {"status_code": 400, "json": body}).outcome
    assert (error.type, error.message, error.request_id) == (kind, message, request_id)


def test_the_error_type_of_an_unlisted_address_is_found_outside_an_object(requests_mock):
    body = {"error": "IP Validation Required", "message": "why"}
    error = outcome_of(requests_mock, {"status_code": 403, "json": body}).outcome
    assert (error.type, error.message) == ("IP Validation Required", "why")


def test_the_text_of_an_answer_that_is_no_json_is_kept_and_capped(requests_mock):
    error = outcome_of(requests_mock, {"status_code": 404, "text": "x" * 10_000}).outcome
    assert error.message == "x" * 500


def test_texts_of_errors_hold_no_key(requests_mock):
    error = outcome_of(requests_mock, {"status_code": 401, "json": refused()}).outcome
    assert "KEY" not in f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_server_errors_are_repeated_five_times_with_growing_pauses(requests_mock, status, pauses):
    exchange = outcome_of(requests_mock, {"status_code": status, "text": "<html>Bad gateway</html>"})
    assert type(exchange.outcome) is MoEngageServerError
    assert (exchange.requests, exchange.unconfirmed) == (6, False)
    assert [failures for failures, _ in pauses] == [1, 2, 3, 4, 5]


def test_pauses_double_from_two_seconds_and_are_spread(monkeypatch):
    monkeypatch.undo()
    for failures, pause in enumerate([2, 4, 8, 16, 30, 30], start=1):
        assert 0.75 * pause <= client_module._backoff(failures, None) <= 1.25 * pause
    assert client_module._backoff(1, 20.0) == 20.0
    assert client_module._backoff(1, 86400.0) == 60.0


def test_what_passes_by_itself_ends_in_an_answer(requests_mock):
    exchange = outcome_of(
        requests_mock,
        {"status_code": 503},
        {"exc": requests.ReadTimeout},
        {"status_code": 500},
        {"json": ACCEPTED},
    )
    assert isinstance(exchange.outcome, Response)
    assert (exchange.requests, exchange.unconfirmed) == (4, True)


@pytest.mark.parametrize(
    ("error", "maybe_processed"),
    [
        (requests.ReadTimeout, True),
        (requests.ConnectionError, True),
        (requests.exceptions.ChunkedEncodingError, True),
        (requests.ConnectTimeout, False),
    ],
)
def test_a_request_without_an_answer_may_have_arrived_unless_nobody_was_there(
    requests_mock, error, maybe_processed
):
    exchange = outcome_of(requests_mock, {"exc": error})
    assert type(exchange.outcome) is MoEngageNetworkError
    assert "check the network" in str(exchange.outcome)
    assert (exchange.requests, exchange.unconfirmed) == (6, maybe_processed)


def test_a_closed_port_means_that_nothing_arrived():
    sender = MoEngageClient(Workspace(app_id="APP", api_key="KEY", host="127.0.0.1:9"))
    exchange = sender.send(TRACK_USER, b"{}", USERS)
    assert type(exchange.outcome) is MoEngageNetworkError
    assert not exchange.unconfirmed


def test_a_429_waits_for_its_window_and_counts_against_nothing(requests_mock, pauses):
    spent = {"status_code": 429, "text": "", "headers": {"x-ratelimit-reset": "0"}}
    # One more than the repetitions of a request; each waits twice as long as the one before.
    exchange = outcome_of(requests_mock, *[spent] * 6, {"json": ACCEPTED})
    assert isinstance(exchange.outcome, Response)
    assert exchange.requests == 7
    assert pauses == []


def test_five_windows_of_429_end_the_request(requests_mock):
    spent = {
        "status_code": 429,
        "text": "",
        "headers": {"x-ratelimit-limit": "5;w=0.1", "x-ratelimit-reset": "1"},
    }
    exchange = outcome_of(requests_mock, spent)
    assert type(exchange.outcome) is MoEngageRateLimited
    assert exchange.requests >= 5


def test_a_429_of_an_endpoint_without_a_window_is_repeated_like_a_server_error(requests_mock):
    requests_mock.post("https://api-01.moengage.com/v1/x", status_code=429)
    exchange = client().send(Endpoint("X", "/x", "query"), b"{}", {})
    assert type(exchange.outcome) is MoEngageRateLimited
    assert exchange.requests == 6


def test_nothing_is_sent_once_the_run_is_halted(requests_mock):
    requests_mock.post(URL, json=ACCEPTED)
    halt = threading.Event()
    halt.set()
    exchange = client().send(TRACK_USER, b"{}", USERS, halt)
    assert type(exchange.outcome) is MoEngageStopped
    assert (exchange.requests, requests_mock.called) == (0, False)


def test_a_halt_ends_the_pause_before_a_repetition(requests_mock, monkeypatch):
    halt = threading.Event()
    monkeypatch.setattr(client_module, "_backoff", lambda failures, retry_after: 3600.0)

    def fail(request, context):
        halt.set()
        context.status_code = 500
        return ""

    requests_mock.post(URL, text=fail)
    exchange = client().send(TRACK_USER, b"{}", USERS, halt)
    assert type(exchange.outcome) is MoEngageServerError
    assert exchange.requests == 1


def test_the_connection_test_sends_the_documented_body_and_is_not_repeated(requests_mock):
    url = "https://api-01.moengage.com/v1/integrations/authentication"
    requests_mock.post(url, json={"status": "success", "app_name": "Shop"})
    assert client().test_connection().body["app_name"] == "Shop"
    assert json.loads(requests_mock.last_request.body) == {
        "app_id": "APP",
        "app_secret": "KEY",
        "source": "airflow",
        "region": "01",
    }
    assert requests_mock.last_request.headers["MOE-APPKEY"] == "APP"
    requests_mock.post(url, status_code=500)
    with pytest.raises(MoEngageServerError):
        client().test_connection()
    assert requests_mock.call_count == 2


def test_a_client_closes_its_connections():
    with client() as sender:
        assert sender.windows.throttled_seconds == 0


def test_only_retry_after_and_not_the_windows_reset_lengthens_the_pause(requests_mock, pauses):
    rate = {"x-ratelimit-limit": "10; w=60", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "59"}
    outcome_of(
        requests_mock,
        {"status_code": 500, "headers": rate},
        {"status_code": 503, "headers": {**rate, "retry-after": "7"}},
        {"json": ACCEPTED},
    )
    assert pauses == [(1, None), (2, 7.0)]


def test_a_request_that_no_window_can_hold_is_given_back(requests_mock):
    small = {"x-ratelimit-limit": "10; w=1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}
    requests_mock.post(URL, [{"status_code": 429, "headers": small}])
    sender = client()
    assert not sender.windows.exceeds({BULK_USERS: 11})
    exchange = sender.send(TRACK_USER, b"{}", {BULK_USERS: 11})
    assert type(exchange.outcome) is MoEngageRateLimited
    assert exchange.requests == 1
    assert sender.windows.exceeds({BULK_USERS: 11})
