"""What the text of a query says of its tables and names, where OpenLineage's parser is silent or guesses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

#: Dialects in which a backslash escapes the next character of a text.
BACKSLASHES = frozenset({"mysql", "bigquery", "snowflake", "hive", "databricks", "spark"})
_SKIPPED = r"\s+|--[^\n]*|/\*.*?(?:\*/|$)"
_TEXT = r"[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(\w*)\$.*?\$\2\$"
_ESCAPED_TEXT = r"'(?:[^'\\]|''|\\.)*'|\$(\w*)\$.*?\$\2\$"
#: In brackets stands a name of SQL Server, or the place in an array.
_OTHERS = r"(?P<quoted>\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\W\d][^\[\]]*\])|(?P<word>[^\W\d][\w$#]*)|(?P<other>\d[\w.]*|.)"
#: Words after which an expression begins: a name after any other one is an alias.
_BEFORE_EXPRESSION = frozenset(
    [
        "SELECT",
        "DISTINCT",
        "ALL",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "BY",
        "ON",
        "WHERE",
        "FROM",
        "INTERVAL",
        "ESCAPE",
        "RETURNING",
    ]
)
#: Words between FROM and the name of a table.
_BEFORE_TABLE = frozenset({"LATERAL", "ONLY"})
_JOINS = frozenset({"JOIN", "STRAIGHT_JOIN", "APPLY"})
#: Words that end a FROM clause.
_AFTER_FROM = frozenset(
    [
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "WINDOW",
        "QUALIFY",
        "CONNECT",
        "START",
        "RETURNING",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "MINUS",
    ]
)
#: Words between two SELECTs of one statement.
_SET_OPERATORS = frozenset({"UNION", "INTERSECT", "EXCEPT", "MINUS"})


class Token(NamedTuple):
    """
    One token of a statement.

    :param kind: what it is; ``other`` is a number, or one character of punctuation.
    :param text: as it is written; of a quoted name or a text, without its quotes.
    """

    kind: Literal["word", "quoted", "text", "other"]
    text: str

    @property
    def is_name(self) -> bool:
        """Whether it may be a name."""
        return self.kind in ("word", "quoted")

    @property
    def word(self) -> str:
        """The keyword or the punctuation that it may be; empty: neither."""
        return self.text.upper() if self.kind in ("word", "other") else ""


#: What stands before the first token and after the last one.
_NOTHING = Token("text", "")


@dataclass(frozen=True)
class QueryText:
    """
    What a statement says.

    :param tables: the names of the tables that it reads, each as its parts; those of its WITH are not among them.
    :param ambiguous: names of columns, in lower case, that are read from one of several tables without saying which, and
        what they are called in the result.
    :param fixed: column of the result, in lower case → the text that it has in every row.
    :param is_combined: whether it has two SELECTs, outside of parentheses, whose rows become one result.
    """

    tables: frozenset[tuple[str, ...]]
    ambiguous: frozenset[str]
    fixed: Mapping[str, str]
    is_combined: bool


def read_query(sql: str, dialect: str = "") -> QueryText:
    """
    Return what a statement says.

    :param sql: of several statements, the tables of all of them are read.
    :param dialect: of OpenLineage's parser.
    """
    reading = _Reading(list(_tokens(sql, dialect)))
    reading.read()
    last = reading.frames[0].select
    return QueryText(
        frozenset(reading.tables),
        frozenset().union(*(select.ambiguous() for select in reading.selects)),
        {} if last is None or reading.is_combined else last.fixed(),
        reading.is_combined,
    )


def _tokens(sql: str, dialect: str) -> Iterator[Token]:
    text = _ESCAPED_TEXT if dialect in BACKSLASHES else _TEXT
    for match in re.finditer(rf"{_SKIPPED}|(?P<text>{text})|{_OTHERS}", sql, re.DOTALL):
        kind = match.lastgroup
        if kind == "text":
            yield Token("text", match[0].partition("'")[2][:-1].replace("''", "'"))
        elif kind == "quoted":
            yield Token("quoted", match[0][1:-1].replace('""', '"'))
        elif kind == "word":
            yield Token("word", match[0])
        elif kind is not None:
            yield Token("other", match[0])


@dataclass
class _Item:
    """One expression of a SELECT: its tokens outside of parentheses, and its names without a table."""

    tokens: list[Token] = field(default_factory=list)
    bare: set[str] = field(default_factory=set)


@dataclass
class _Select:
    """One SELECT: what it lists, and from how many tables."""

    clause: Literal["list", "from", "rest"] = "list"
    sources: int = 0
    items: list[_Item] = field(default_factory=lambda: [_Item()])
    #: The columns that USING names, which are the same in both tables.
    shared: set[str] = field(default_factory=set)

    def ambiguous(self) -> set[str]:
        found: set[str] = set()
        if self.sources > 1:
            for item in self.items:
                bare = item.bare - self.shared
                if bare and item.tokens:
                    found |= {*bare, item.tokens[-1].text.lower()}
        return found

    def fixed(self) -> dict[str, str]:
        found = {}
        for item in self.items:
            tokens = [token for token in item.tokens if token.word not in ("AS", "DISTINCT", "ALL")]
            if [token.kind == "text" for token in tokens] == [True, False] and tokens[1].is_name:
                found[tokens[1].text.lower()] = tokens[0].text
        return found


@dataclass
class _Frame:
    """
    What stands between two parentheses, or the whole statement.

    :param select: the SELECT whose list or FROM clause it belongs to.
    :param owns: whether that SELECT stands in it.
    :param joins: whether it holds the tables of a FROM clause.
    :param expects: whether the name of a table comes next.
    :param names: whether it holds the columns of a USING.
    :param body: whether it is the statement of a WITH.
    :ivar declares: whether it is in the list of a WITH.
    :ivar declared: the last name of that list; None: it comes next.
    """

    select: _Select | None = None
    owns: bool = False
    joins: bool = False
    expects: bool = False
    names: bool = False
    body: bool = False
    is_empty: bool = True
    declares: bool = False
    declared: str | None = None


class _Reading:
    """Reads the tokens of a statement from the first to the last."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.frames = [_Frame()]
        self.selects: list[_Select] = []
        self.tables: set[tuple[str, ...]] = set()
        self.is_combined = False
        self._declared: set[str] = set()
        self._names_itself = False

    def read(self) -> None:
        while self._at < len(self._tokens):
            token, frame = self._tokens[self._at], self.frames[-1]
            if token.text == "(" and token.kind == "other":
                self._open(frame)
            elif token.text == ")" and token.kind == "other":
                self._close()
            elif not self._is_keyword(token.word, frame) and token.is_name:
                self._read_name(token, frame)
            self._add_to_item(token, frame)
            frame.is_empty = False
            self._at += 1

    @staticmethod
    def _add_to_item(token: Token, frame: _Frame) -> None:
        in_list = frame.owns and frame.select is not None and frame.select.clause == "list"
        if in_list and frame.select is not None and token.word not in ("SELECT", ",", "(", ")"):
            frame.select.items[-1].tokens.append(token)

    def _next(self, by: int = 1) -> Token:
        place = self._at + by
        return self._tokens[place] if 0 <= place < len(self._tokens) else _NOTHING

    def _open(self, frame: _Frame) -> None:
        before = self._next(-1).word
        self.frames.append(
            _Frame(
                frame.select,
                joins=frame.expects,
                expects=frame.expects,
                names=before == "USING",
                body=frame.declares and before in ("AS", "MATERIALIZED"),
            )
        )
        frame.expects = False

    def _close(self) -> None:
        if len(self.frames) > 1:
            closed = self.frames.pop()
            if closed.body and self.frames[-1].declared is not None:
                # Only now: a WITH may hide a table that its own statement reads.
                self._declared.add(self.frames[-1].declared)

    def _is_keyword(self, word: str, frame: _Frame) -> bool:
        """Whether a word or a comma has a meaning here, which is then recorded."""
        select = frame.select
        in_from = select is not None and select.clause == "from" and (frame.owns or frame.joins)
        if word == ";" and self._next() is not _NOTHING:
            self.frames = [_Frame()]
        elif word == "WITH" and frame.is_empty:
            frame.declares = True
        elif word == "RECURSIVE" and frame.declares and frame.declared is None:
            self._names_itself = True
        elif word == "SELECT":
            frame.select, frame.owns, frame.declares, frame.expects = _Select(), True, False, False
            self.selects.append(frame.select)
        elif word == "," and frame.declares:
            frame.declared = None
        elif word == "," and frame.owns and select is not None and select.clause == "list":
            select.items.append(_Item())
        elif select is not None and (
            (word == "FROM" and frame.owns and select.clause == "list")
            or (in_from and (word == "," or word in _JOINS))
        ):
            select.clause = "from"
            select.sources += 1
            frame.expects = True
        elif word in _SET_OPERATORS and len(self.frames) == 1 and self._next(-1).text != "*":
            # "* except (a)" leaves out a column.
            self.is_combined = True
        elif word == "VALUES" and frame.expects:
            frame.expects = frame.joins = False
        elif select is not None and in_from and word in _AFTER_FROM:
            select.clause = "rest"
        else:
            return frame.expects and word in _BEFORE_TABLE
        return True

    def _read_name(self, token: Token, frame: _Frame) -> None:
        if frame.names and frame.select is not None:
            frame.select.shared.add(token.text.lower())
        elif frame.declares and frame.declared is None:
            frame.declared = token.text.lower()
            if self._names_itself:
                self._declared.add(frame.declared)
        elif frame.expects:
            frame.expects = False
            self._read_table(token)
        elif frame.select is not None and frame.select.clause == "list" and self._is_bare_column():
            frame.select.items[-1].bare.add(token.text.lower())

    def _read_table(self, token: Token) -> None:
        parts = [token.text]
        while self._next().text == ".":
            # Between two dots stands the default schema.
            name_at = 3 if self._next(2).text == "." else 2
            if not self._next(name_at).is_name:
                break
            parts += [""] * (name_at - 2) + [self._next(name_at).text]
            self._at += name_at
        is_function = self._next().text == "("
        if not is_function and not (len(parts) == 1 and token.text.lower() in self._declared):
            self.tables.add(tuple(parts))

    def _is_bare_column(self) -> bool:
        before, after = self._next(-1), self._next()
        if after.text in (".", "(") or before.text in (".", ":"):
            return False
        if before.kind == "word":
            return before.word in _BEFORE_EXPRESSION
        return before.kind == "other" and before.text not in (")", "]") and not before.text[0].isdigit()
