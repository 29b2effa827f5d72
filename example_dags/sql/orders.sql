-- One row per order of a span of time: what was ordered, by whom, when. The span's end is not in it.
-- Sorted by customer, since rows of one user that stand together share a call, and then by time.
select
    customer as customer_id,
    'Order placed' as action,
    ordered_at,
    id as order_id,
    store_id,
    -- The shop keeps cents.
    subtotal / 100.0 as subtotal,
    tax_paid / 100.0 as tax,
    order_total / 100.0 as total
from orders
where
    ordered_at >= '{{ params.since }}'
    and ordered_at < '{{ params.until }}'
order by customer, ordered_at, id
