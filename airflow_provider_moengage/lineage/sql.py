"""The tables and columns that a query reads, by its text alone: no database is connected to."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.delivery.connections import database_hook

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
_PLACEHOLDER = r"%\(\w+\)s|%s|:\w+|\$\d+"
#: What the parser calls a column of the result that has no name.
_UNNAMED = re.compile(r"_\d+")
#: Keywords between two SELECTs of one statement.
SET_OPERATORS = ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "MINUS")


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
        *before, name = (part.strip('"`') for part in text.split("."))
        database, schema = [None, None, *before][-2:]
        return self.table(database, schema, name)


#: Namespace and name of a table, and one of its columns.
Column = tuple[str, str, str]


@dataclass(frozen=True)
class QueryLineage:
    """
    What a query reads.

    :param tables: namespace and name of each table, in the order of their names.
    :param columns: column of the result → the columns that it is computed from. Columns of ``*``, and those that are
        computed from none, are missing.
    :param mixed: whether ``columns`` may name columns that the result does not have: of the second part of a UNION.
    """

    tables: Sequence[tuple[str, str]] = ()
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    mixed: bool = False


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

    parsed = parse(
        [without_placeholders(sql, parameters)],
        dialect=database.dialect,
        default_schema=database.default_schema,
    )
    if parsed is None:
        return QueryLineage()
    for error in parsed.errors:
        # Not its text, which quotes the statement.
        log.info(
            "The tables that sql reads are not known: OpenLineage's parser fails at its part %s", error.index
        )

    def table(found: Any) -> tuple[str, str]:
        return database.namespace, database.table(found.database, found.schema, found.name)

    # Of a CTE with quoted names, the parser knows some tables by their columns alone.
    tables = {table(found) for found in parsed.in_tables}
    fold = FOLDS.get(database.dialect, str)
    columns: dict[str, Sequence[Column]] = {}
    for one in parsed.column_lineage:
        read = sorted({(*table(column.origin), column.name) for column in one.lineage if column.origin})
        tables.update(column[:2] for column in read)
        name = one.descendant.name
        if _UNNAMED.fullmatch(name):
            continue
        columns[name if f'"{name}"' in sql else fold(name)] = read
    return QueryLineage(sorted(tables), columns, _has_set_operator(sql))


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
        return "NULL"

    return re.sub(rf"(?P<opaque>{_OPAQUE})|%%|{placeholder}", replaced, sql, flags=re.DOTALL)


def fixed_text(sql: str, column: str) -> str | None:
    """
    Return the text that a column has in every row of a query's result, such as ``'Order placed' as action``.

    :return: None where the query does not say it.
    """
    import sqlparse
    from sqlparse.sql import Identifier, IdentifierList
    from sqlparse.tokens import DML, String

    if _has_set_operator(sql):
        return None
    statement = sqlparse.parse(sqlparse.format(sql, strip_comments=True))[0]
    index, select = statement.token_next_by(m=(DML, "SELECT"))
    if select is None:
        return None
    index, listed = statement.token_next(index)
    while listed is not None and listed.is_keyword:
        # DISTINCT, ALL
        index, listed = statement.token_next(index)
    selected = listed.get_identifiers() if isinstance(listed, IdentifierList) else [listed]
    for one in selected:
        if isinstance(one, Identifier) and (one.get_alias() or "").lower() == column.lower():
            first = one.token_first()
            if first.ttype is String.Single:
                return str(first.value)[1:-1].replace("''", "'")
    return None


def _has_set_operator(sql: str) -> bool:
    """Whether a statement has two SELECTs, outside of parentheses, whose rows become one result."""
    import sqlparse

    return any(
        token.is_keyword and token.normalized in SET_OPERATORS
        for statement in sqlparse.parse(sql)
        for token in statement.tokens
    )
