"""The pictures of the documentation; ``make pictures`` takes them, under a real Airflow and in a real Chromium."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from random import Random

import pytest

from faults import pictures
from faults.palette import COLOURS, SIGNATURE, to_png
from tests.support.dag_runs import ROOT, airflow_environment, run_program
from tests.test_docs import PAGES

TAKEN = sorted(pictures.FOLDER.glob("*.png"))
Pixel = tuple[int, int, int]


def chunks_of(png: bytes) -> dict[bytes, bytes]:
    """Read the chunks of a PNG by their kinds, and check their sums."""
    assert png.startswith(SIGNATURE)
    chunks, at = {}, len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += length + 12
    return chunks


def pixels_of(png: bytes) -> list[Pixel]:
    """Read the pixels of a PNG with a palette and no filters."""
    chunks = chunks_of(png)
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 3, 0, 0, 0]
    palette = [tuple(chunks[b"PLTE"][at : at + 3]) for at in range(0, len(chunks[b"PLTE"]), 3)]
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (width + 1)
    return [palette[place] for row in range(height) for place in rows[row * (width + 1) + 1 :][:width]]


def rgba(pixels: list[Pixel]) -> bytes:
    return b"".join(bytes((*pixel, 255)) for pixel in pixels)


def test_every_picture_is_on_a_page():
    pages = "".join(page.read_text() for page in PAGES)
    assert TAKEN
    assert [picture.name for picture in TAKEN if f"assets/pictures/{picture.name})" not in pages] == []


def test_pictures_are_small_and_hold_nothing_but_pixels():
    sizes = [picture.stat().st_size for picture in TAKEN]
    assert max(sizes) < 150_000
    assert sum(sizes) < 600_000
    for picture in TAKEN:
        assert list(chunks_of(picture.read_bytes())) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]


def test_a_picture_of_few_colours_keeps_each():
    shown = [(red, 7, 255 - red) for red in range(COLOURS)] * 3
    assert pixels_of(to_png(rgba(shown), 48)) == shown


def test_a_picture_of_many_colours_keeps_its_areas_and_is_close_elsewhere():
    random = Random(3)
    background, accent = (246, 247, 249), (37, 99, 201)
    edges = [(random.randrange(256), random.randrange(256), random.randrange(256)) for _ in range(2_000)]
    shown = [*[background] * 6_000, *[accent] * 2_000, *edges]
    reduced = pixels_of(to_png(rgba(shown), 100))
    assert reduced[:8_000] == shown[:8_000]
    far = [max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in zip(shown, reduced, strict=True)]
    assert sum(far) / len(edges) < 40


def test_without_a_chromium_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pictures.main() == 1
    assert capsys.readouterr().out.strip().startswith("There is no Chromium with its driver")


@pytest.mark.airflow_3
def test_the_dag_of_the_pictures_parses(tmp_path: Path):
    program = ROOT / "tests" / "example_dags" / "parse.py"
    environment = airflow_environment(tmp_path, PICTURES_STAGING=(tmp_path / "staging").as_uri())
    printed = run_program(sys.executable, program, pictures.DAGS, env=environment)
    outcome = json.loads(printed.splitlines()[-1])
    assert (outcome["dags"], outcome["import_errors"]) == ([pictures.DAG_ID], {})
