"""Spellings of platforms, which differ between MoEngage's enums, its samples, and the rows. Sources: Track User, OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def _forms(*forms: str) -> Mapping[str, str]:
    return MappingProxyType({form.casefold(): form for form in forms})


USER_PLATFORMS = _forms("ANDROID", "iOS", "web")
DEVICE_PLATFORMS = _forms("ANDROID", "iOS", "web", "TV")
EVENT_PLATFORMS = _forms("ANDROID", "iOS", "web", "TV", "unknown")
TV_SYSTEMS = _forms("ROKU", "WebOS", "AndroidTV", "tvOS", "Tizen", "FireOS", "VizioTV", "Xbox")
_SWITCHES = _forms("true", "false")


def as_documented(value: Any, forms: Mapping[str, str]) -> Any:
    """
    Return a word, whatever its case, in the documented form; anything else unchanged.

    :param forms: the documented form of each word, by the casefolded word.
    """
    return forms.get(value.strip().casefold(), value) if isinstance(value, str) else value


def users_platforms(value: Any) -> Any:
    """Return a user's ``platforms`` with ``platform`` and ``active`` in the documented form; the rest unchanged."""
    if not isinstance(value, list):
        return value
    return [_users_platform(one) if isinstance(one, dict) else one for one in value]


def _users_platform(one: dict[Any, Any]) -> dict[Any, Any]:
    changed = dict(one)
    if "platform" in one:
        changed["platform"] = as_documented(one["platform"], USER_PLATFORMS)
    if "active" in one:
        active = one["active"]
        changed["active"] = as_documented(str(active) if isinstance(active, bool) else active, _SWITCHES)
    return changed
