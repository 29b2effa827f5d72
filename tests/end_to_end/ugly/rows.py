"""Customers of a seed, ugly in about one row of a hundred for each kind, and what is to become of every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.end_to_end.ugly import lines, times, values
from tests.end_to_end.ugly.kinds import ID, LINE, MANY, NULL, REJECTED, Json, Kind
from tests.end_to_end.ugly.lines import id_of, number_of

KINDS = (*lines.KINDS, *times.KINDS, *values.KINDS)

#: The zone of naive datetimes in every run: five hours and a half before UTC.
ZONE, BEFORE_UTC = "Asia/Kolkata", timedelta(hours=5, minutes=30)
FIRST_DAY, FIRST_MOMENT = date(2000, 1, 1), datetime(2000, 1, 1)
PLANS, WORDS = ("gold", "free", "Größe", "日本", "o'neil", "a\\b"), ("new", "vip", "50%", "x y")
#: The columns that every row has a value in, ugliness aside.
PLAIN = ("plan", "joined", "seen", "local", "amount", "score", "visits", "active", "tags")


@dataclass(frozen=True)
class Part:
    """
    A file or a table: what of the ugliness it has, and how it writes what is not ugly.

    :param keys: the names under which kinds have looks for it, the most particular first.
    :param json: how a :class:`Json` is written; None: there is no place for one.
    :param spell: column → how a plain value is written; those that are not named stand as they are.
    :param numbers_as_ids: its ids are numbers.
    :param encoding: what it cannot encode does not occur.
    """

    keys: Sequence[str]
    json: Callable[[Json], Any] | None = None
    spell: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    numbers_as_ids: bool = False
    encoding: str = "utf-8"

    def looks(self, kind: Kind) -> Sequence[Any]:
        """How a kind looks here; nothing where it does not occur."""
        if self.numbers_as_ids and kind.column == ID:
            return kind.looks.get("parquet_float", ())
        keys = (
            *self.keys,
            *(["json"] if self.json else []),
            *([] if kind.column == LINE else ["everywhere"]),
        )
        return next((kind.looks[key] for key in keys if key in kind.looks), ())

    def columns(self) -> list[str]:
        """The columns that a value can stand in, the id's first."""
        ugly = (kind.column for kind in KINDS if kind.column not in (LINE, MANY) and self.looks(kind))
        return list(dict.fromkeys((ID, *PLAIN, *ugly)))

    def holds(self, value: Any) -> bool:
        """Whether the encoding has a place for a value."""
        try:
            return not isinstance(value, str) or value.encode(self.encoding, "surrogateescape") is not None
        except UnicodeEncodeError:
            return False


@dataclass
class Row:
    """
    A row as it stands in one medium, and what is to become of it.

    :param cells: column → value; a column that is not there is NULL.
    :param keys: column → its name as this row spells it.
    :param breaks: what makes of the row's line one that is none.
    :param lines: where it is broken, the lines it had: each of them is rejected by itself.
    :param customer: whom it is to reach; None: the row is rejected.
    :param attributes: what is to be stored; an empty array unsets.
    :param bad: the attributes for which the row is rejected.
    :param kinds: the kinds of its ugliness.
    """

    cells: dict[str, Any]
    customer: str | None
    attributes: dict[str, Any]
    keys: dict[str, str] = field(default_factory=dict)
    breaks: Callable[[Any], Any] | None = None
    lines: int = 1
    bad: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def accepted(self, drop: bool) -> bool:
        """
        Whether it is to be sent.

        :param drop: of bad attributes, only they are left out.
        """
        return self.customer is not None and self.breaks is None and (drop or not self.bad)


def logical_rows(count: int, seed: int, rate: float, part_of: Callable[[int], Part]) -> Iterator[Row]:
    """
    The rows of a seed, in whatever medium the same ones.

    :param rate: the share of rows that a kind occurs in.
    :param part_of: the part that the row of a number stands in.
    """
    for n in range(count):
        random = Random(seed * 1_000_003 + n)
        plain = _plain(random)
        met = [(kind, random.random()) for kind in KINDS if random.random() < rate * kind.share]
        yield _row(n, plain, met, part_of(n))


def _plain(random: Random) -> dict[str, Any]:
    moment = FIRST_MOMENT + timedelta(microseconds=random.randrange(10**15))
    return {
        "plan": random.choice(PLANS),
        "joined": FIRST_DAY + timedelta(days=random.randrange(9_999)),
        "seen": moment,
        "local": moment + timedelta(seconds=random.randrange(10**6)),
        "amount": Decimal(random.randrange(10**8)) / 100,
        "score": random.randrange(10**6) / 64,
        "visits": random.randrange(-(10**6), 10**12),
        "active": random.random() < 0.5,
        "tags": random.sample(WORDS, random.randint(1, 3)),
    }


def _row(n: int, plain: dict[str, Any], met: Iterable[tuple[Kind, float]], part: Part) -> Row:
    if not part.holds(plain["plan"]):
        plain["plan"] = PLANS[0]
    number = number_of(n)
    name, customer = (float(number), str(number)) if part.numbers_as_ids else (id_of(n), id_of(n))
    cells = {
        column: part.spell[column](value) if column in part.spell else value
        for column, value in plain.items()
    }
    row = Row({ID: name, **cells}, customer, _said(plain))
    taken = set()
    for kind, chance in met:
        looks = part.looks(kind)
        if not looks or kind.column in taken:
            continue
        look = looks[int(chance * len(looks))]
        if kind.column == ID and callable(look):
            look = look(n)
        if part.holds(look):
            taken.add(kind.column)
            row.kinds.append(kind.name)
            _make_ugly(row, kind, look, kind.says(n) if callable(kind.says) else kind.says, part)
    return row


def _make_ugly(row: Row, kind: Kind, look: Any, says: Any, part: Part) -> None:
    if kind.column == LINE:
        row.breaks = look
    elif kind.column == MANY:
        row.cells.update(look)
        row.attributes.update(says)
    else:
        row.cells[kind.column] = part.json(look) if isinstance(look, Json) and part.json else look
        row.keys[kind.column] = kind.key
        if kind.column == ID:
            row.customer = None if says is REJECTED else says
            return
        row.attributes.pop(kind.column, None)
        if says is REJECTED:
            row.bad.append(kind.column)
        elif says is not NULL:
            row.attributes[kind.column] = says


def _said(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What MoEngage is to have of plain values: its two forms of dates, UTC, numbers."""
    return {
        **plain,
        "joined": plain["joined"].isoformat(),
        "seen": utc(plain["seen"]),
        "local": utc(plain["local"] - BEFORE_UTC),
        "amount": float(plain["amount"]),
    }


def utc(moment: datetime) -> str:
    """A moment of UTC as MoEngage recognises it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(rows: Iterable[Row], drop: bool) -> dict[str, dict[str, Any]]:
    """What the rows that are accepted leave behind, in their order, by customer."""
    users: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.accepted(drop):
            assert row.customer is not None
            user = users.setdefault(row.customer, {})
            user.update(row.attributes)
            for name in [name for name, value in row.attributes.items() if value == []]:
                del user[name]
    return users
