"""A generated shop: a year of customers, orders, items and products, with the data errors of real tables."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

Choice = TypeVar("Choice")

CUSTOMERS = 800
#: The columns that the queries of the documentation and the examples use. Amounts of orders are in cents;
#: lifetime_value is the total that a customer spent, in whole units.
SCHEMA = """
create table customers (
    customer_id text, name text, email text, plan_name text, lifetime_value real, last_order_at text
);
create table orders (
    id text, customer text, ordered_at text, store_id text, subtotal integer, tax_paid integer, order_total integer
);
create table items (id text, order_id text, sku text);
create table products (sku text, name text, price integer);
create index orders_of_customer on orders (customer);
create index items_of_order on items (order_id);
"""

_SUPPORT_THREAD = " > asked for a refund" * 30

#: Data errors, each of which affects one customer, and the statements that cause them.
BLEMISHES = {
    "the till books walk-in customers under the id 'unknown'": (
        "update customers set customer_id = 'unknown' where customer_id = :id",
        "update orders set customer = 'unknown' where customer = :id",
    ),
    "an id of one digit is left from the first till": (
        "update customers set customer_id = '7' where customer_id = :id",
        "update orders set customer = '7' where customer = :id",
    ),
    "an import lost a customer's id": ("update customers set customer_id = null where customer_id = :id",),
    "an order was dated 30 February by hand": (
        "update customers set last_order_at = '2019-02-30T12:15:00' where customer_id = :id",
        "update orders set ordered_at = '2019-02-30T12:15:00' where customer = :id",
    ),
    "an order was dated as another country does": (
        "update customers set last_order_at = '31/08/2019 18:05' where customer_id = :id",
        "update orders set ordered_at = '31/08/2019 18:05' where customer = :id",
    ),
    "a support thread was pasted into a name": (
        f"update customers set name = name || '{_SUPPORT_THREAD}' where customer_id = :id",
    ),
    "a name begins with a date": (
        "update customers set name = '2019-04-01 party of twelve' where customer_id = :id",
    ),
}

_FIRST_NAMES = (
    "Ada",
    "Bruno",
    "Chioma",
    "Dev",
    "Elif",
    "Farid",
    "Grace",
    "Hana",
    "Ivo",
    "Jun",
    "Kavya",
    "Luca",
)
_LAST_NAMES = ("Adeyemi", "Brandt", "Costa", "Dahl", "Endo", "Ferrari", "Gupta", "Haddad", "Iyer", "Jensen")
#: Name and price in cents.
_PRODUCTS = (
    ("house blend, 250 g", 900),
    ("espresso beans, 1 kg", 2_900),
    ("filter papers", 450),
    ("enamel mug", 1_250),
    ("hand grinder", 6_400),
    ("pour-over kettle", 7_900),
    ("cold brew, six bottles", 1_800),
    ("gift card", 2_500),
)
_YEAR_BEGINS, _MINUTES = datetime(2019, 1, 1), 365 * 24 * 60
_MAX_ORDERS, _MAX_ITEMS, _STORES, _TAX = 6, 4, 3, 0.06
#: The lifetime values at which a plan is reached.
_GOLD, _SILVER = 500, 150


def fill(connection: sqlite3.Connection) -> None:
    """Create the shop's tables in an empty database and fill them, always with the same rows."""
    connection.executescript(SCHEMA)
    rows = _Rows()
    connection.executemany("insert into products values (?, ?, ?)", rows.products())
    for number in range(1, CUSTOMERS + 1):
        customer_id = f"c-{number:04}"
        for order, items in rows.orders(customer_id):
            connection.execute("insert into orders values (?, ?, ?, ?, ?, ?, ?)", order)
            connection.executemany("insert into items values (?, ?, ?)", items)
        connection.execute(
            f"""
            insert into customers
            select :id, :name, :email,
                case when spent >= {_GOLD} then 'gold' when spent >= {_SILVER} then 'silver' end,
                spent, last_order_at
            from (
                select coalesce(sum(order_total), 0) / 100.0 as spent, max(ordered_at) as last_order_at
                from orders where customer = :id
            )
            """,
            {"id": customer_id, "name": rows.name(), "email": f"{customer_id}@example.com"},
        )
    _blemish(connection)


def _blemish(connection: sqlite3.Connection) -> None:
    """Apply each of the data errors to one of the first customers with an order."""
    customers = connection.execute(
        "select distinct customer from orders order by customer limit ?", [len(BLEMISHES)]
    ).fetchall()
    for statements, (customer,) in zip(BLEMISHES.values(), customers, strict=True):
        for statement in statements:
            connection.execute(statement, {"id": customer})


class _Rows:
    """Generates the shop's rows, always the same."""

    def __init__(self) -> None:
        # Only random() is used: it is the only method that returns the same numbers in every version of Python.
        self._random = random.Random(0).random
        self._orders = self._items = 0

    def products(self) -> Iterator[tuple[str, str, int]]:
        """Return sku, name and price of each product."""
        for number, (name, price) in enumerate(_PRODUCTS):
            yield _sku(number), name, price

    def name(self) -> str:
        """Return a customer's name."""
        return f"{self._one_of(_FIRST_NAMES)} {self._one_of(_LAST_NAMES)}"

    def orders(self, customer_id: str) -> Iterator[tuple[tuple[str | int, ...], list[tuple[str, str, str]]]]:
        """Return the orders of a customer (some have none), each with its items."""
        for _ in range(self._below(_MAX_ORDERS + 1)):
            self._orders += 1
            order_id = f"o-{self._orders}"
            products = [self._below(len(_PRODUCTS)) for _ in range(1 + self._below(_MAX_ITEMS))]
            subtotal = sum(_PRODUCTS[product][1] for product in products)
            tax = round(subtotal * _TAX)
            ordered_at = (_YEAR_BEGINS + timedelta(minutes=self._below(_MINUTES))).isoformat()
            store_id = f"s-{1 + self._below(_STORES)}"
            order = (order_id, customer_id, ordered_at, store_id, subtotal, tax, subtotal + tax)
            yield order, [self._item(order_id, product) for product in products]

    def _item(self, order_id: str, product: int) -> tuple[str, str, str]:
        self._items += 1
        return f"i-{self._items}", order_id, _sku(product)

    def _below(self, end: int) -> int:
        return int(self._random() * end)

    def _one_of(self, choices: Sequence[Choice]) -> Choice:
        return choices[self._below(len(choices))]


def _sku(product: int) -> str:
    return f"SKU-{product + 1}"
