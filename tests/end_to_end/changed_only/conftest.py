from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.s3_server import S3Server

PLACES = ("local", "s3")


@pytest.fixture(params=PLACES)
def root(request: pytest.FixtureRequest, lake: S3Server, tmp_path: Path) -> str:
    """The URL of a folder for snapshots: on a disk, and in an object store."""
    return "s3://lake_conn@lake/moengage" if request.param == "s3" else f"file://{tmp_path}/moengage"
