"""The rows of the benchmarks: flat customers, as from a warehouse, the same in every process."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

FIRST_NAMES = ("Asha", "Lukas", "Zoë", "Mohammed", "Siobhán", "Yuki", "José", "Ananya", "Nguyễn", "Kwame")
LAST_NAMES = ("O'Brien", "Müller", "Patel", "García-López", "Kowalska", "Tanaka", "Okafor", "Smith", "Łuczak")
CITIES = ("Bengaluru", "São Paulo", "Kraków", "New York", "London", "Ho Chi Minh City", "Lagos", "Zürich")
PLANS = ("free", "silver", "gold", "platinum (annual)")

#: Warehouse customers in PostgreSQL: the same columns as those of :func:`warehouse_customers`.
CREATE = """
create unlogged table customers as
select 'C' || lpad(n::text, 8, '0') as customer_id,
       (array['Asha', 'Lukas', 'Zoë', 'Mohammed', 'José'])[1 + n % 5] as given_name,
       'customer.' || n || '@example.com' as contact,
       (array['Bengaluru', 'São Paulo', 'Kraków', 'New York'])[1 + n % 4] as city,
       (array['free', 'silver', 'gold'])[1 + n % 3] as plan,
       (n::bigint * 7919 % 1000000) / 100.0 as lifetime_value,
       n % 40 as orders,
       n % 3 = 0 as newsletter,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '37.123457 seconds' as last_order_at,
       date '1950-01-01' + n % 20000 as born_on,
       null::text as referrer
from generate_series(1, {count}) as n
"""
SELECT = "select * from customers limit {count}"
#: One user in so many differs from one night to another.
CHANGED_EVERY = 50
_CHANGES = f"right(customer_id, 2)::int % {CHANGED_EVERY} = 0"
#: All users as they are in a night, and only those that differ from the night before.
NIGHT = f"select *, case when {_CHANGES} then {{night}} else 0 end as visits from customers limit {{count}}"
CHANGED = f"select *, {{night}} as visits from customers where {_CHANGES} limit {{count}}"


def customers(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return ``count`` customers from number ``start`` on."""
    chance = random.Random(start)
    return [customer(number, chance) for number in range(start, start + count)]


def warehouse_customers(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return the same customers in a database driver's types, with two more columns: a date, and NULLs."""
    chance = random.Random(start)
    return [
        {
            **row,
            "lifetime_value": Decimal(str(row["lifetime_value"])),
            "last_order_at": datetime.fromisoformat(row["last_order_at"][:19]).replace(
                microsecond=chance.randrange(10**6), tzinfo=timezone.utc
            ),
            "born_on": date(1950, 1, 1) + timedelta(days=chance.randrange(20_000)),
            "referrer": None,
        }
        for row in customers(count, start)
    ]


def customer(number: int, chance: random.Random) -> dict[str, Any]:
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    ordered = datetime(2025, 1, 1) + timedelta(seconds=chance.randrange(365 * 24 * 3600))
    return {
        "customer_id": f"C{number:08d}",
        "given_name": f"{first} {last}",
        "contact": f"{first.lower()}.{number}@example.com",
        "city": chance.choice(CITIES),
        "plan": chance.choice(PLANS),
        "lifetime_value": round(chance.expovariate(1 / 400), 2),
        "orders": chance.randrange(0, 60),
        "newsletter": chance.random() < 0.4,
        "last_order_at": f"{ordered.isoformat()}Z",
    }
