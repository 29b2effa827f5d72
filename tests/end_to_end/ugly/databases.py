"""Writes rows into the tables of a PostgreSQL and a MariaDB, whose parsers make of a cell's text what the column holds."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, timezone
from pathlib import Path
from typing import Any

from tests.end_to_end.ugly.kinds import ID
from tests.end_to_end.ugly.media import JSON_TYPES, Medium, types_of
from tests.end_to_end.ugly.rows import BEFORE_UTC, Part, Row
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer

POSTGRES = Part(
    ("postgres",),
    json=lambda look: look.text,
    spell={
        "joined": date.isoformat,
        "seen": lambda moment: moment.replace(tzinfo=timezone.utc).isoformat(),
        "local": lambda moment: moment.isoformat(" "),
        "tags": lambda words: "{" + ",".join(f'"{word}"' for word in words) + "}",
    },
)
#: char pads every id.
POSTGRES_TYPES = {
    ID: "char(24)",
    "plan": "text",
    "joined": "date",
    "seen": "timestamptz",
    "local": "timestamp",
    "amount": "numeric",
    "score": "double precision",
    "visits": "bigint",
    "active": "boolean",
    "tags": "text[]",
    "moments": "timestamptz[]",
    "photo": "bytea",
    "noon": "time",
    "lapse": "interval",
    "clock": "time",
    "orders": "jsonb",
    "box": "jsonb",
    "mapped": "json",
    "phone": "numeric",
    "host": "inet",
    "flag": "real",
    "note": "text",
    "renews": "varchar",
    "starts": "text",
    "epoch": "bigint",
}


def postgres(server: PostgresServer) -> Medium:
    def write(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
        import psycopg2

        (rows,) = parts
        columns = POSTGRES.columns()
        copied = io.StringIO()
        for n, row in enumerate(rows):
            cells = (_copied(row.cells.get(column)) for column in columns)
            copied.write("\t".join([str(n), *cells]) + "\n")
        copied.seek(0)
        listed = ", ".join(f"{column} {POSTGRES_TYPES[column]}" for column in columns)
        with closing(psycopg2.connect(server.uri)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"drop table if exists ugly; create table ugly (n int primary key, {listed})")
            cursor.copy_expert("copy ugly from stdin", copied)
        return {
            "sql": f"select {', '.join(columns)} from ugly order by n",
            "sql_conn_id": "ugly_postgres",
            "types": types_of(columns),
        }

    return Medium("postgres", (POSTGRES,), write)


def _copied(cell: object) -> str:
    if cell is None:
        return r"\N"
    text = str(cell)
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


MARIADB = Part(
    ("mariadb",),
    json=lambda look: look.text,
    spell={
        "seen": lambda moment: moment + BEFORE_UTC,
        "tags": json.dumps,
    },
)
MARIADB_TYPES = {
    ID: "varchar(64)",
    "plan": "varchar(64)",
    "joined": "date",
    "seen": "datetime(6)",
    "local": "datetime(6)",
    "amount": "decimal(24, 4)",
    "score": "double",
    "visits": "bigint",
    "active": "tinyint(1)",
    "photo": "blob",
    "noon": "time",
    **dict.fromkeys(("tags", "moments", "orders", "box", "mapped"), "json"),
    "phone": "double",
    "host": "varchar(64)",
    "flag": "double",
    "note": "text",
    "renews": "varchar(64)",
    "starts": "varchar(64)",
    "epoch": "bigint",
}


def mariadb(server: MariaDBServer) -> Medium:
    def write(parts: Sequence[list[Row]], folder: Path) -> Mapping[str, Any]:
        import MySQLdb

        (rows,) = parts
        columns = MARIADB.columns()
        listed = ", ".join(f"{column} {MARIADB_TYPES[column]}" for column in columns)
        marks = ", ".join(["%s"] * (len(columns) + 1))
        connection = MySQLdb.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            database=server.database,
            charset="utf8mb4",
        )
        with closing(connection), closing(connection.cursor()) as cursor:
            cursor.execute("drop table if exists ugly")
            cursor.execute(f"create table ugly (n int primary key, {listed})")
            cursor.executemany(
                f"insert into ugly values ({marks})",
                [(n, *(row.cells.get(column) for column in columns)) for n, row in enumerate(rows)],
            )
            connection.commit()
        return {
            # As Snowflake and Oracle name their columns.
            "sql": f"select {', '.join(f'{column} as {column.upper()}' for column in columns)} from ugly order by n",
            "sql_conn_id": "ugly_mariadb",
            "fold_columns": "lower",
            "types": {**types_of(columns, JSON_TYPES), "active": "boolean"},
        }

    return Medium("mariadb", (MARIADB,), write)
