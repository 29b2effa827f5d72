"""
A server that stands in for S3, for tests.

``from tests.support.s3_server import lake, s3_server`` in a conftest makes the fixtures available; :func:`running_s3` works
without pytest. Each server is a process of its own on a free loopback port, and keeps its objects in memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_moengage._compat import object_storage_path
from tests.support.redis_server import HOST, _free_port

BUCKET = "lake"
CONN_ID = "lake_conn"
START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def connection_json(self) -> str:
        """The value of an ``AIRFLOW_CONN_…`` variable, for Airflow's ``aws`` connection."""
        extra = {"region_name": "us-east-1", "endpoint_url": self.url}
        return json.dumps({"conn_type": "aws", "login": "access", "password": "secret", "extra": extra})

    @property
    def client(self) -> Any:
        """A client of the server's own, which shares no cache with the package."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="access",
            aws_secret_access_key="secret",
        )

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return what is in the bucket: key → content."""
        client = self.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def unfinished_uploads(self) -> list[str]:
        """Return the keys of multipart uploads that were neither completed nor aborted."""
        listed = self.client.list_multipart_uploads(Bucket=BUCKET)
        return [upload["Key"] for upload in listed.get("Uploads", ())]

    def reset(self) -> None:
        """Forget every object, and make the bucket."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=10).close()
        self.client.create_bucket(Bucket=BUCKET)


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """Run a server with an empty bucket until the end of the block."""
    server = S3Server(_free_port())
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(server.port)]
    # A proxy of the caller's environment must not be asked for loopback.
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    server.reset()
                    break
                except (urllib.error.URLError, OSError):
                    if process.poll() is not None or time.monotonic() > deadline:
                        output.seek(0)
                        raise RuntimeError(
                            f"the S3 server does not answer:\n{output.read().decode()}"
                        ) from None
                    time.sleep(0.05)
            yield server
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def lake(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An empty bucket ``lake``, which the Airflow connection ``lake_conn`` leads to."""
    s3_server.reset()
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", s3_server.connection_json)
    # What an earlier test has listed is not what is there now.
    object_storage_path(f"s3://{CONN_ID}@{BUCKET}").fs.invalidate_cache()
    return s3_server
