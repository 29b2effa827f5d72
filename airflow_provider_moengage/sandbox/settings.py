"""What can be set about a sandbox: at its start, and while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

#: The limits of Bulk Import in two editions.
BULK_LIMITS = {
    "10k/30k": {"bulk_users_per_minute": 10_000, "bulk_events_per_minute": 30_000},
    "60k/60k": {"bulk_users_per_minute": 60_000, "bulk_events_per_minute": 60_000},
}


class SettingsError(ValueError):
    """A setting that does not exist, or a value that it cannot take."""


def _setting(default: Any, help_: str, **rule: Any) -> Any:
    return field(default=default, metadata={"help": help_, **rule})


@dataclass(frozen=True)
class Settings:
    """
    How the sandbox behaves. Limits are MoEngage's documented defaults.

    Units in a window are called "per minute" as MoEngage does; where ``window_seconds`` is not 60 they are
    units per that window.
    """

    users_per_minute: int = _setting(10_000, "users that Track User takes in a window", least=0)
    get_users_per_minute: int = _setting(1_000, "users that Get User takes in a window", least=0)
    events_per_minute: int = _setting(30_000, "events that Create Event takes in a window", least=0)
    devices_per_minute: int = _setting(10_000, "devices that Track Device takes in a window", least=0)
    opt_out_devices_per_minute: int = _setting(1_000, "calls of Device opt-out in a window", least=0)
    merge_users_per_minute: int = _setting(1_000, "pairs that Merge Users takes in a window", least=0)
    delete_users_per_minute: int = _setting(5_000, "calls of Delete User in a window", least=0)
    bulk_users_per_minute: int = _setting(10_000, "users that Bulk Import takes in a window", least=0)
    bulk_events_per_minute: int = _setting(30_000, "events that Bulk Import takes in a window", least=0)
    bulk_devices_per_minute: int = _setting(10_000, "devices that Bulk Import takes in a window", least=0)
    bulk_limits: str = _setting(
        "10k/30k",
        "users and events of Bulk Import in one word; a limit that is given by itself wins",
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
    latency_seconds: float = _setting(0.0, "wait before every call is worked on", least=0)
    seed: int = _setting(0, "makes the faults that have a rate repeatable")
    max_body_bytes: int = _setting(128 * 1024, "longest request body; a longer one is answered 413", least=1)
    max_bulk_bytes: int = _setting(100_000, "longest body of Bulk Import", least=1)
    bulk_strict: bool = _setting(
        True, "Bulk Import refuses a call with a bad element; else it drops the element and answers 200"
    )
    max_user_attributes: int = _setting(256, "custom user attributes in the workspace", least=0)
    object_attributes: bool = _setting(
        False, "the workspace has the feature of object attributes, arrays of them included"
    )
    unset_attributes: bool = _setting(True, "the workspace has the early-access feature of unset_attributes")
    get_user: bool = _setting(True, "Get User is enabled for the workspace")
    identifiers: tuple[str, ...] = _setting(
        (),
        "the identifiers of Identity Resolution, at most five; none: the workspace does not have it",
        most=5,
    )
    project_code: str = _setting("", "the project that calls must name: the workspace is a Portfolio's")
    require_app_key: bool = _setting(False, "refuse calls without the header MOE-APPKEY")
    allowed_ips: tuple[str, ...] = _setting(
        (), "addresses, one of which X-Forwarded-For must hold; none: no allow-listing"
    )
    requests_kept: int = _setting(100_000, "requests remembered for /_sandbox/requests", least=0)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """
        Give these settings with some of them changed.

        :param changes: new values by name; a name that does not exist or a value that does not fit raises
            :class:`SettingsError`.
        """
        word = changes.get("bulk_limits")
        if isinstance(word, str):
            changes = {**BULK_LIMITS.get(word, {}), **changes}
        known = {setting.name: setting for setting in fields(self)}
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise SettingsError(f"unknown settings: {', '.join(unknown)}; known are: {', '.join(known)}")
        return replace(
            self,
            **{
                name: _fitting(name, value, known[name].default, known[name].metadata)
                for name, value in changes.items()
            },
        )

    def as_json(self) -> dict[str, Any]:
        """Give the settings as a JSON object, the words that stand for others left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name != "bulk_limits"
        }


def _fitting(name: str, value: Any, default: Any, rule: Mapping[str, Any]) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{name} is a list of strings")
        if len(value) > rule.get("most", len(value)):
            raise SettingsError(f"{name} are at most {rule['most']}")
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise SettingsError(f"{name} is of type {type(default).__name__}")
    if "choices" in rule and value not in rule["choices"]:
        raise SettingsError(f"{name} is one of: {', '.join(rule['choices'])}")
    if "least" in rule and not value >= rule["least"]:
        raise SettingsError(f"{name} is at least {rule['least']}")
    if "above" in rule and not value > rule["above"]:
        raise SettingsError(f"{name} is above {rule['above']}")
    return value
