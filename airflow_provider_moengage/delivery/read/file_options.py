"""How files are read: what of it can be said, and what may be said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.text import UNDECODABLE
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames

#: Bytes of a line of a file; it can be set, because rows may be larger on purpose.
MAX_LINE_BYTES = 10_000_000


@dataclass(frozen=True)
class FileOptions:
    """
    How files are read.

    :param encoding: of texts, a name that Python's ``codecs`` know; None: UTF-8. A byte order mark is followed in
        either case.
    :param delimiter: the character between the cells of a CSV; None: a tab in ``.tsv``, a comma elsewhere.
    :param null_values: the cells of a CSV that are NULL, besides empty ones.
    :param max_line_bytes: bytes of a line, of a CSV record and of an element of a JSON array at most.
    :param names: how the names of columns are read; None: as they stand.
    :raises MoEngageParameterError: an option is wrong; the text names it and what is allowed.
    """

    encoding: str | None = None
    delimiter: str | None = None
    null_values: Sequence[str] | None = None
    max_line_bytes: int = MAX_LINE_BYTES
    names: ColumnNames | None = None

    def __post_init__(self) -> None:
        _check_encoding(self.encoding)
        _check_delimiter(self.delimiter)
        _check_null_values(self.null_values)
        most: object = self.max_line_bytes
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise MoEngageParameterError(f"max_line_bytes is {most!r}; use a whole number of bytes from 1")


def _check_encoding(encoding: object) -> None:
    if encoding is None:
        return
    try:
        if not isinstance(encoding, str):
            raise LookupError(type(encoding).__name__)
        # Some codecs turn bytes into bytes, and some do not go on behind a byte they do not know.
        io.TextIOWrapper(io.BytesIO(b"\xff\x00ab"), encoding, UNDECODABLE).read()
        known = True
    except (LookupError, ValueError, TypeError):
        known = False
    if not known:
        raise MoEngageParameterError(
            f"encoding is {encoding!r}; use a text encoding that Python knows, such as 'utf-8', 'utf-16-le', 'cp1252' "
            "or 'latin-1', or leave it out for UTF-8"
        )


def _check_delimiter(delimiter: object) -> None:
    if delimiter is None:
        return
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise MoEngageParameterError(
            f"delimiter is {delimiter!r}; use one character such as ';', '|' or '\\t', and no quote or line break"
        )


def _check_null_values(null_values: object) -> None:
    if null_values is None:
        return
    if not isinstance(null_values, (list, tuple)) or not all(isinstance(one, str) for one in null_values):
        raise MoEngageParameterError(
            f"null_values is {null_values!r}; use a list of texts such as ['NULL', '\\\\N']"
        )
