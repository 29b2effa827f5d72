-- Customers whose last order lies before a day, which the DAG run's configuration gives.
select customer as customer_id
from orders
group by customer
having max(ordered_at) < '{{ params.last_order_before }}'
order by customer
