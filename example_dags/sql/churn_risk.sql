-- Customers without an order in the last days before the latest order of the shop.
-- For SQLite; on PostgreSQL: max(ordered_at) - interval '{{ params.days }} days'.
with dated as (
    select customer, ordered_at
    from orders
    where
        -- Of every customer of the shop: walk-in customers have no number.
        customer like 'c-%'
        -- The shop keeps times as texts; some are not in this form.
        and ordered_at like '20__-__-__%'
)

select customer as customer_id
from dated
group by customer
having max(ordered_at) < (select date(max(ordered_at), '-{{ params.days }} days') from dated)
order by customer
