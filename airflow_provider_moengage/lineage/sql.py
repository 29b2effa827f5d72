"""The tables and columns that a query reads, by its text alone: no database is connected to."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.delivery.connections import database_hook
from airflow_provider_moengage.lineage.query_text import read_query

log = logging.getLogger(__name__)

#: The schema of tables that a query names without one; a database not listed here has the connection's schema.
DEFAULT_SCHEMAS = {"postgres": "public", "redshift": "public", "mssql": "dbo", "sqlite": None}
#: How a database spells names that are not quoted.
FOLDS: Mapping[str, Callable[[str], str]] = {
    "postgres": str.lower,
    "redshift": str.lower,
    "snowflake": str.upper,
    "oracle": str.upper,
}
#: What may contain the characters of a placeholder without being one: texts, quoted names, comments, casts.
_OPAQUE = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|::"
#: Between a word and its colon stands no placeholder, as in ``tags[1:2]`` and ``data:plan``.
_PLACEHOLDER = r"%\(\w+\)s|%s|(?<!\w):\w+|(?<!\w)\$\d+"
#: What precedes the place of a list.
_BEFORE_LIST = re.compile(r"\bin\s*$", re.IGNORECASE)
#: What the parser calls a column of the result that has no name.
_UNNAMED = re.compile(r"_\d+")


@dataclass(frozen=True)
class Database:
    """
    A database, as OpenLineage names it.

    :param namespace: such as ``postgres://warehouse.example:5432``.
    :param dialect: of the parser.
    :param name: the name of the database in front of the names of tables; None: none.
    :param default_schema: the schema of tables that are named without one; None: none.
    :param upper: whether names of tables are in upper case.
    """

    namespace: str
    dialect: str
    name: str | None
    default_schema: str | None
    upper: bool = False

    def table(self, database: str | None, schema: str | None, name: str) -> str:
        """Return the name of a table."""
        full = ".".join(part for part in (database or self.name, schema or self.default_schema, name) if part)
        return full.upper() if self.upper else full

    def table_of(self, text: str) -> str:
        """Return the name of a table that a statement would name as this text, such as ``shop."Users"``."""
        return self.table_named([part.strip('"`') for part in text.split(".")])

    def table_named(self, parts: Sequence[str]) -> str:
        """Return the name of a table by the parts of its name; an empty one is the default."""
        if self.dialect == "bigquery":
            # Backticks enclose several parts.
            parts = ".".join(parts).split(".")
        *before, name = parts
        database, schema = [None, None, *before][-2:]
        return self.table(database, schema, name)


#: Namespace and name of a table, and one of its columns.
Column = tuple[str, str, str]


@dataclass(frozen=True)
class QueryLineage:
    """
    What a query reads.

    :param tables: namespace and name of each table, in the order of their names.
    :param columns: column of the result → the columns that it is computed from. Columns of ``*``, those that are computed
        from none, and those of one of several tables that the query does not name are missing.
    :param is_combined: whether ``columns`` may name columns that the result does not have: of the second part of a UNION.
    """

    tables: Sequence[tuple[str, str]] = ()
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    is_combined: bool = False


def database_of(parameter: str, conn_id: str, hook_params: Mapping[str, Any] | None = None) -> Database:
    """
    Return the database of a connection, without connecting to it.

    :param parameter: the parameter that names the connection, for the errors.
    :raises MoEngageParameterError: there is no such connection, or it is not a database's.
    """
    hook = database_hook(parameter, conn_id, hook_params)
    connection = hook.get_connection(conn_id)
    try:
        kind = str(connection.conn_type)
        info, dialect = _described_by(hook, connection)
        scheme = info.scheme if info else kind
        authority = info.authority if info else _authority(connection)
        database = info.database if info else None
        schema = DEFAULT_SCHEMAS.get(scheme, connection.schema or None)
        return Database(
            f"{scheme}://{authority}" if authority else scheme,
            kind if dialect in (None, "generic") else str(dialect),
            database,
            schema,
            bool(info and info.is_uppercase_names),
        )
    finally:
        # Its repr shows the password, and error trackers print the locals of every frame.
        del connection


def _described_by(hook: Any, connection: Any) -> tuple[Any, str | None]:
    """Return what a hook says of its database for OpenLineage, and the parser's dialect; None: nothing."""
    try:
        return hook.get_openlineage_database_info(connection), hook.get_openlineage_database_dialect(
            connection
        )
    except Exception as error:
        # Hooks of any provider: one that cannot describe its database must not cost the event its other lineage.
        log.debug("%s does not describe its database: %s", type(hook).__name__, type(error).__name__)
        return None, None


