"""The options of reading files, and their checks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.text import UNDECODABLE
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames

#: Default maximum bytes of a line; configurable, because rows may legitimately be larger.
MAX_LINE_BYTES = 10_000_000


@dataclass(frozen=True)
class FileOptions:
    """
    Options of reading files.

    :param encoding: of texts, a name known to Python's ``codecs``; None: UTF-8. A byte order mark takes precedence.
    :param delimiter: the character between the cells of a CSV; None: a tab in ``.tsv``, a comma elsewhere.
    :param null_values: the cells of a CSV that are NULL, besides empty ones.
    :param max_line_bytes: maximum bytes of a line, of a CSV record and of an element of a JSON array.
    :param names: how column names are normalized; None: not at all.
    :raises MoEngageParameterError: an option is invalid; the text names it and what is allowed.
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
        max_bytes: object = self.max_line_bytes
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise MoEngageParameterError(
                f"max_line_bytes is {max_bytes!r}; use a whole number of bytes from 1"
            )


def _check_encoding(encoding: object) -> None:
    if encoding is None:
        return
    try:
        if not isinstance(encoding, str):
            raise LookupError(type(encoding).__name__)
        # Some codecs decode to bytes, and some cannot continue after an invalid byte.
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
