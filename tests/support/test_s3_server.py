from __future__ import annotations

from airflow_provider_moengage._compat import object_storage_path
from tests.support.s3_server import S3Server


def test_an_object_storage_path_reaches_the_bucket(lake: S3Server) -> None:
    path = object_storage_path("s3://lake_conn@lake/folder/file")
    with path.open("wb") as stream:
        stream.write(b"content")
    assert lake.objects() == {"folder/file": b"content"}


def test_every_test_begins_with_an_empty_bucket(lake: S3Server) -> None:
    assert lake.objects() == {}
    assert lake.unfinished_uploads() == []
