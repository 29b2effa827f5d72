"""How the platform of an event or a device is spelled."""

from __future__ import annotations

from collections.abc import Callable

#: What a sample of MoEngage's spells otherwise than its list of platforms does.
OF_SAMPLES = {"Android": "ANDROID"}


def as_listed(platform: str, note: Callable[[str, str], None]) -> str:
    """Return a platform as it is listed; where a sample's spelling was sent, ``note`` is told."""
    listed = OF_SAMPLES.get(platform, platform)
    if listed != platform:
        note("platform", f"taken as {listed}, which is how the platform is listed")
    return listed
