"""A cluster on one machine: Airflow with Celery, PostgreSQL, Redis and S3, of which a worker is killed."""
