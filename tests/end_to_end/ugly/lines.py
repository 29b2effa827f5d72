"""Ugliness of whole lines, of ids and of names: B1, B8, B11, and the ids of B2 and B6."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd

from tests.end_to_end.ugly.kinds import ID, LINE, MANY, NULL, REJECTED, Raw, kind


def id_of(n: int) -> str:
    """The customer id of a row as a text; the watch of the suite knows it for a person's."""
    return f"user-{n}"


def number_of(n: int) -> int:
    """The customer id of a row as a number."""
    return 10_000_000 + n


def _unclosed(cells: list[str]) -> list[str]:
    """Open a quote in the second cell: what closes it by chance stands in another one, so the number is wrong."""
    return [cells[0], '"' + cells[1].lstrip('"'), *cells[2:]]


BLANKS = ("{}     ", " {}", "\u00a0{}\u00a0", "\u200b{}", "\ufeff{}\u2060 ", " \t{}\t ", "\u3000{}\u2003")
WIDE = {f"w{number}": number for number in range(300)}

KINDS = [
    kind("B1 unclosed quote", LINE, REJECTED, csv=[_unclosed]),
    kind("B1 text behind a quote", LINE, REJECTED, csv=[lambda cells: [cells[0], '"gold"x', *cells[2:]]]),
    kind("B1 too many cells", LINE, REJECTED, csv=[lambda cells: [*cells, "more"]]),
    kind("B1 too few cells", LINE, REJECTED, csv=[lambda cells: cells[:2], lambda cells: ["gold"]]),
    kind("B1 not UTF-8", ID, REJECTED, csv_utf8=[lambda n: f"{id_of(n)}\udcff"]),
    kind("B1 stray quote in a cell", "note", 'silver"', csv=[Raw('silver"')]),
    kind("B1 quoted cell", "note", 'a, "b"; c\td', csv=['a, "b"; c\td']),
    kind("B1 cell of two lines", "note", "multi\nline", csv=["multi\nline"]),
    kind("B1 long cell that is not sent", "memo", NULL, share=0.01, csv=["m" * 200_000]),
    kind(
        "B1 broken line",
        LINE,
        REJECTED,
        ndjson_lines=[
            lambda line: line[:-1],
            lambda line: line + "}",
            lambda line: line + line,
            lambda line: line.replace('"', "'"),
            lambda line: line[:-1] + ', "\udcff": 1}',
            lambda line: f"[{line}]",
            lambda line: "null",
            lambda line: "3",
            lambda line: '"text"',
        ],
        ndjson_array=[lambda line: "null", lambda line: "3", lambda line: f"[{line}]"],
    ),
    kind("B2 binary id", ID, REJECTED, list=[b"binary-id"]),
    kind(
        "B6 whole number as id",
        ID,
        lambda n: str(number_of(n)),
        list=[
            number_of,
            lambda n: float(number_of(n)),
            lambda n: np.float64(number_of(n)),
            lambda n: Decimal(number_of(n)),
            lambda n: np.int64(number_of(n)),
            lambda n: Decimal(f"{number_of(n)}.00"),
        ],
        ndjson=[number_of, lambda n: float(number_of(n))],
    ),
    kind(
        "B6 float id that may be another's",
        ID,
        REJECTED,
        list=[float(2**53), 1e16, np.float64(2**60), -float(2**53)],
        ndjson=[float(2**53), 1e16],
        parquet_float=[float(2**53), 1e16, -1e17],
    ),
    kind(
        "B6 no id at all",
        ID,
        REJECTED,
        list=[
            12.5,
            True,
            None,
            float("nan"),
            pd.NA,
            [],
            {},
            "",
            "  ",
            "null",
            "x",
            date(2025, 1, 1),
            Decimal("NaN"),
        ],
        everywhere=[None, "", "  ", "NULL", " Unknown ", "x", "-1"],
        csv=["", "NULL", r"\N", "   ", "unknown", "x"],
        ndjson=[None, "", 12.5, True, [], {}, " null", 1],
        parquet_float=[12.5, None, float("nan"), 1.0, float("inf")],
    ),
    kind(
        "B8 another's id with blanks",
        ID,
        lambda n: id_of(n // 2),
        list=[lambda n: f"{id_of(n // 2)}  "],
        everywhere=[lambda n: f" {id_of(n // 2)}\u00a0"],
    ),
    kind("B8 blanks around a value", "plan", " gold ", everywhere=[" gold "]),
    kind("B11 300 attributes", MANY, WIDE, share=0.05, list=[WIDE], ndjson=[WIDE]),
    *(
        kind(
            "B8 blanks around an id",
            ID,
            id_of,
            share=1 / len(BLANKS),
            list=[lambda n, form=form: form.format(id_of(n))],
            everywhere=[lambda n, form=form: form.format(id_of(n))],
        )
        for form in BLANKS
    ),
    *(
        kind("B8 blanks around a name", "plan", "gold", key=key, share=0.3, list=["gold"], ndjson=["gold"])
        for key in (" plan", "plan\u00a0", "\u200bplan  ")
    ),
]