def _authority(connection: Any) -> str:
    # The host of a SQLite connection is its file.
    return (connection.host or "") + (f":{connection.port}" if connection.port else "")


def query_lineage(sql: str, parameters: object, database: Database) -> QueryLineage:
    """
    Return what a query reads, as its text says.

    :param parameters: its bind parameters; only their names matter.
    """
    from openlineage.common.sql import parse

    sql = without_placeholders(sql, parameters)
    text = read_query(sql, database.dialect)
    # The parser knows no table in a WITH but by the columns of the result.
    tables = sorted({(database.namespace, database.table_named(parts)) for parts in text.tables})
    parsed = parse([sql], dialect=database.dialect, default_schema=database.default_schema)
    if parsed is None:
        return QueryLineage(tables)
    for error in parsed.errors:
        # Not its text, which quotes the statement.
        log.info(
            "The columns that sql reads are not known: OpenLineage's parser fails at its part %s", error.index
        )
    fold = FOLDS.get(database.dialect, str)
    columns: dict[str, Sequence[Column]] = {}
    for one in parsed.column_lineage:
        name = one.descendant.name
        read = _columns_of(one.lineage, tables, database)
        # Of a column without a table, the parser takes the first one.
        guessed = {name.lower(), *(column.name.lower() for column in one.lineage)} & text.ambiguous
        if read and not guessed and not _UNNAMED.fullmatch(name):
            columns[name if f'"{name}"' in sql else fold(name)] = read
    return QueryLineage(tables, columns, text.is_combined)


def _columns_of(
    found: Iterable[Any], tables: Sequence[tuple[str, str]], database: Database
) -> Sequence[Column]:
    """Return columns that the parser has found, if each is one of a table that the query reads."""
    columns: set[Column] = set()
    for column in found:
        if column.origin is None:
            continue
        origin = column.origin
        name = database.table(origin.database, origin.schema, origin.name)
        # The parser leaves out the schema of "shop.orders" in "select orders.id from shop.orders".
        last = f".{name.rpartition('.')[2]}"
        places = [table for table in tables if table[1] == name] or [
            table for table in tables if f".{table[1]}".endswith(last)
        ]
        if len(places) != 1:
            return ()
        columns.add((*places[0], column.name))
    return sorted(columns)


def without_placeholders(sql: str, parameters: object) -> str:
    """
    Return a query with NULL for each placeholder, of which parsers do not know all styles.

    :param parameters: the bind parameters; without any, the text has no placeholder.
    """
    if not parameters:
        return sql
    names = set(parameters) if isinstance(parameters, Mapping) else set()
    placeholder = _PLACEHOLDER if isinstance(parameters, Mapping) or "%s" in sql else _PLACEHOLDER + r"|\?"

    def replaced(match: re.Match[str]) -> str:
        text = match[0]
        if match["opaque"]:
            return text
        if text == "%%":
            return "%"
        if text.startswith(":") and not text[1:].isdigit() and text[1:] not in names:
            return text
        return "(NULL)" if _BEFORE_LIST.search(sql, max(0, match.start() - 20), match.start()) else "NULL"

    return re.sub(rf"(?P<opaque>{_OPAQUE})|%%|{placeholder}", replaced, sql, flags=re.DOTALL)
