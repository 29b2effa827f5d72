"""A file of an object store is read in few requests and with memory that does not grow with its size."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.s3_proxy import Proxy

pytestmark = [
    pytest.mark.volume,
    pytest.mark.skipif(
        not os.path.exists("/proc/self/status"), reason="Linux says how much memory there was"
    ),
]

MB = 1024 * 1024
SMALL, LARGE = 15 * MB, 90 * MB
#: What a file that is six times as large may need more: nothing but chance.
MORE = 24 * MB
READ = """
import json, sys
from threading import Event
from airflow_provider_moengage.delivery.read.files import FileSource

def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

found = []
for size in ("small", "large"):
    rows = 0
    for kind in ("ndjson", "csv", "ndjson.gz", "parquet"):
        source = FileSource(f"s3://weather_conn@lake/{size}.{kind}")
        source.prepare(lambda columns: None, Event())
        rows += sum(1 for _ in source.rows(lambda columns: None))
    found.append((rows, peak()))
print(json.dumps(found))
"""


def repeated(block: bytes, size: int, head: bytes = b"") -> tuple[int, Callable[[int, int], bytes]]:
    """Return an object of about ``size`` bytes: a head, and a block again and again."""
    count, length, begins = size // len(block), len(block), len(head)

    def content(first: int, end: int) -> bytes:
        start = max(first - begins, 0)
        skipped = start // length
        body = block * (max(end - begins, 0) // length - skipped + 1)
        return head[first:end] + body[start - skipped * length : max(end - begins, 0) - skipped * length]

    return begins + count * length, content


def test_memory_does_not_grow_with_the_size_of_an_object(weather: Proxy, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    ids = [hashlib.shake_128(b"%d" % n).hexdigest(60) for n in range(20_000)]
    lines = b"".join(b'{"customer_id": "%s", "plan": "gold"}\n' % one.encode() for one in ids)
    cells = b"".join(b"%s,gold\n" % one.encode() for one in ids)
    group = pyarrow.table({"customer_id": ids, "plan": ids})
    for name, size in (("small", SMALL), ("large", LARGE)):
        path = tmp_path / f"{name}.parquet"
        with parquet.ParquetWriter(path, group.schema, compression="none", use_dictionary=False) as writer:
            while path.stat().st_size < size - group.nbytes:
                writer.write_table(group)
        content = path.read_bytes()
        weather.served |= {
            f"{name}.ndjson": repeated(lines, size),
            f"{name}.csv": repeated(cells, size, b"customer_id,plan\n"),
            f"{name}.ndjson.gz": repeated(gzip.compress(lines, 1), size // 2),
            f"{name}.parquet": (len(content), lambda first, end, content=content: content[first:end]),
        }
    read = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr[-2_000:]
    (few, before), (many, after) = json.loads(read.stdout.splitlines()[-1])
    assert few * 5 < many
    assert after - before < MORE
    for kind, size in (("ndjson", LARGE), ("csv", LARGE), ("ndjson.gz", LARGE // 2), ("parquet", LARGE)):
        gets = sum(request.kind == "GET" and request.key == f"large.{kind}" for request in weather.requests)
        assert gets <= size // (8 * MB) + (10 if kind == "parquet" else 3)
