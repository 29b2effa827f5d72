from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.workspace import Workspace, normalize_data_center


def workspace(**fields):
    return Workspace(**{"app_id": "APP", "api_key": "KEY", "data_center": "01", **fields})


@pytest.mark.parametrize("spelling", ["1", "01", "DC01", "dc-01", "dc_1", " Dc 01 ", 1])
def test_every_spelling_of_a_data_centre_is_one_host(spelling):
    assert normalize_data_center(spelling) == "01"
    assert workspace(data_center=spelling).base_url == "https://api-01.moengage.com/v1"


def test_every_documented_data_centre_is_known():
    for number in ("01", "02", "03", "04", "05", "06", "101"):
        assert workspace(data_center=number).base_url == f"https://api-{number}.moengage.com/v1"


@pytest.mark.parametrize("unknown", ["eu", "07", "", "1.0", "01x", "-1", "1001"])
def test_an_unknown_data_centre_is_an_error_that_names_the_known_ones(unknown):
    with pytest.raises(
        MoEngageParameterError, match=r"\(extra data_center\) is .* unknown; use one of 01 \(US\), 02 \(EU\)"
    ):
        workspace(data_center=unknown)


def test_without_data_centre_and_host_there_is_nowhere_to_send():
    with pytest.raises(MoEngageParameterError, match=r"\(extra data_center\) is missing; use one of 01"):
        workspace(data_center=None)


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("127.0.0.1:8095", "http://127.0.0.1:8095/v1"),
        ("localhost", "http://localhost/v1"),
        ("http://127.0.0.1:8095/", "http://127.0.0.1:8095/v1"),
        ("http://[::1]:8095", "http://[::1]:8095/v1"),
        ("proxy.example.com", "https://proxy.example.com/v1"),
        ("https://proxy.example.com:8443", "https://proxy.example.com:8443/v1"),
        ("https://proxy.example.com/v1", "https://proxy.example.com/v1"),
    ],
)
def test_a_host_replaces_moengages_own(host, base_url):
    assert workspace(data_center=None, host=host).base_url == base_url


def test_plain_http_beyond_this_machine_must_be_asked_for():
    with pytest.raises(MoEngageParameterError, match="allow_http"):
        workspace(host="http://proxy.example.com")
    assert (
        workspace(host="http://proxy.example.com", allow_http=True).base_url == "http://proxy.example.com/v1"
    )


@pytest.mark.parametrize(
    "host",
    [
        "http://user:pw@localhost",
        "localhost/path",
        "localhost?x=1",
        "ftp://localhost",
        "localhost:99999",
        "http://",
    ],
)
def test_a_host_is_a_host_and_nothing_else(host):
    with pytest.raises(MoEngageParameterError, match="host"):
        workspace(host=host)


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("app_id", r"^the Workspace ID \(the connection's login\) is"),
        ("api_key", r"^the Data API key \(the connection's password\) is"),
    ],
)
@pytest.mark.parametrize("value", ["", " x", "a\nb", "ключ"])
def test_credentials_are_plain_text_and_named_as_in_a_connection(field, named, value):
    with pytest.raises(MoEngageParameterError, match=named):
        workspace(**{field: value})


def test_a_workspace_id_with_a_colon_cannot_be_authenticated():
    with pytest.raises(
        MoEngageParameterError, match=r"the Workspace ID \(the connection's login\) holds a ':'"
    ):
        workspace(app_id="a:b")


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_the_share_of_the_rate_limit_is_above_0_and_up_to_1(share):
    with pytest.raises(MoEngageParameterError, match="rate_limit_share"):
        workspace(rate_limit_share=share)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with pytest.raises(MoEngageParameterError, match="timeout"):
        workspace(timeout=timeout)


def test_limits_are_whole_units():
    assert workspace(limits={"users": 5}).limit(Quota("users", 10_000)) == 5
    assert workspace(limits={"users": 5}).limit(Quota("get_users", 1_000)) == 1000
    for wrong in (0, -1, 1.5, True, "x"):
        with pytest.raises(MoEngageParameterError, match=r"limits\['users'\]"):
            workspace(limits={"users": wrong})


def test_forwarded_for_holds_addresses_and_no_header_tricks():
    assert workspace(forwarded_for="203.0.113.7, 2001:db8::1").forwarded_for
    for wrong in ("somewhere", "1.2.3.4\r\nX-Evil: 1", "1.2.3.4,"):
        with pytest.raises(MoEngageParameterError, match="forwarded_for"):
            workspace(forwarded_for=wrong)


def test_the_key_is_in_no_repr():
    assert "KEY" not in repr(workspace(api_key="KEY"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]"],
)
@pytest.mark.parametrize("port", ["", ":8095"])
def test_loopback_is_reached_over_plain_http(host, port):
    assert workspace(host=host + port).base_url.startswith("http://")
    assert workspace(host=f"http://{host}{port}").base_url.startswith("http://")


@pytest.mark.parametrize(
    "host",
    [
        "127.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "localhost.evil.example",
        "localhost.",
        "localhost.localdomain",
        "ip6-localhost",
        "evil-localhost",
        "0.0.0.0",
        "0",
        "127.1",
        "127.0.1",
        "127.0.0.256",
        "127.000.000.001",
        "0127.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "128.0.0.1",
        "1.127.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "\u0661\u0662\u0667.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
        "\u24db\u24de\u24d2alhost",
        "[::]",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[::1%lo]",
        "[fe80::1]",
    ],
)
def test_what_only_looks_like_loopback_is_reached_over_https(host):
    assert workspace(host=host).base_url.startswith("https://")
    with pytest.raises(MoEngageParameterError, match="plain http"):
        workspace(host=f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "http://localhost@evil.example",
        "http://@evil.example",
        "http://:x@localhost",
        "http://localhost\\@evil.example",
    ],
)
def test_a_host_that_hides_another_one_is_none(host):
    with pytest.raises(MoEngageParameterError, match="host"):
        workspace(host=host)


@settings(deadline=None)
@given(st.from_regex(r"(127|localhost)[.a-z0-9-]{0,20}", fullmatch=True))
def test_plain_http_goes_to_addresses_that_mean_this_machine(host):
    try:
        url = workspace(host=f"http://{host}").base_url
    except MoEngageParameterError:
        return
    name = urlsplit(url).hostname
    assert name == "localhost" or ipaddress.IPv4Address(name) in ipaddress.IPv4Network("127.0.0.0/8")
