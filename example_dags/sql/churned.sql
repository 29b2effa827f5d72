-- Customers whose last order is before the day in the DAG run's configuration.
select customer as customer_id
from orders
group by customer
having max(ordered_at) < '{{ params.last_order_before }}'
order by customer
