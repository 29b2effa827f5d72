"""Normalizes column names: strips blanks and, on request, folds case."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable
from airflow_provider_moengage.parameters import check_one_of

log = logging.getLogger(__name__)

FOLDS = ("lower", "upper")
#: Characters that are invisible at the end of a name or an id: Unicode's spaces, and characters without width.
BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + (
    "\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
#: Maximum number of cached names; many times the attributes of a workspace.
MAX_NAMES = 10_000
#: Fields of the API, which are not columns: their case is fixed by MoEngage.
API_FIELDS = frozenset(
    {
        "type",
        "customer_id",
        "device_id",
        "user_identifiers",
        "attributes",
        "unset_attributes",
        "update_existing_only",
        "actions",
        "platforms",
    }
)
#: Fields of the API that appear among attributes.
ARRAY_OPERATORS = frozenset({"addValueToArrayField", "removeValueFromArrayField"})
#: Names whose values contain more names, which have to be checked in every row.
CONTAINERS = ARRAY_OPERATORS | {"attributes", "actions"}


class ColumnNames:
    """
    Normalizes the column names of a source: strips blanks at their ends and, on request, folds their case.

    :param fold: ``lower`` or ``upper``: the case of all names; None: unchanged.
    :raises MoEngageParameterError: it is another word.
    """

    def __init__(self, fold: str | None = None) -> None:
        check_one_of("fold_columns", fold, FOLDS, optional=True)
        self._fold = fold
        #: Names known to be unchanged in a flat row; and in a row of the API's own shape.
        self._clean: set[object] = set()
        self._clean_fields: set[object] = set(API_FIELDS)
        self._stripped: set[str] = set()
        self._warned = False

    def header(self, names: Sequence[Any]) -> list[Any]:
        """
        Return the normalized names of the columns that all rows share.

        :raises MoEngageParameterError: two names become the same.
        """
        renamed = [self._renamed(name) for name in names]
        collision = _collision(names, renamed)
        if collision:
            raise MoEngageParameterError(self._describe_collision(collision, "the source has"))
        return renamed

    def row(self, row: object) -> object:
        """
        Return a row with normalized names; nearly always that is the row itself.

        In a row of the API's own shape the names under ``attributes``, also those of actions, are column names.

        :return: an :class:`~airflow_provider_moengage.delivery.shape.unreadable.Unreadable` where two names become the same.
        """
        if type(row) is dict and self._clean.issuperset(row):
            return row
        return self._checked(row) if isinstance(row, Mapping) else row

    def rows(self, rows: Iterable[object]) -> Generator[object, None, None]:
        """Return rows as :meth:`row` does, and warn at their end."""
        # The check is inlined: a row whose names are known costs no call.
        clean = self._clean
        try:
            for row in rows:
                if type(row) is dict and clean.issuperset(row):
                    yield row
                else:
                    yield self._checked(row) if isinstance(row, Mapping) else row
        finally:
            self.warn()

    def warn(self) -> None:
        """Log how many names were stripped, once."""
        if self._stripped and not self._warned:
            self._warned = True
            log.warning(
                "%d column names had blanks or invisible characters at their ends, which were stripped, such as %s",
                len(self._stripped),
                ascii(min(self._stripped)[:100]),
            )

    def _checked(self, row: Mapping[Any, Any]) -> object:
        try:
            return row if self._is_clean_own_shape(row) else self._named(row)
        except _Collision as collision:
            return Unreadable(
                dict(row), "column_twice", self._describe_collision(collision.names, "the row has")
            )
        except Exception:
            # A user-defined mapping may raise anything; that is reported where the row is converted.
            return row

    def _is_clean_own_shape(self, row: Mapping[Any, Any]) -> bool:
        attributes, actions = row.get("attributes"), row.get("actions")
        return (
            type(attributes) is dict
            and actions is None
            and self._clean_fields.issuperset(row)
            and self._clean.issuperset(attributes)
        )

    def _named(self, row: Mapping[Any, Any]) -> dict[Any, Any]:
        renamed = self._dict(row, API_FIELDS)
        if isinstance(renamed.get("attributes"), Mapping) or isinstance(renamed.get("actions"), list):
            return self._own_shape(renamed)
        return self._dict(row)

    def _own_shape(self, row: dict[Any, Any]) -> dict[Any, Any]:
        fields = dict(row)
        if isinstance(fields.get("attributes"), Mapping):
            fields["attributes"] = self._attributes(fields["attributes"])
        if isinstance(fields.get("actions"), list):
            fields["actions"] = [self._action(action) for action in fields["actions"]]
        return fields

    def _action(self, action: object) -> object:
        if not isinstance(action, Mapping) or not isinstance(action.get("attributes"), Mapping):
            return action
        return {**action, "attributes": self._attributes(action["attributes"])}

    def _attributes(self, attributes: Mapping[Any, Any]) -> dict[Any, Any]:
        renamed = dict(self._dict(attributes))
        for operator in ARRAY_OPERATORS & renamed.keys():
            if isinstance(renamed[operator], Mapping):
                renamed[operator] = self._dict(renamed[operator])
        return renamed

    def _dict(self, values: Mapping[Any, Any], fields: frozenset[str] = frozenset()) -> dict[Any, Any]:
        """Return a dict with normalized keys; ``fields`` are those of the API."""
        names = list(values)
        renamed = [self._renamed(name, fields) for name in names]
        if renamed == names and type(values) is dict:
            return values
        collision = _collision(names, renamed, empty=True)
        if collision:
            raise _Collision(collision)
        return dict(zip(renamed, values.values(), strict=True))

    def _renamed(self, name: Any, fields: frozenset[str] = frozenset()) -> Any:
        if not isinstance(name, str):
            return name
        stripped = name.strip(BLANKS)
        if stripped != name and len(self._stripped) < MAX_NAMES:
            self._stripped.add(name)
        if stripped in ARRAY_OPERATORS:
            return stripped
        if self._fold is not None:
            lower = stripped.lower()
            stripped = lower if self._fold == "lower" or lower in fields else stripped.upper()
        if stripped == name and name not in CONTAINERS and len(self._clean_fields) < MAX_NAMES:
            self._clean_fields.add(name)
            if not fields:
                self._clean.add(name)
        return stripped

    def _describe_collision(self, names: tuple[Any, Any], whose: str) -> str:
        how = f"with fold_columns={self._fold!r}" if self._fold else "once blanks at their ends are stripped"
        return f"{whose} the columns {names[0]!a} and {names[1]!a}, which become one {how}; give each its own name"


class _Collision(Exception):
    """Two column names become the same."""

    def __init__(self, names: tuple[Any, Any]) -> None:
        super().__init__()
        self.names = names


def _collision(
    names: Sequence[Any], renamed: Sequence[Any], *, empty: bool = False
) -> tuple[Any, Any] | None:
    """
    Return two different names that became the same; names that were duplicated before are checked elsewhere.

    :param empty: whether names of blanks alone count.
    """
    first: dict[Any, Any] = {}
    for name, new in zip(names, renamed, strict=True):
        other = first.setdefault(new, name) if new or empty else name
        if other != name:
            return other, name
    return None


def spelling_hint(wanted: object, columns: Iterable[object]) -> str:
    """
    Return what to do about a column that is missing where another one differs in case or blanks alone.

    :return: the end of an error's sentence; empty where there is no such column.
    """
    if not isinstance(wanted, str):
        return ""
    plain = wanted.strip(BLANKS)
    for column in columns:
        if (
            isinstance(column, str)
            and column != wanted
            and column.strip(BLANKS).casefold() == plain.casefold()
        ):
            if column == plain:
                return f"; it has {column!r}: names of columns are stripped of blanks at their ends"
            fold = next((fold for fold in FOLDS if getattr(wanted, fold)() == wanted), None)
            return f"; it has {column!r}, where only the case differs: " + (
                f"set fold_columns={fold!r}, or make both names the same"
                if fold
                else "make both names the same"
            )
    return ""


def check_spelling(wanted: str, row: Mapping[Any, Any]) -> None:
    """
    Check that a row that lacks a column has none that differs from it only in case or blanks.

    :raises MoEngageRecordInvalid: it has one.
    """
    hint = "" if wanted in row else spelling_hint(wanted, row)
    if hint:
        raise MoEngageRecordInvalid("column_missing", f"the row has no column {wanted!r}{hint}")
