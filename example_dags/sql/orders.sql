-- One row per order in a range of time, without the end of the range.
-- Sorted by customer, because adjacent rows of one user share a request, and then by time.
select
    customer as customer_id,
    'Order placed' as action,
    ordered_at,
    id as order_id,
    store_id,
    -- The shop stores cents.
    subtotal / 100.0 as subtotal,
    tax_paid / 100.0 as tax,
    order_total / 100.0 as total
from orders
where
    ordered_at >= '{{ params.since }}'
    and ordered_at < '{{ params.until }}'
order by customer, ordered_at, id
