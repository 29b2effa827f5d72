"""The spelling of the platform of an event or a device."""

from __future__ import annotations

from collections.abc import Callable

#: Spellings in MoEngage's samples that differ from its list of platforms.
OF_SAMPLES = {"Android": "ANDROID"}


def as_listed(platform: str, note: Callable[[str, str], None]) -> str:
    """Return a platform in its listed spelling; report a sample's spelling to ``note``."""
    listed = OF_SAMPLES.get(platform, platform)
    if listed != platform:
        note("platform", f"taken as {listed}, which is how the platform is listed")
    return listed
