"""A MoEngage workspace: its address, its credentials and its rate limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.secret import Secret

#: The data centres that MoEngage's OpenAPI document lists, with their regions if published.
DATA_CENTERS: Mapping[str, str] = MappingProxyType(
    {
        "01": "US",
        "02": "EU",
        "03": "India",
        "04": "US",
        "05": "Singapore",
        "06": "Indonesia",
        "101": "region unpublished",
    }
)
DEFAULT_TIMEOUT = 30.0
#: The credentials: their names in the dashboard and in a connection, and what to copy from the dashboard.
CREDENTIALS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "app_id": ("the Workspace ID (the connection's login)", "it"),
        "api_key": ("the Data API key (the connection's password)", "the key of the Data tile"),
    }
)


def is_loopback(host: str) -> bool:
    """
    Whether a host is this machine: ``localhost``, an address of 127.0.0.0/8 as it is usually written, or ``::1``.

    Other spellings of such addresses are treated as any other host, since their meaning depends on the reader.
    """
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback if isinstance(address, IPv4Address) else address == IPv6Address("::1")


def normalize_data_center(value: object) -> str:
    """
    Normalize ``1``, ``01``, ``DC01`` and ``dc-01`` to ``01``.

    :raises MoEngageParameterError: the data centre is unknown; data cannot move between centres, so there is
        no fallback.
    """
    digits = re.fullmatch(r"(?:dc[-_ ]?)?0*(\d+)", str(value).strip().lower())
    name = digits[1].zfill(2) if digits else ""
    if name not in DATA_CENTERS:
        raise MoEngageParameterError(
            f"the data centre (extra data_center) is {value!r}, which is unknown; use one of {_known_data_centers()}"
        )
    return name


def _known_data_centers() -> str:
    return ", ".join(f"{number} ({region})" for number, region in DATA_CENTERS.items())


@dataclass(frozen=True)
class Workspace:
    """
    One workspace and its settings.

    :param app_id: the Workspace ID (older name: App ID).
    :param api_key: the key of the dashboard's *Data* tile.
    :param data_center: ``01`` … ``06`` or ``101``; required unless ``host`` is given.
    :param host: replaces ``https://api-{data_center}.moengage.com``: a sandbox or a proxy, with or without a
        scheme and a port; the default scheme is https, on loopback http.
    :param project_code: the project of a Portfolio workspace; sent with every request.
    :param forwarded_for: value of ``X-Forwarded-For``, for workspaces with an IP allow-list.
    :param limits: units per minute by a quota's name, if they differ from MoEngage's defaults.
    :param rate_limit_share: the fraction of every window that this client may use, above 0 and up to 1.
    :param timeout: seconds to wait for a response.
    :param allow_http: permits plain http to a host that is not loopback.
    :raises MoEngageParameterError: a value is missing or not allowed.
    """

    app_id: str
    api_key: str = field(repr=False)
    data_center: str | None = None
    host: str | None = None
    project_code: str | None = None
    forwarded_for: str | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    rate_limit_share: float = 1.0
    timeout: float = DEFAULT_TIMEOUT
    allow_http: bool = False
    base_url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_key", Secret(self.api_key or ""))
        for name, (described, copied) in CREDENTIALS.items():
            value = getattr(self, name)
            if not value or not value.isascii() or not value.isprintable() or value != value.strip():
                raise MoEngageParameterError(
                    f"{described} is "
                    f"{'missing' if not value else 'not plain ASCII text without spaces around it'}; "
                    f"copy {copied} from MoEngage's Settings > Account > APIs"
                )
        if ":" in self.app_id:
            raise MoEngageParameterError(
                f"{CREDENTIALS['app_id'][0]} holds a ':', which HTTP Basic authentication does not allow"
            )
        if self.data_center is not None:
            object.__setattr__(self, "data_center", normalize_data_center(self.data_center))
        if not 0 < self.rate_limit_share <= 1:
            raise MoEngageParameterError(
                f"extra rate_limit_share is {self.rate_limit_share!r}; use a number above 0 and up to 1"
            )
        if not 0 < self.timeout < float("inf"):
            raise MoEngageParameterError(
                f"extra timeout is {self.timeout!r}; use a number of seconds above 0"
            )
        if self.forwarded_for and not re.fullmatch(
            r"[0-9A-Fa-f:.]+(\s*,\s*[0-9A-Fa-f:.]+)*", self.forwarded_for
        ):
            raise MoEngageParameterError(
                "extra forwarded_for is not an IP address or a comma-separated list of them"
            )
        self._check_limits()
        object.__setattr__(self, "base_url", self._origin() + "/v1")

    def _check_limits(self) -> None:
        for quota, units in self.limits.items():
            if isinstance(units, bool) or not isinstance(units, int) or units < 1:
                raise MoEngageParameterError(
                    f"extra limits[{quota!r}] is {units!r}; use a whole number of units per minute"
                )

    def _origin(self) -> str:
        if not self.host:
            if self.data_center is None:
                raise MoEngageParameterError(
                    f"the data centre (extra data_center) is missing; use one of {_known_data_centers()}: it is "
                    "the number in your dashboard's address, dashboard-01.moengage.com is 01"
                )
            return f"https://api-{self.data_center}.moengage.com"
        return self._origin_of_host(self.host)

    def _origin_of_host(self, host: str) -> str:
        bare = urlsplit(host if "://" in host else f"//{host}")
        try:
            name, port = bare.hostname, bare.port
        except ValueError as error:
            raise MoEngageParameterError(f"host is not a host name or URL: {error}") from None
        if (
            not name
            or "@" in bare.netloc
            or bare.query
            or bare.fragment
            or bare.path.rstrip("/") not in ("", "/v1")
        ):
            raise MoEngageParameterError(
                "host must be a host name, with an optional scheme and port and nothing else; /v1 is added to it"
            )
        loopback = is_loopback(name)
        scheme = bare.scheme or ("http" if loopback else "https")
        if scheme not in ("http", "https"):
            raise MoEngageParameterError(f"host has the scheme {scheme!r}; use https or http")
        if scheme == "http" and not loopback and not self.allow_http:
            raise MoEngageParameterError(
                f"host {name!r} would be reached over plain http, which shows the key to the network; use https, "
                "or set the extra allow_http if that is what you want"
            )
        if ":" in name:
            name = f"[{name}]"
        return f"{scheme}://{name}" + (f":{port}" if port else "")

    @property
    def location(self) -> str:
        """Return where requests go, for logs: ``in data centre 03 (India)`` or ``at 127.0.0.1:8095``."""
        if self.host or self.data_center is None:
            return f"at {urlsplit(self.base_url).netloc}"
        return f"in data centre {self.data_center} ({DATA_CENTERS[self.data_center]})"

    def limit(self, quota: Quota) -> int:
        """Return the units per minute of a quota, which response headers may override."""
        return self.limits.get(quota.name, quota.per_minute)
