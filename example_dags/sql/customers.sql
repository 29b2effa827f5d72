-- One row per customer: number and value of orders, last order, favourite product.
-- Runs on SQLite and PostgreSQL.
with totals as (
    select
        customer as customer_id,
        count(*) as number_of_orders,
        sum(order_total) / 100.0 as lifetime_value, -- the shop stores cents
        max(ordered_at) as last_order_at
    from orders
    group by customer
),

bought as (
    select
        orders.customer as customer_id,
        products.name as product,
        -- The SKU breaks ties, so that every run has the same favourite.
        row_number() over (
            partition by orders.customer
            order by count(*) desc, products.sku
        ) as place
    from orders
    join items on items.order_id = orders.id
    join products on products.sku = items.sku
    group by orders.customer, products.sku, products.name
)

select
    customers.customer_id,
    customers.name as customer_name,
    coalesce(totals.number_of_orders, 0) as number_of_orders,
    coalesce(totals.lifetime_value, 0) as lifetime_value,
    totals.last_order_at,
    bought.product as favourite_product
from customers
left join totals on totals.customer_id = customers.customer_id
left join bought on bought.customer_id = customers.customer_id and bought.place = 1
order by customers.customer_id
