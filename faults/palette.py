"""Pictures of few bytes: PNG with a palette of 256 colours, which is enough for a page."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

#: Colours of a palette, the maximum of PNG.
COLOURS = 256
SIGNATURE = b"\x89PNG\r\n\x1a\n"

Colours = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def to_png(pixels: bytes, width: int) -> bytes:
    """
    Return a picture as PNG.

    :param pixels: red, green, blue and an opacity that is ignored of each pixel, from left to right, row by row.
    """
    rgb = np.frombuffer(pixels, np.uint8).reshape(-1, 4)[:, :3]
    colours, which, counts = np.unique(rgb, axis=0, return_inverse=True, return_counts=True)
    palette, place = _reduced(colours, counts)
    rows = place[which.reshape(-1)].astype(np.uint8).reshape(-1, width)
    # Each row begins with its filter: none.
    filtered = np.insert(rows, 0, 0, axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(filtered, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _reduced(colours: Colours, counts: Numbers) -> tuple[Colours, Numbers]:
    """
    Return a palette, and the place in it of each colour, by median cut.

    :param counts: the number of pixels of each colour.
    """
    boxes: list[Numbers] = [np.arange(len(colours))]
    while len(boxes) < COLOURS:
        spreads = [np.ptp(colours[box].astype(int), axis=0) for box in boxes]
        # The square root keeps colours of few pixels, such as those of a line.
        scores = [spread.max() * counts[box].sum() ** 0.5 for spread, box in zip(spreads, boxes, strict=True)]
        widest = int(np.argmax(scores))
        if not scores[widest]:
            break
        box = boxes.pop(widest)
        box = box[np.argsort(colours[box][:, spreads[widest].argmax()], kind="stable")]
        pixels = counts[box].cumsum()
        middle = int(np.clip(np.searchsorted(pixels, pixels[-1] / 2), 1, len(box) - 1))
        boxes += [box[:middle], box[middle:]]
    place = np.empty(len(colours), np.int64)
    for number, box in enumerate(boxes):
        place[box] = number
    # The most common colour of a box, and not a mean, so that areas keep theirs.
    return np.stack([colours[box[counts[box].argmax()]] for box in boxes]), place
