from __future__ import annotations

from tests.end_to_end.tracker import track

__all__ = ["track"]
