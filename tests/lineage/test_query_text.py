"""What a query reads, as its text says: by tables and columns, for databases of several kinds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.lineage.query_text import read_query
from airflow_provider_moengage.lineage.sql import Database, query_lineage

POSTGRES = Database("postgres://warehouse:5432", "postgres", "dwh", "public")
MYSQL = Database("mysql://warehouse:3306", "mysql", None, "shop")
SQL_SERVER = Database("mssql://warehouse", "mssql", "dwh", "dbo")
SNOWFLAKE = Database("snowflake://account", "snowflake", "DWH", "PUBLIC", upper=True)
BIGQUERY = Database("bigquery", "bigquery", "project", "shop")


def tables(sql: str, parameters: object = None, database: Database = POSTGRES) -> list[str]:
    return [name for _, name in query_lineage(sql, parameters, database).tables]


def columns(sql: str, parameters: object = None, database: Database = POSTGRES) -> dict[str, list[str]]:
    found = query_lineage(sql, parameters, database).columns
    return {name: [f"{table}.{column}" for _, table, column in read] for name, read in found.items()}


A, B, C = (f"dwh.public.{name}" for name in "abc")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("with x as (select id from b) select a.id from a join x on x.id = a.id", [A, B]),
        ("with x as (select id from b where exists (select 1 from c)) select count(*) from x", [B, C]),
        ("with x as (select id from a union all select other from b) select id from x", [A, B]),
        ("with x as (select id from a), y as (select id from x join b using (id)) select id from y", [A, B]),
        ('with "X" as materialized (select * from a), y (id) as (select 1) select * from "X", y', [A]),
        ("with recursive r as (select id from a union select r.id from r) select id from r", [A]),
        ("with a as (select id from a) select id from a", [A]),
        ("with a as (select id from raw.a) select id from a", ["dwh.raw.a"]),
        ("with x as (select id from a) (select id from x)", [A]),
        ("select id from (with x as (select id from b) select x.id from x, a) y", [A, B]),
        ("select id from (a left outer join b using (id)) cross join c", [A, B, C]),
        ("select (select max(at) from b), extract(year from at) from a where x is distinct from c", [A, B]),
        ("select id from a, lateral (select x from b) y, unnest(a.tags) z, only c", [A, B, C]),
        ("select id from read_customers(7) join a using (id)", [A]),
        ("select id from (values (1, b), (2, c)) v (id, what), a", [A]),
        ("select * from other.shop.a; select * from b;", ["dwh.public.b", "other.shop.a"]),
        ("select 'from b' /* from c */ -- from c\nfrom a", [A]),
        ("select $$ from b $$, e'it\\' from b', \" from c\" from a", [A]),
        ("select id from a where tags ? 'x' and data @> '{}' and span @@ now()", [A]),
        ("call customers()", []),
        ("selec id frm a", []),
        ("select ((((( from a", []),
        (") from a)) select id from b", [B]),
        ("with", []),
        ("select id from", []),
    ],
)
def test_every_table_is_known_wherever_it_stands(sql: str, expected: list[str]):
    assert tables(sql) == expected


@pytest.mark.parametrize(
    ("database", "sql", "expected"),
    [
        (MYSQL, "select id from `shop`.`The Users`, b where x = 'it\\'s from c'", ["shop.The Users", "shop.b"]),
        (SQL_SERVER, "select top 5 id from [dbo].[The Users] with (nolock), crm..b", ["crm.dbo.b", "dwh.dbo.The Users"]),
        (SNOWFLAKE, 'select id from "a", lateral flatten(input => a.tags) f', ["DWH.PUBLIC.A"]),
        (BIGQUERY, "select * except (x) from `other.shop.a` join `other`.shop.b using (id)", ["other.shop.a", "other.shop.b"]),
    ],
)  # fmt: skip
def test_tables_as_their_databases_spell_them(database: Database, sql: str, expected: list[str]):
    assert tables(sql, database=database) == expected


def test_a_column_that_does_not_say_its_table_is_not_guessed():
    joined = "from a left join b on b.id = a.id"
    # OpenLineage's parser takes the first table.
    assert columns(f"select a.id, plan, b.at, upper(tier) as level {joined}") == {
        "id": [f"{A}.id"],
        "at": [f"{B}.at"],
    }
    assert columns("select id, plan from a join b using (id)") == {"id": [f"{A}.id"]}
    assert columns(f"with x as (select a.id, plan as kind {joined}) select id, kind as what from x") == {
        "id": [f"{A}.id"]
    }
    assert columns("select id, case when x > 1 then plan else other end as tier from a") == {
        "id": [f"{A}.id"],
        "tier": [f"{A}.other", f"{A}.plan", f"{A}.x"],
    }
    alone = "with x as (select id, plan from b) select a.id as who, x.plan from a join x on x.id = a.id"
    assert columns(alone) == {"who": [f"{A}.id"], "plan": [f"{B}.plan"]}
    assert columns("select id, a.plan tier from a where exists (select 1 from b, c)") == {
        "id": [f"{A}.id"],
        "tier": [f"{A}.plan"],
    }


def test_a_column_is_one_of_a_table_that_is_read():
    # The parser would name public.orders, and the WITH itself.
    assert columns("select orders.id from shop.orders") == {"id": ["dwh.shop.orders.id"]}
    found = query_lineage("with x as (select id from a) select id, plan from x", None, POSTGRES)
    assert [name for _, name in found.tables] == [A]
    assert list(found.columns) == ["id"]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("select id from a where x in %s and y = any(%s)", [(1, 2), [3]]),
        ("select id from a where x not in %(some)s", {"some": (1, 2)}),
        ("select id from a where x in :some", {"some": (1, 2)}),
        ("select id from a where x IN (%s, %s) and y like 'x%%'", [1, 2]),
        ("select id, tags[1:2] as two from a where x = %s", [1]),
        ("select id, tags[1:2] as two from a where x = %(x)s", {"x": 1}),
        ("select id, at::date as day from a where x = :date", {"date": 1}),
        ("select id from a where x = :1 and y = $2 and z < '12:30'", [1, 2]),
    ],
)
def test_placeholders_of_every_style_cost_no_column(sql: str, parameters: Any):
    assert columns(sql, parameters)["id"] == [f"{A}.id"]


def test_a_part_of_a_document_is_no_placeholder():
    assert columns("select id, data:plan::string as plan from a where x = :plan", {"plan": 1}, SNOWFLAKE) == {
        "ID": ["DWH.PUBLIC.A.id"],
        "PLAN": ["DWH.PUBLIC.A.data"],
    }


@pytest.mark.parametrize(
    "sql",
    [
        f"select id from a where id in ({','.join(map(str, range(30_000)))})",
        f"select id from a where {'(' * 150}x = 1{')' * 150}",
    ],
    ids=["long", "deep"],
)
def test_a_query_of_any_length_is_read(sql: str):
    assert tables(sql) == [A]
    assert read_query(sql).fixed == {}


PIECES = [
    "select",
    "with",
    "as",
    "from",
    "join",
    ",",
    "(",
    ")",
    ";",
    ".",
    "..",
    "using",
    "union",
    "except",
    "recursive",
    "values",
    "lateral",
    "a",
    "b",
    '"c"',
    "[d]",
    "`e`",
    "'f'",
    "'",
    "$$",
    "--",
    "/*",
    "*/",
    "*",
    "1",
    ":x",
    "%s",
]


@given(st.lists(st.sampled_from([*PIECES, "\n"])))
def test_nothing_that_is_written_is_an_error(pieces: list[str]):
    for dialect in ("postgres", "mysql"):
        read_query(" ".join(pieces), dialect)


@pytest.mark.parametrize(
    ("sql", "fixed"),
    [
        ("select 'Order placed' as action, id from a", {"action": "Order placed"}),
        ("select distinct 'It''s' \"Action\" from a;", {"action": "It's"}),
        ("with x as (select 'No' as action from a) select 'Yes' as action from x", {"action": "Yes"}),
        ("select /* 'no' */ 'Yes' action from a", {"action": "Yes"}),
        ("select 'a' || kind as action, upper('b') as b, ('c') as c, 'd'::text as d from a", {}),
        ("select 'One' as action from a union all select 'Two' from b", {}),
        ("(select 'One' as action from a) union (select 'Two' from b)", {}),
        ("select case when x then 'One' end as action from a", {}),
    ],
)
def test_a_text_that_every_row_has(sql: str, fixed: dict[str, str]):
    assert read_query(sql).fixed == fixed


@pytest.mark.parametrize(
    ("sql", "is_combined"),
    [
        ("select id from a union select id from b", True),
        ("(select id from a) except (select id from b)", True),
        ("with x as (select id from a union select id from b) select id from x", False),
        ("select id as union_id, 'union' as kind from a -- union", False),
        ("select * except (x) from a", False),
    ],
)
def test_whether_two_results_become_one(sql: str, is_combined: bool):
    assert read_query(sql).is_combined is is_combined
