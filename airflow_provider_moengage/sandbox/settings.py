"""The settings of a sandbox, for its start and while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

#: The limits of Bulk Import in two editions of the documentation.
BULK_LIMITS = {
    "10k/30k": {"bulk_users_per_minute": 10_000, "bulk_events_per_minute": 30_000},
    "60k/60k": {"bulk_users_per_minute": 60_000, "bulk_events_per_minute": 60_000},
}


class SettingsError(ValueError):
    """A setting does not exist, or its value is invalid."""


def _setting(default: Any, help_: str, **rule: Any) -> Any:
    return field(default=default, metadata={"help": help_, **rule})


@dataclass(frozen=True)
class Settings:
    """
    The sandbox's behaviour. Limits are MoEngage's documented defaults.

    Limits are named "per minute" as in MoEngage's documentation, but are units per window of ``window_seconds``.
    """

    users_per_minute: int = _setting(10_000, "users that Track User accepts per window", minimum=0)
    get_users_per_minute: int = _setting(1_000, "users that Get User accepts per window", minimum=0)
    events_per_minute: int = _setting(30_000, "events that Create Event accepts per window", minimum=0)
    devices_per_minute: int = _setting(10_000, "devices that Track Device accepts per window", minimum=0)
    opt_out_devices_per_minute: int = _setting(1_000, "requests of Device opt-out per window", minimum=0)
    merge_users_per_minute: int = _setting(1_000, "pairs that Merge Users accepts per window", minimum=0)
    delete_users_per_minute: int = _setting(5_000, "requests of Delete User per window", minimum=0)
    bulk_users_per_minute: int = _setting(10_000, "users that Bulk Import accepts per window", minimum=0)
    bulk_events_per_minute: int = _setting(30_000, "events that Bulk Import accepts per window", minimum=0)
    bulk_devices_per_minute: int = _setting(10_000, "devices that Bulk Import accepts per window", minimum=0)
    cohort_syncs_per_minute: int = _setting(300, "requests of Cohort sync per window", minimum=0)
    bulk_limits: str = _setting(
        "10k/30k",
        "both limits of Bulk Import, users and events; an explicit limit takes precedence",
        choices=tuple(BULK_LIMITS),
    )
    window_seconds: float = _setting(60.0, "length of the rate window", above=0)
    limit_style: str = _setting(
        "semicolon",
        "how x-ratelimit-limit is spelled: '10; w=60', '10, 10;w=60', '10', or no rate headers at all",
        choices=("semicolon", "comma", "bare", "none"),
    )
    reset_style: str = _setting(
        "ceil",
        "x-ratelimit-reset: seconds rounded up, rounded down, or the epoch second of the reset",
        choices=("ceil", "floor", "epoch"),
    )
    latency_seconds: float = _setting(0.0, "delay before each request is processed", minimum=0)
    ingest_delay_seconds: float = _setting(
        0.0, "delay before Get User shows what Track User or Bulk Import has stored of a user", minimum=0
    )
    bend: tuple[str, ...] = _setting(
        (), "user attributes whose values are stored altered, to test checks of arrival"
    )
    seed: int = _setting(0, "seed of the random choices of faults with a rate")
    max_body_bytes: int = _setting(128 * 1024, "maximum request body; a longer one gets a 413", minimum=1)
    max_bulk_bytes: int = _setting(100_000, "maximum body of Bulk Import", minimum=1)
    bulk_strict: bool = _setting(
        True, "Bulk Import rejects a request with a bad element; off: it drops the element and responds 200"
    )
    max_user_attributes: int = _setting(
        256, "maximum number of custom user attributes in the workspace", minimum=0
    )
    object_attributes: bool = _setting(
        False, "the workspace has object attributes enabled, including arrays of objects"
    )
    unset_attributes: bool = _setting(True, "the workspace has the early-access feature unset_attributes")
    get_user: bool = _setting(True, "Get User is enabled for the workspace")
    identifiers: tuple[str, ...] = _setting(
        (),
        "the identifiers of Identity Resolution, at most five; none: the workspace does not have it",
        maximum=5,
    )
    project_code: str = _setting(
        "", "the project that requests must name, if the workspace belongs to a Portfolio"
    )
    require_app_key: bool = _setting(False, "reject requests without the header MOE-APPKEY")
    allowed_ips: tuple[str, ...] = _setting(
        (), "addresses, one of which X-Forwarded-For must contain; none: no allow-list"
    )
    requests_kept: int = _setting(100_000, "requests logged for /_sandbox/requests", minimum=0)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """
        Return these settings with some of them changed.

        :param changes: new values by name.
        :raises SettingsError: a name does not exist, or a value is invalid.
        """
        preset = changes.get("bulk_limits")
        if isinstance(preset, str):
            changes = {**BULK_LIMITS.get(preset, {}), **changes}
        known = {setting.name: setting for setting in fields(self)}
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise SettingsError(f"unknown settings: {', '.join(unknown)}; known are: {', '.join(known)}")
        return replace(
            self,
            **{
                name: _checked(name, value, known[name].default, known[name].metadata)
                for name, value in changes.items()
            },
        )

    def as_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object, without those that only stand for others."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name != "bulk_limits"
        }


def _checked(name: str, value: Any, default: Any, rule: Mapping[str, Any]) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{name} is a list of strings")
        if len(value) > rule.get("maximum", len(value)):
            raise SettingsError(f"{name} are at most {rule['maximum']}")
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise SettingsError(f"{name} is of type {type(default).__name__}")
    if "choices" in rule and value not in rule["choices"]:
        raise SettingsError(f"{name} is one of: {', '.join(rule['choices'])}")
    if "minimum" in rule and not value >= rule["minimum"]:
        raise SettingsError(f"{name} is at least {rule['minimum']}")
    if "above" in rule and not value > rule["above"]:
        raise SettingsError(f"{name} is above {rule['above']}")
    return value
